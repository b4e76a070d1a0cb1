"""SNGAN's residual nets for 32 px (Miyato et al. 2018, arXiv 1802.05957, Table 4; details after mimicry's)."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ganjax.nets.layers import Conv, norm
from ganjax.nets.spectral import SpectralNorm
from ganjax.ops import resample

Dtype = Any
RESIDUAL = nn.initializers.variance_scaling(2.0, "fan_avg", "uniform")  # Xavier, gain sqrt(2)
DIRECT = nn.initializers.xavier_uniform()  # shortcuts, heads


class Generator(nn.Module):
    """z (B, z_dim) -> images (B, 32, 32, channels) in [-1, 1]: a linear map to 4x4, three blocks that double the side.

    A shortcut's 1x1 convolution comes before its upsampling, with which it commutes, at a quarter of the cost.
    """

    width: int = 256
    blocks: int = 3
    channels: int = 3
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array, label: jax.Array | None = None, *, train: bool) -> jax.Array:
        dtypes = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        x = nn.Dense(16 * self.width, kernel_init=DIRECT, name="project", **dtypes)(z)
        x = x.reshape(-1, 4, 4, self.width)
        for i in range(self.blocks):
            x = GeneratorBlock(self.width, name=f"block_{i}", **dtypes)(x, train=train)
        x = nn.relu(norm("batch", train, **dtypes, name="norm", scale_std=0.0)(x))
        x = Conv(self.channels, (3, 3), kernel_init=DIRECT, name="to_image", **dtypes)(x)
        return jnp.tanh(x.astype(self.param_dtype))


class GeneratorBlock(nn.Module):
    """(B, H, W, I) -> (B, 2 H, 2 W, width): norm, ReLU, up, conv 3x3, norm, ReLU, conv 3x3, plus the shortcut."""

    width: int
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        dtypes = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        y = nn.relu(norm("batch", train, **dtypes, name="norm_1", scale_std=0.0)(x))
        y = Conv(self.width, (3, 3), kernel_init=RESIDUAL, name="conv_1", **dtypes)(resample.bilinear(y))
        y = nn.relu(norm("batch", train, **dtypes, name="norm_2", scale_std=0.0)(y))
        y = Conv(self.width, (3, 3), kernel_init=RESIDUAL, name="conv_2", **dtypes)(y)
        return y + resample.bilinear(Conv(self.width, (1, 1), kernel_init=DIRECT, name="shortcut", **dtypes)(x))


class Discriminator(nn.Module):
    """Images (B, H, W, C) -> logits (B,) and the features (B, width) that they are linear in.

    A stem and a block halve the side, two blocks keep it; ReLU, the sum over the pixels, a linear head. Every layer has
    spectral normalisation.
    """

    width: int = 128
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, label: jax.Array | None = None, *, train: bool) -> tuple[jax.Array, jax.Array]:
        dtypes = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        x = DiscriminatorBlock(self.width, down=True, stem=True, name="stem", **dtypes)(x, train=train)
        for i, down in enumerate((True, False, False)):
            x = DiscriminatorBlock(self.width, down=down, name=f"block_{i}", **dtypes)(x, train=train)
        features = jnp.sum(nn.relu(x).astype(self.param_dtype), (1, 2))
        head = nn.Dense(1, kernel_init=DIRECT, name="head", param_dtype=self.param_dtype)
        return SpectralNorm(head, name="sn_head")(features, train=train)[:, 0], features


class DiscriminatorBlock(nn.Module):
    """(B, H, W, I) -> (B, H', W', width): ReLU, conv 3x3, ReLU, conv 3x3 and, with `down`, the mean of 2x2 pixels.

    The stem has no first ReLU, and takes the mean before the 1x1 convolution of its shortcut. A block that keeps both
    side and width has the identity for a shortcut.
    """

    width: int
    down: bool
    stem: bool = False
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        def conv(x, kernel, init, name):
            dtypes = {"dtype": self.dtype, "param_dtype": self.param_dtype}
            layer = Conv(self.width, kernel, kernel_init=init, name=name, **dtypes)
            return SpectralNorm(layer, name=f"sn_{name}")(x, train=train)

        y = conv(x if self.stem else nn.relu(x), (3, 3), RESIDUAL, "conv_1")
        y = conv(nn.relu(y), (3, 3), RESIDUAL, "conv_2")
        if not self.down:
            return y + (x if x.shape[-1] == self.width else conv(x, (1, 1), DIRECT, "shortcut"))
        # The mean of pixels and a 1x1 convolution commute: the mean first costs a quarter.
        return resample.average_pool(y) + conv(resample.average_pool(x), (1, 1), DIRECT, "shortcut")
