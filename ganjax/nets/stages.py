"""The layers of a network as a list, so that `ganjax.inference.streamed` can run them with the activations on disk.

Such a network has a method `stages()`, which yields its layers in order. Its `__call__` applies them to whole images;
`streamed.translate` applies the same layers to bands of rows. So each layer is defined once.
"""

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import jax

from ganjax.ops import resample


@dataclasses.dataclass(frozen=True)
class Stage:
    """One step of a network: a map of images (B, H, W, C).

    function: a Flax module with a name, or a function without parameters.
    """

    function: Callable

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.function(x)

    @property
    def name(self) -> str | None:
        """The key of the function's parameters in the network's parameters; None if it has none."""
        return self.function.name if isinstance(self.function, nn.Module) else None


@dataclasses.dataclass(frozen=True)
class Layer(Stage):
    """A map to images (B, H s, W s, C'), s = 1, 2 or 1 / 2, each row of which depends on nearby input rows only.

    function: the map; it pads its input itself, except by reflection.
    reach:    the largest distance, in input rows, from an output row to an input row it depends on; even if s = 1 / 2.
    reflect:  the number of pixels by which each side of the input is padded by reflection first.
    """

    reach: int = 0
    reflect: int = 0

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.function(self.padded(x))

    def padded(self, x: jax.Array) -> jax.Array:
        """Return x padded by reflection: the input of `function`."""
        return resample.pad(x, self.reflect, "reflect") if self.reflect else x

    def apply(self, params: dict, x: jax.Array) -> jax.Array:
        """Apply the layer with the parameters `params`, outside of its network."""
        if isinstance(self.function, nn.Module):
            return self.function.apply({"params": params}, self.padded(x))
        return self(x)


@dataclasses.dataclass(frozen=True)
class Norm(Stage):
    """A norm after a `Layer` or a `Residual`, followed by ReLU if `relu`. Only instance norms can be streamed."""

    relu: bool = True

    def __call__(self, x: jax.Array) -> jax.Array:
        return self._activated(self.function(x))

    def apply(self, statistics: dict, x: jax.Array) -> jax.Array:
        """Apply the norm outside of its network; `statistics` is the collection "norms" of `layers.InstanceNorm`."""
        return self._activated(self.function.apply({"norms": statistics}, x))

    def _activated(self, x: jax.Array) -> jax.Array:
        return nn.relu(x) if self.relu else x


@dataclasses.dataclass(frozen=True)
class Residual(Stage):
    """x + function(x), where `function`, the branch, is a Flax module that has `stages()` itself."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return x + self.function(x)


def with_parameters(net: nn.Module, params: dict) -> list[tuple[Stage, dict]]:
    """Return (stage, the stage's part of `params`; {} if it has none) for each stage of the network."""
    return [(stage, params.get(stage.name, {})) for stage in net.stages()]
