"""The random values of an image's adaptive augmentation, each neutral with probability 1 - p."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import jax
import jax.numpy as jnp

BLIT, GEOMETRY = ("mirror", "quarter_turn", "shift"), ("scale", "rotate", "stretch", "move")
COLOUR = ("brightness", "contrast", "luma_flip", "hue", "saturation")
CORRUPTION = ("filter", "noise", "cutout")
USES = (*BLIT, *GEOMETRY, "rotate_after", *COLOUR, *CORRUPTION)


class Draws:
    """Random values of one image, each of them neutral with probability 1 - p, and independent of the others.

    shares: of p, by operation; 1 where none is given.
    """

    def __init__(self, key: jax.Array, p: jax.Array, dtype, shares: Mapping[str, float] = MappingProxyType({})):
        self.key, self.p, self.dtype, self.shares = key, p, dtype, shares

    def __call__(self, name: str, draw: Callable, neutral: float, p: jax.Array | None = None) -> jax.Array:
        """Return draw(key, dtype) with probability p, by default the operation's share of this one, else `neutral`."""
        chance, value = jax.random.split(jax.random.fold_in(self.key, USES.index(name)))
        p = self.p * self.shares.get(name, 1) if p is None else p
        happens = jax.random.uniform(chance, (), self.dtype) < p
        return jnp.where(happens, draw(value, self.dtype), jnp.asarray(neutral, self.dtype))


def uniform(low: float, high: float, shape: tuple[int, ...] = ()) -> Callable:
    return lambda key, dtype: jax.random.uniform(key, shape, dtype, low, high)


def normal(deviation: float, shape: tuple[int, ...] = ()) -> Callable:
    return lambda key, dtype: deviation * jax.random.normal(key, shape, dtype)


def power_of_2(deviation: float, shape: tuple[int, ...] = ()) -> Callable:
    return lambda key, dtype: jnp.exp2(deviation * jax.random.normal(key, shape, dtype))


def integer(count: int) -> Callable:
    return lambda key, dtype: jax.random.randint(key, (), 0, count).astype(dtype)
