"""PatchNCE (Park et al. 2020, arXiv 2007.15651, section 3): identify each patch's match among the other patches."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

TEMPERATURE = 0.07


def patch_nce(queries: jax.Array, keys: jax.Array) -> jax.Array:
    """Return the mean of -log softmax(q . k / 0.07) at a patch's own key, among the P of its group; both (B, P, F)."""
    logits = jnp.einsum("bpf,bqf->bpq", queries, keys, precision="highest") / TEMPERATURE
    own = jnp.arange(logits.shape[1])
    return jnp.mean(jax.nn.logsumexp(logits, -1) - logits[:, own, own])


def contrast(
    heads: Callable,
    queries: Sequence[jax.Array],
    sources: Sequence[jax.Array],
    keys: Sequence[jax.Array],
    most: int,
    among_images: bool = False,
) -> jax.Array:
    """Return the mean over layers of `patch_nce` at up to `most` pixels of each image, the same of queries and sources.

    queries, sources: layers (B, H, W, C) of the translations and of what they came from, whose vectors get no gradient.
    heads: (layers, positions) -> vectors (B, P, F). keys: (B,) for each layer, by which its pixels are drawn.
    among_images: the group of a patch is the batch, with one patch of each image, not its image.
    """
    at = [places(key, layer, most) for key, layer in zip(keys, queries, strict=True)]
    losses = []
    for query, key in zip(heads(queries, at), heads(sources, at), strict=True):
        pair = (query, jax.lax.stop_gradient(key))
        losses.append(patch_nce(*((x[:, 0][None] for x in pair) if among_images else pair)))
    return sum(losses) / len(losses)


def places(keys: jax.Array, layer: jax.Array, most: int) -> jax.Array:
    """Return up to `most` different pixels (B, P) of a layer (B, H, W, C), counted in rows, each image's by its key."""
    pixels = layer.shape[1] * layer.shape[2]
    return jax.vmap(lambda key: jax.random.permutation(key, pixels)[:most])(keys)


def use(key: jax.Array, *path: int) -> jax.Array:
    """Return the key of one use of an image's key."""
    for part in path:
        key = jax.random.fold_in(key, part)
    return key
