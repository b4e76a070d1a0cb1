"""How a side's gradients are taken of its part of a batch: at once, or of pieces of it in turn.

Both take `gradients`: part -> (grads, terms, collections, images), of which terms are means over the part and images a
pytree of arrays (B, ...), and return the same of the whole part.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def plain(gradients: Callable, part: dict) -> tuple:
    """Return gradients(part)."""
    return gradients(part)


def accumulated(count: int) -> Callable:
    """Return what takes the gradients of `count` pieces of the part in turn: less memory, the same result.

    Gradients and terms are means over the pieces, images are put together in their order. The collections are those of
    the last piece: spectral vectors follow from the weights alone, and batch statistics are refused.
    """

    def in_turn(gradients: Callable, part: dict) -> tuple:
        pieces = jax.tree.map(lambda x: _split(x, count), part)
        first = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), pieces)
        sums, collections = _zeros(jax.eval_shape(gradients, first))

        def body(carry, piece):
            grads, terms, moved, images = gradients(piece)
            sums = jax.tree.map(lambda total, x: total + x / count, carry[0], (grads, terms))
            return (sums, moved), images

        (sums, collections), images = jax.lax.scan(body, (sums, collections), pieces)
        return *sums, collections, jax.tree.map(_merge, images)

    return in_turn


def _zeros(shapes: tuple) -> tuple[tuple, Any]:
    grads, terms, collections, _ = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    return (grads, terms), collections


def _split(x: jax.Array, count: int) -> jax.Array:
    """Return (count, B / count, ...): every count-th row goes into a piece, so that each device keeps its own."""
    # To JAX's checker of keys a reshaped key is a used one; each piece folds its own uses from these.
    x = jax.random.clone(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x
    return jnp.moveaxis(x.reshape(len(x) // count, count, *x.shape[1:]), 1, 0)


def _merge(x: jax.Array) -> jax.Array:
    """Undo `_split`."""
    return jnp.moveaxis(x, 0, 1).reshape(-1, *x.shape[2:])
