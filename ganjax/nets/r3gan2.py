"""A follow-up to R3GAN: networks whose weights and activations keep their magnitude, in the manner of EDM2.

Every kernel is centred and scaled to norm 1 for each output (Karras et al. 2024, arXiv 2312.02696, section 2.3), so
that it neither grows nor needs an initial scale. Residual branches have gains, 0 at first and bounded by tanh; each
branch sees the sum before it over the deviation that the gains predict. There are no published numbers.
"""

import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ganjax.nets.conditional import multi_hot
from ganjax.nets.r3gan import SLOPE, widened
from ganjax.nets.resnet import base_grid
from ganjax.ops import conv as ops
from ganjax.ops import resample
from ganjax.state import DOutput, GOutput

Dtype = Any
FIRST = 8  # pixels of the shorter side of the base grid, up to 15
BLOCKS = 4  # at each resolution
MEAN = (1 - SLOPE) / math.sqrt(2 * math.pi)  # of the leaky ReLU of a normal number
DEVIATION = math.sqrt((1 + SLOPE**2) / 2 - MEAN**2)


def activation(x: jax.Array) -> jax.Array:
    """Return the leaky ReLU of x, scaled so that a normal x keeps its variance, which is what centred kernels see."""
    return nn.leaky_relu(x, SLOPE) / DEVIATION


def scaled(kernel: jax.Array) -> jax.Array:
    """Return a kernel (..., O) of which each output's weights have the norm 1."""
    return kernel * jax.lax.rsqrt(jnp.sum(kernel**2, tuple(range(kernel.ndim - 1)), keepdims=True) + 1e-8)


def centred(kernel: jax.Array) -> jax.Array:
    """Return a kernel (..., O) of which each output's weights have the mean 0."""
    return kernel - jnp.mean(kernel, tuple(range(kernel.ndim - 1)), keepdims=True)


def one_of(label: jax.Array, sizes: Sequence[int], dtype: Dtype) -> jax.Array:
    """Return labels int32 (B, A) as 0s and a number for each attribute, so that the mean square is 1."""
    return multi_hot(label, sizes, dtype) * math.sqrt(sum(sizes) / len(sizes))


class Generator(nn.Module):
    """z (B, z_dim), label int32 (B, A) -> images (B, H, W, channels), not limited to [-1, 1].

    A learned base grid, scaled in each channel by a linear map of z and of an embedding of the label; then for each of
    `widths` four blocks with noise, and between them a 1x1 convolution and [1, 3, 3, 1] upsampling. The noise is drawn
    for each image in training, else once for all, from the random stream "noise". group: channels of a group of the 3x3
    convolutions. sizes: the number of values of each attribute of a label; () without labels.
    """

    resolution: tuple[int, int]
    widths: Sequence[int] = (512, 512, 512)
    channels: int = 3
    group: int = 32
    sizes: Sequence[int] = ()
    embedding: int = 64
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array, label: jax.Array | None = None, *, train: bool) -> GOutput:
        kinds = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        if self.sizes:
            embed = Dense(self.embedding, self.param_dtype, name="embed")(one_of(label, self.sizes, z.dtype))
            z = jnp.concatenate([z, embed], -1)
        grid = (*base_grid(self.resolution, len(self.widths) - 1), self.widths[0])
        basis = self.param("basis", nn.initializers.normal(1), grid, self.param_dtype)
        x = basis * Dense(self.widths[0], self.param_dtype, name="project")(z)[:, None, None]
        x = x if self.dtype is None else x.astype(self.dtype)
        for i, width in enumerate(self.widths):
            if i:
                x = resample.upsample(Conv(width, name=f"change_{i}", **kinds)(x))
            x = Stage(self.group, noisy=True, train=train, name=f"stage_{i}", **kinds)(x)
        gain = self.param("image_gain", nn.initializers.ones, (), self.param_dtype)
        return GOutput(Conv(self.channels, name="to_image", **kinds)(x).astype(self.param_dtype) * gain)


class Discriminator(nn.Module):
    """Images (B, H, W, C), label int32 (B, A) -> logits (B,) and the features (B, widths[-1]) that they are linear in.

    The generator's mirror, without noise. The last grid is weighted and summed; with `sizes` the logits are the scalar
    product of a linear map of the features and an embedding of the label.
    """

    widths: Sequence[int] = (512, 512, 512)
    group: int = 32
    sizes: Sequence[int] = ()
    embedding: int = 64
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, label: jax.Array | None = None, *, train: bool) -> DOutput:
        kinds = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        base_grid(x.shape[1:3], len(self.widths) - 1)  # raises ValueError for sides that cannot be halved
        x = Conv(self.widths[0], centre=False, name="from_image", **kinds)(x)
        for i, width in enumerate(self.widths):
            if i:
                x = Conv(width, name=f"change_{i}", **kinds)(resample.downsample(x))
            x = Stage(self.group, noisy=False, train=train, name=f"stage_{i}", **kinds)(x)
        grid, width = x.shape[1:3], self.widths[-1]
        basis = self.param("basis", nn.initializers.normal(1), (*grid, width), self.param_dtype)
        features = jnp.sum(x.astype(self.param_dtype) * basis, (1, 2)) / math.sqrt(math.prod(grid))
        gain = self.param("logit_gain", nn.initializers.ones, (), self.param_dtype)
        if not self.sizes:
            return DOutput((gain * Dense(1, self.param_dtype, name="head")(features)[:, 0],), (features,))
        embed = Dense(self.embedding, self.param_dtype, name="embed")(one_of(label, self.sizes, self.param_dtype))
        head = Dense(self.embedding, self.param_dtype, name="head")(features)
        return DOutput((gain * jnp.sum(embed * head, -1) / math.sqrt(self.embedding),), (features,))


class Stage(nn.Module):
    """x (B, H, W, C) -> the same shape: four residual blocks.

    A block, of x over its predicted deviation: 1x1 convolution to 2 C channels, activation, 3x3 convolution in groups,
    noise if `noisy`, activation, 1x1 convolution; times the tanh of a gain for each channel.
    """

    group: int
    noisy: bool
    train: bool
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width = x.shape[-1]
        inside, groups = widened(width, self.group)
        kinds, variance = {"dtype": self.dtype, "param_dtype": self.param_dtype}, jnp.ones(width, self.param_dtype)
        for i in range(BLOCKS):
            y = x * jax.lax.rsqrt(variance).astype(x.dtype)
            y = activation(Conv(inside, name=f"expand_{i}", **kinds)(y))
            y = Conv(inside, 3, groups, name=f"mix_{i}", **kinds)(y)
            y = Conv(width, name=f"reduce_{i}", **kinds)(activation(self._noise(y, i) if self.noisy else y))
            gain = jnp.tanh(self.param(f"gain_{i}", nn.initializers.zeros, (width,), self.param_dtype))
            x, variance = x + gain.astype(y.dtype) * y, variance + gain**2
        return x * jax.lax.rsqrt(variance).astype(x.dtype)

    def _noise(self, y: jax.Array, i: int) -> jax.Array:
        strength = self.param(f"noise_{i}", nn.initializers.zeros, (), self.param_dtype)
        if not self.has_rng("noise"):
            return y
        noise = jax.random.normal(self.make_rng("noise"), (len(y) if self.train else 1, *y.shape[1:3], 1), y.dtype)
        return y + strength.astype(y.dtype) * noise


class Conv(nn.Module):
    """x (B, H, W, I) -> (B, H, W, features), by kernels of norm 1 for each output; centred unless stated otherwise."""

    features: int
    size: int = 1
    groups: int = 1
    centre: bool = True
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.size, self.size, x.shape[-1] // self.groups, self.features)
        # A centred kernel would not see grey images; "colours" is not `constrained` either.
        kernel = self.param("kernel" if self.centre else "colours", nn.initializers.normal(1), shape, self.param_dtype)
        kernel, dtype = scaled(centred(kernel) if self.centre else kernel), self.dtype or self.param_dtype
        return ops.conv(x.astype(dtype), kernel.astype(dtype), groups=self.groups)


class Dense(nn.Module):
    """x (..., I) -> (..., features), by weights of norm 1 for each output, not centred."""

    features: int
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        weights = self.param("weights", nn.initializers.normal(1), (x.shape[-1], self.features), self.param_dtype)
        return x @ scaled(weights)


def constrained(params: dict) -> dict:
    """Return parameters whose kernels are centred and have the norm sqrt(fan-in), so that a learning rate means the
    same for all. It follows each update ("forced weight normalization").
    """

    def constrain(path: tuple, leaf: jax.Array) -> jax.Array:
        if path[-1].key != "kernel":
            return leaf
        return scaled(centred(leaf)) * math.sqrt(leaf.size / leaf.shape[-1])

    return jax.tree_util.tree_map_with_path(constrain, params)
