"""PatchNCE (Park et al. 2020, arXiv 2007.15651, section 3): a patch is told among others by its own."""

import jax
import jax.numpy as jnp

TEMPERATURE = 0.07


def patch_nce(queries: jax.Array, keys: jax.Array) -> jax.Array:
    """Return the mean of -log softmax(q . k / 0.07) at a patch's own key, among the P of its group; both (B, P, F)."""
    logits = jnp.einsum("bpf,bqf->bpq", queries, keys, precision="highest") / TEMPERATURE
    own = jnp.arange(logits.shape[1])
    return jnp.mean(jax.nn.logsumexp(logits, -1) - logits[:, own, own])


def places(keys: jax.Array, layer: jax.Array, most: int) -> jax.Array:
    """Return up to `most` different pixels (B, P) of a layer (B, H, W, C), counted in rows, each image's by its key."""
    pixels = layer.shape[1] * layer.shape[2]
    return jax.vmap(lambda key: jax.random.permutation(key, pixels)[:most])(keys)


def use(key: jax.Array, *path: int) -> jax.Array:
    """Return the key of one use of an image's key."""
    for part in path:
        key = jax.random.fold_in(key, part)
    return key
