"""The generator of FastGAN (Liu et al. 2021, arXiv 2101.04775) in the light form of Projected GAN's `fastgan_lite`.

Gated linear units halve the features of every convolution. Skip-layer excitation: a layer of low resolution scales the
channels of one of high resolution. All layers have spectral normalisation.
"""

import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ganjax.nets.conditional import ConditionalNorm, multi_hot
from ganjax.nets.layers import Conv, norm
from ganjax.nets.resnet import base_grid
from ganjax.nets.spectral import weighted
from ganjax.ops import resample
from ganjax.state import GOutput

Dtype = Any
NORMAL = nn.initializers.normal(0.02)
MULTIPLIERS = (16, 8, 4, 2, 2, 1, 0.5, 0.25, 0.125)  # features over the width, of the layers of 4, 8, 16, ... pixels
EXCITED = 4  # layer i is scaled by layer i - 4: that of 64 pixels by that of 4


class Generator(nn.Module):
    """z (B, z_dim), label int32 (B, A) -> images (B, H, W, channels) in [-1, 1].

    z, scaled to a unit mean square, gives the base grid, whose shorter side has 4 pixels. Each block doubles the sides:
    nearest upsampling, a 3x3 convolution, batch norm, a gated linear unit and, from 64 pixels on, excitation. sizes:
    the number of values of each attribute of a label, on which the norms are conditioned; () without labels.
    """

    resolution: tuple[int, int]
    width: int = 128
    channels: int = 3
    sizes: Sequence[int] = ()
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array, label: jax.Array | None = None, *, train: bool) -> GOutput:
        blocks = int(math.log2(max(min(self.resolution) // 4, 1)))
        h, w = base_grid(self.resolution, blocks)
        widths = [max(round(self.width * multiplier), 1) for multiplier in MULTIPLIERS[: blocks + 1]]
        condition = multi_hot(label, self.sizes, self.param_dtype) if self.sizes else None

        def gated(x: jax.Array, name: str) -> jax.Array:
            if condition is None:
                x = norm("batch", train, self.dtype, self.param_dtype, name)(x)
            else:
                dtypes = {"dtype": self.dtype, "param_dtype": self.param_dtype}
                x = ConditionalNorm(name=name, **dtypes)(x, condition, train=train)
            return nn.glu(x)

        z = z * jax.lax.rsqrt(jnp.mean(z * z, -1, keepdims=True) + 1e-8)
        x = self._layer(nn.Dense, train, "project", h * w * 2 * widths[0])(z).reshape(-1, h, w, 2 * widths[0])
        layers = [gated(x, "norm_0")]
        for i, width in enumerate(widths[1:], 1):
            x = resample.nearest(layers[-1])
            x = gated(self._layer(Conv, train, f"conv_{i}", 2 * width, kernel_size=(3, 3))(x), f"norm_{i}")
            if i >= EXCITED:
                x *= self._excitation(layers[i - EXCITED], (h, w), width, train, f"excite_{i}")
            layers.append(x)
        image = self._layer(Conv, train, "to_image", self.channels, kernel_size=(3, 3))(layers[-1])
        return GOutput(jnp.tanh(image.astype(self.param_dtype)))

    @nn.nowrap
    def _layer(self, kind: type[nn.Module], train: bool, name: str, features: int, **fields):
        fields |= {"use_bias": False, "kernel_init": NORMAL, "dtype": self.dtype, "param_dtype": self.param_dtype}
        return weighted("spectral", train, kind, features, name=name, **fields)

    @nn.nowrap
    def _excitation(self, x: jax.Array, grid: tuple[int, int], width: int, train: bool, name: str) -> jax.Array:
        """Return the factors (B, 1, 1, width) in [0, 1] that a layer x gives to another's channels."""
        if x.shape[1] > grid[0]:
            x = resample.average_pool(x, x.shape[1] // grid[0])
        x = nn.swish(self._layer(Conv, train, f"{name}_pool", width, kernel_size=grid, padding="VALID")(x))
        return nn.sigmoid(self._layer(Conv, train, f"{name}_scale", width, kernel_size=(1, 1))(x))
