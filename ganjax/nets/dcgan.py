"""DCGAN (Radford et al. 2016, arXiv 1511.06434) for any resolution g * 2^k, g from 4 to 7: 28, 32, 48x32, 64, ..."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ganjax.nets.layers import Conv, ConvTranspose, norm
from ganjax.state import DOutput, GOutput

Dtype = Any
KERNEL = (4, 4)
STRIDES = (2, 2)


def grid(resolution: tuple[int, int]) -> tuple[tuple[int, int], int]:
    """Return ((h0, w0), k) with resolution = (h0, w0) * 2^k and 4 <= min(h0, w0) < 8.

    Raises ValueError if the resolution has no such base grid.
    """
    k = max(min(resolution) // 4, 1).bit_length() - 1
    if min(resolution) < 8 or any(side % 2**k for side in resolution):
        raise ValueError(
            f"resolution {resolution[0]}x{resolution[1]}: the shorter side must be (4 to 7) * 2^k, and both sides "
            f"divisible by {2**k}: take 28, 32, 48, 64, 96, 128, ..."
        )
    return (resolution[0] // 2**k, resolution[1] // 2**k), k


class Generator(nn.Module):
    """z (B, z_dim) -> images (B, H, W, channels) in [-1, 1].

    A linear map to the base grid (equal to a transposed convolution of a 1x1 image), then transposed 4x4 convolutions
    of stride 2. `width` is the width of the last hidden layer; each earlier layer is twice as wide, up to `max_width`:
    64 px and width 64 give the published net, 512, 256, 128, 64. `widths` replaces these widths of the hidden layers,
    and so sets the base grid: each width after the first doubles the sides. The image comes from one more transposed
    convolution or, with `head_kernel` > 0, from a convolution of that kernel size at the full resolution.
    """

    resolution: tuple[int, int]
    width: int = 64
    widths: tuple[int, ...] = ()
    max_width: int = 1024
    channels: int = 3
    norm: str = "batch"
    slope: float = 0.0
    head_kernel: int = 0
    kernel_init: Callable = nn.initializers.normal(0.02)
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array, label: jax.Array | None = None, *, train: bool) -> GOutput:
        k = grid(self.resolution)[1]
        hidden = k if self.head_kernel == 0 else k + 1
        widths = self.widths or tuple(min(self.width * 2**i, self.max_width) for i in reversed(range(hidden)))
        ups = len(widths) - (0 if self.head_kernel == 0 else 1)
        if any(side % 2**ups for side in self.resolution):
            raise ValueError(
                f"{len(widths)} widths double the sides {ups} times: {self.resolution} must be divisible by {2**ups}"
            )
        h, w = self.resolution[0] // 2**ups, self.resolution[1] // 2**ups
        bias = self.norm == "none"
        common = {"dtype": self.dtype, "param_dtype": self.param_dtype, "kernel_init": self.kernel_init}

        def activate(x, index):
            x = norm(self.norm, train, self.dtype, self.param_dtype, f"norm_{index}")(x)
            return nn.leaky_relu(x, self.slope)

        x = nn.Dense(h * w * widths[0], use_bias=bias, name="stem", **common)(z)
        x = activate(x.reshape(-1, h, w, widths[0]), 0)
        for i, features in enumerate(widths[1:], 1):
            x = activate(ConvTranspose(features, KERNEL, STRIDES, use_bias=bias, name=f"up_{i}", **common)(x), i)
        if self.head_kernel:
            head = Conv(self.channels, (self.head_kernel, self.head_kernel), use_bias=bias, name="head", **common)
        else:
            head = ConvTranspose(self.channels, KERNEL, STRIDES, use_bias=bias, name="head", **common)
        return GOutput(jnp.tanh(head(x).astype(self.param_dtype)))


class Discriminator(nn.Module):
    """images (B, H, W, C) -> logits (B,) and the last features (B, h0, w0, F).

    4x4 convolutions of stride 2 down to the base grid, then a linear map of the flattened grid to one logit. `width` is
    the width of the first layer, which has no norm; each next layer is twice as wide, up to `max_width`. `widths`
    replaces these widths.
    """

    width: int = 64
    widths: tuple[int, ...] = ()
    max_width: int = 1024
    norm: str = "batch"
    slope: float = 0.2
    dropout: float = 0.0
    kernel_init: Callable = nn.initializers.normal(0.02)
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array, label: jax.Array | None = None, *, train: bool) -> DOutput:
        layers = grid(image.shape[1:3])[1]
        widths = self.widths or tuple(min(self.width * 2**i, self.max_width) for i in range(layers))
        bias = self.norm == "none"
        common = {"dtype": self.dtype, "param_dtype": self.param_dtype, "kernel_init": self.kernel_init}
        x = image
        for i, features in enumerate(widths):
            x = Conv(features, KERNEL, STRIDES, use_bias=bias, name=f"down_{i}", **common)(x)
            if i:
                x = norm(self.norm, train, self.dtype, self.param_dtype, f"norm_{i}")(x)
            x = nn.leaky_relu(x, self.slope)
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        logits = nn.Dense(1, use_bias=bias, name="head", **common)(x.reshape(x.shape[0], -1))
        return DOutput((logits[:, 0].astype(self.param_dtype),), (x,))
