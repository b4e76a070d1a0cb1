"""PatchNCE (Park et al. 2020, arXiv 2007.15651, section 3): identify each patch's match among the other patches."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

TEMPERATURE = 0.07


def patch_nce(queries: jax.Array, keys: jax.Array) -> jax.Array:
    """Return the mean of -log softmax(q . k / 0.07) at each query's own key; queries and keys (B, P, F).

    The softmax is over the P keys of a group; query p of a group belongs to key p.
    """
    logits = jnp.einsum("bpf,bqf->bpq", queries, keys, precision="highest") / TEMPERATURE
    diagonal = jnp.arange(logits.shape[1])
    return jnp.mean(jax.nn.logsumexp(logits, -1) - logits[:, diagonal, diagonal])


def contrast(
    heads: Callable,
    queries: Sequence[jax.Array],
    sources: Sequence[jax.Array],
    keys: Sequence[jax.Array],
    most: int,
    among_images: bool = False,
) -> jax.Array:
    """Return the mean over layers of `patch_nce` at up to `most` random pixels of each image, the same in both inputs.

    queries, sources: layers (B, H, W, C) of the translations and of their source images. Gradients do not flow through
    the vectors of the sources.
    heads:            (layers, positions) -> vectors (B, P, F).
    keys:             random keys (B,) for each layer, one for each image.
    among_images:     compare the first patch of each image with those of the batch, not the patches within an image.
    """
    positions = [places(key, layer, most) for key, layer in zip(keys, queries, strict=True)]
    losses = []
    for query, key in zip(heads(queries, positions), heads(sources, positions), strict=True):
        pair = (query, jax.lax.stop_gradient(key))
        losses.append(patch_nce(*((x[:, 0][None] for x in pair) if among_images else pair)))
    return sum(losses) / len(losses)


def places(keys: jax.Array, layer: jax.Array, most: int) -> jax.Array:
    """Return the indices, row by row, of up to `most` different random pixels (B, P) of a layer (B, H, W, C).

    keys: random keys (B,), one for each image.
    """
    pixels = layer.shape[1] * layer.shape[2]
    return jax.vmap(lambda key: jax.random.permutation(key, pixels)[:most])(keys)


def use(key: jax.Array, *path: int) -> jax.Array:
    """Return the key derived from an image's key by folding in the numbers of `path`: one path for each use."""
    for part in path:
        key = jax.random.fold_in(key, part)
    return key
