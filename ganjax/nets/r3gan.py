"""The networks of R3GAN (Huang et al. 2024, arXiv 2501.05441): plain residual blocks, without norms, noise or styles.

Both networks have the same blocks, two at each resolution. Residual branches begin at 0, so that at the start a network
is its layers between resolutions; kernels come from N(0, g^2 / fan-in), with g smaller the deeper the network (Fixup:
Zhang et al. 2019, arXiv 1901.09321), g = 1 in the layers that no residual branch passes by.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ganjax.nets.conditional import multi_hot
from ganjax.nets.layers import Conv
from ganjax.nets.resnet import base_grid
from ganjax.ops import resample
from ganjax.state import DOutput, GOutput

Dtype = Any
FIRST = 4  # pixels of the shorter side of the base grid, up to 7
BLOCKS = 2  # at each resolution
EXPANSION = 2  # channels inside a block over those outside
GROUP = 16  # channels of a group of the 3x3 convolutions, if not stated otherwise
SLOPE = 0.2  # of the leaky ReLU below 0
GAIN = math.sqrt(2 / (1 + SLOPE**2))  # keeps the mean square through the leaky ReLU


def scaled_normal(gain: float) -> Callable:
    """Return the initialiser N(0, gain^2 / fan-in)."""
    return nn.initializers.variance_scaling(gain**2, "fan_in", "normal")


class Generator(nn.Module):
    """z (B, z_dim), label int32 (B, A) -> images (B, H, W, channels), not limited to [-1, 1].

    A learned base grid, scaled in each channel by a linear map of z and of an embedding of the label; then for each of
    `widths` two blocks, and between them, [1, 3, 3, 1] upsampling, after a 1x1 convolution where the width changes.
    group: channels of a group of the 3x3 convolutions. sizes: the number of values of each attribute of a label; ()
    without labels, else `embedding` is the size of their embedding.
    """

    resolution: tuple[int, int]
    widths: Sequence[int] = (768, 768, 768, 768)
    channels: int = 3
    group: int = GROUP
    sizes: Sequence[int] = ()
    embedding: int = 64
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array, label: jax.Array | None = None, *, train: bool) -> GOutput:
        kinds = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        linear = functools.partial(nn.Dense, use_bias=False, kernel_init=scaled_normal(1), param_dtype=self.param_dtype)
        if self.sizes:
            embed = linear(self.embedding, name="embed")(multi_hot(label, self.sizes, self.param_dtype))
            z = jnp.concatenate([z, embed], -1)
        grid = (*base_grid(self.resolution, len(self.widths) - 1), self.widths[0])
        basis = self.param("basis", nn.initializers.normal(1), grid, self.param_dtype)
        x = basis * linear(self.widths[0], name="project")(z)[:, None, None]
        x = x if self.dtype is None else x.astype(self.dtype)
        for i, width in enumerate(self.widths):
            if i:
                x = resample.upsample(_changed(x, width, f"change_{i}", kinds))
            for j in range(BLOCKS):
                x = Block(self.group, BLOCKS * len(self.widths), name=f"block_{i}_{j}", **kinds)(x)
        image = pointwise(self.channels, "to_image", 1, kinds)(x)
        return GOutput(image.astype(self.param_dtype))


class Discriminator(nn.Module):
    """Images (B, H, W, C), label int32 (B, A) -> logits (B,) and the features (B, widths[-1]) that they are linear in.

    The generator's mirror: for each of `widths` two blocks, then [1, 3, 3, 1] downsampling and a 1x1 convolution where
    the width changes; at the end a depthwise convolution of the whole grid. With `sizes` the logits are the scalar
    product of a linear map of the features and an embedding of the label.
    """

    widths: Sequence[int] = (768, 768, 768, 768)
    group: int = GROUP
    sizes: Sequence[int] = ()
    embedding: int = 64
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, label: jax.Array | None = None, *, train: bool) -> DOutput:
        kinds = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        base_grid(x.shape[1:3], len(self.widths) - 1)  # raises ValueError for sides that cannot be halved
        x = pointwise(self.widths[0], "from_image", 1, kinds)(x)
        for i, width in enumerate(self.widths):
            if i:
                x = _changed(resample.downsample(x), width, f"change_{i}", kinds)
            for j in range(BLOCKS):
                x = Block(self.group, BLOCKS * len(self.widths), name=f"block_{i}_{j}", **kinds)(x)
        grid, width = x.shape[1:3], self.widths[-1]
        basis = self.param("basis", scaled_normal(1), (*grid, 1, width), self.param_dtype)
        features = jnp.sum(x.astype(self.param_dtype) * basis[:, :, 0], (1, 2))
        linear = functools.partial(nn.Dense, use_bias=False, param_dtype=self.param_dtype)
        if not self.sizes:
            return DOutput((linear(1, kernel_init=scaled_normal(1), name="head")(features)[:, 0],), (features,))
        init = scaled_normal(1 / math.sqrt(self.embedding))
        embed = linear(self.embedding, kernel_init=init, name="embed")(multi_hot(label, self.sizes, self.param_dtype))
        head = linear(self.embedding, kernel_init=scaled_normal(1), name="head")(features)
        return DOutput((jnp.sum(embed * head, -1),), (features,))


class Block(nn.Module):
    """x (B, H, W, C) -> x plus a residual of the same shape, 0 at initialisation.

    The residual: 1x1 convolution to 2 C channels, bias, leaky ReLU, 3x3 convolution in groups, bias, leaky ReLU, 1x1
    convolution without bias. depth: the number of blocks of the whole network.
    """

    group: int
    depth: int
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width = x.shape[-1]
        inside, groups = widened(width, self.group)
        kinds = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        init = scaled_normal(GAIN * self.depth**-0.25)
        y = nn.leaky_relu(Conv(inside, (1, 1), kernel_init=init, name="expand", **kinds)(x), SLOPE)
        spatial = Conv(inside, (3, 3), feature_group_count=groups, kernel_init=init, name="mix", **kinds)
        y = nn.leaky_relu(spatial(y), SLOPE)
        return x + Conv(width, (1, 1), use_bias=False, kernel_init=nn.initializers.zeros, name="reduce", **kinds)(y)


def widened(width: int, group: int) -> tuple[int, int]:
    """Return the channels inside a block of this width, and the number of groups of its 3x3 convolution.

    Raises ValueError if there are no whole groups.
    """
    inside = EXPANSION * width
    if inside % group:
        raise ValueError(f"a width of {width} has no whole groups: it must be divisible by {group // EXPANSION}")
    return inside, inside // group


def pointwise(features: int, name: str, gain: float, kinds: dict) -> Conv:
    """Return a 1x1 convolution without bias."""
    return Conv(features, (1, 1), use_bias=False, kernel_init=scaled_normal(gain), name=name, **kinds)


def _changed(x: jax.Array, width: int, name: str, kinds: dict) -> jax.Array:
    """Return x with another width; x itself if it has that width."""
    return x if x.shape[-1] == width else pointwise(width, name, 1, kinds)(x)
