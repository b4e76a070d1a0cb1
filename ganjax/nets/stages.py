"""The layers of a net as data, for nets whose activations may lie on disk (`ganjax.inference.streamed`).

A net that streams has `stages()`, which yields its layers in order. Its own call applies them, one after another, to
whole images; the streamed walk applies the same ones to bands of rows. So no layer is written twice.
"""

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import jax

from ganjax.ops import resample


@dataclasses.dataclass(frozen=True)
class Stage:
    """A map of images (B, H, W, C).

    function: a Flax module with a name, or a function without parameters.
    """

    function: Callable

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.function(x)

    @property
    def name(self) -> str | None:
        """The name of its parameters within the net."""
        return self.function.name if isinstance(self.function, nn.Module) else None


@dataclasses.dataclass(frozen=True)
class Layer(Stage):
    """A map to images (B, H s, W s, C'), s = 1, 2 or 1 / 2, whose rows depend on nearby rows alone.

    function: it pads its input itself, except for the reflection.
    reach:    how many rows from its own place an output row sees, at most; an even number if s = 1 / 2.
    reflect:  by how many pixels on each side the input is padded by reflection first.
    """

    reach: int = 0
    reflect: int = 0

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.function(self.padded(x))

    def padded(self, x: jax.Array) -> jax.Array:
        """Return the images that the function sees."""
        return resample.pad(x, self.reflect, "reflect") if self.reflect else x

    def apply(self, params: dict, x: jax.Array) -> jax.Array:
        """Do the same outside of the net, with these parameters."""
        if isinstance(self.function, nn.Module):
            return self.function.apply({"params": params}, self.padded(x))
        return self(x)


@dataclasses.dataclass(frozen=True)
class Norm(Stage):
    """The norm of what a `Layer` or a `Residual` returns, and a ReLU after it. Only instance norms can stream."""

    relu: bool = True

    def __call__(self, x: jax.Array) -> jax.Array:
        return self._activated(self.function(x))

    def apply(self, statistics: dict, x: jax.Array) -> jax.Array:
        """Do the same outside of the net, with the statistics that `nets.layers.InstanceNorm` calls "norms"."""
        return self._activated(self.function.apply({"norms": statistics}, x))

    def _activated(self, x: jax.Array) -> jax.Array:
        return nn.relu(x) if self.relu else x


@dataclasses.dataclass(frozen=True)
class Residual(Stage):
    """x plus what a branch returns of x. The function is the branch: a Flax module that has `stages()` itself."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return x + self.function(x)


def with_parameters(net: nn.Module, params: dict) -> list[tuple[Stage, dict]]:
    """Return each stage of a net with its own part of the net's parameters, {} if it has none."""
    return [(stage, params.get(stage.name, {})) for stage in net.stages()]
