"""Gradients of a side over its part of a batch: in one pass, or accumulated over pieces of the part.

Both functions take `gradients`: part -> (grads, terms, collections, images), where terms are means over the part and
images is a pytree of arrays (B, ...). They return the same four values for the whole part.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def plain(gradients: Callable, part: dict) -> tuple:
    """Return gradients(part)."""
    return gradients(part)


def accumulated(count: int) -> Callable:
    """Return a function like `plain` that accumulates gradients over `count` pieces: less memory, the same result.

    Gradients, terms and collections are averaged over the pieces; images are merged in their order. Of the collections,
    spectral vectors depend on the weights alone, a moving average of codes is linear in them, and batch statistics are
    refused.
    """

    def accumulate(gradients: Callable, part: dict) -> tuple:
        pieces = jax.tree.map(lambda x: _split(x, count), part)
        first = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), pieces)
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(gradients, first)[:3])

        def body(sums, piece):
            *values, images = gradients(piece)
            return jax.tree.map(lambda total, x: total + x / count, sums, tuple(values)), images

        sums, images = jax.lax.scan(body, zeros, pieces)
        return *sums, jax.tree.map(_merge, images)

    return accumulate


def _split(x: jax.Array, count: int) -> jax.Array:
    """Return (count, B / count, ...). A piece takes every count-th row, so that each device keeps its own rows."""
    # JAX's key reuse checker counts reshaping as a use of a key, hence the clone; pieces fold further keys from it.
    x = jax.random.clone(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x
    return jnp.moveaxis(x.reshape(len(x) // count, count, *x.shape[1:]), 1, 0)


def _merge(x: jax.Array) -> jax.Array:
    """Undo `_split`."""
    return jnp.moveaxis(x, 0, 1).reshape(-1, *x.shape[2:])
