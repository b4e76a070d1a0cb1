"""StyleGAN2's layers (Karras et al. 2020, arXiv 1912.04958), and the nets of SinCUT (Park et al. 2020, arXiv
2007.15651, section 4.4), which are built from them.

Weights are initialised from N(0, 1) and multiplied by 1 / sqrt(fan-in) in each forward pass (equalised learning rate);
activations are leaky ReLU 0.2 times sqrt(2). There are no norms, so a tile gets the same output as in the whole image.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ganjax.ops import conv as ops
from ganjax.ops import resample
from ganjax.state import DOutput, GOutput

Dtype = Any
STANDARD_NORMAL = nn.initializers.normal(1.0)
SQRT_2 = math.sqrt(2)


class EqualConv(nn.Module):
    """(B, H, W, I) -> (B, H', W', features): a square convolution, a bias and an activation.

    down: filter with [1, 3, 3, 1], then convolve with stride 2. demodulate: scale the kernel of each output channel to
    norm 1, as StyleGAN2 does for a style of ones.
    """

    features: int
    size: int = 3
    down: bool = False
    use_bias: bool = True
    activate: bool = True
    demodulate: bool = False
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", STANDARD_NORMAL, shape, self.param_dtype) / math.sqrt(math.prod(shape[:3]))
        bias = None
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros_init(), (self.features,), self.param_dtype)
        if self.demodulate:
            kernel *= jax.lax.rsqrt(jnp.sum(kernel**2, (0, 1, 2)) + 1e-8)
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        margin = self.size // 2
        if self.down and self.size == 1:
            x = resample.downsample(x)
        elif self.down:
            # Filter to one row and column more than the image has: the first 3x3 window begins before its first pixel.
            x = resample.downsample(resample.pad(x, ((0, margin), (0, margin))), factor=1)
            x = ops.conv(x, kernel, (2, 2), "VALID")
            return self._activated(x, bias)
        return self._activated(ops.conv(x, kernel, (1, 1), ((margin, margin),) * 2), bias)

    def _activated(self, x, bias):
        x = x if bias is None else x + bias
        return nn.leaky_relu(x, 0.2) * SQRT_2 if self.activate else x


class EqualDense(nn.Module):
    """(B, I) -> (B, features): a linear map, a bias and, if `activate`, an activation."""

    features: int
    activate: bool = False
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", STANDARD_NORMAL, shape, self.param_dtype) / math.sqrt(x.shape[-1])
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,), self.param_dtype)
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        x = x @ kernel + bias
        return nn.leaky_relu(x, 0.2) * SQRT_2 if self.activate else x


class ResidualBlock(nn.Module):
    """(B, H, W, C) -> (B, H, W, features), half the sides with `down`: two convolutions plus the shortcut, divided by
    sqrt(2) to keep the mean square.
    """

    features: int
    down: bool = False
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kinds = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        y = EqualConv(x.shape[-1], name="conv_0", **kinds)(x)
        y = EqualConv(self.features, down=self.down, name="conv_1", **kinds)(y)
        if self.down or self.features != x.shape[-1]:
            linear = {"use_bias": False, "activate": False}
            x = EqualConv(self.features, 1, down=self.down, name="shortcut", **linear, **kinds)(x)
        return (x + y) / SQRT_2


class Translator(nn.Module):
    """Images (B, H, W, C) -> images (B, H, W, channels), not limited to [-1, 1]; H and W are even.

    Layers: a 1x1 convolution to `width`; a downsampling residual block to twice the width; `blocks` residual blocks,
    the first half of which is the encoder; [1, 3, 3, 1] upsampling and a convolution to `width`; a 1x1 convolution to
    the image. There is no StyleGAN2 noise, and the end is linear (the authors' code has a leaky ReLU there): output is
    deterministic and can reach dark values.

    With `taps` it returns the features that SinCUT compares: the image, and the outputs of the first and the third
    residual block (the first is the downsampling one).
    """

    width: int = 80
    blocks: int = 6
    channels: int = 3
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, label: jax.Array | None = None, *, train: bool, taps: bool = False) -> Any:
        if x.shape[1] % 2 or x.shape[2] % 2:
            raise ValueError(f"images of {x.shape[1]}x{x.shape[2]}: both sides must be even")
        kinds = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        features = [x]
        x = EqualConv(self.width, 1, name="from_image", **kinds)(x)
        x = ResidualBlock(2 * self.width, down=True, name="down", **kinds)(x)
        features.append(x)
        for i in range(self.blocks):
            x = ResidualBlock(2 * self.width, name=f"block_{i}", **kinds)(x)
            if taps and i == min(1, self.blocks - 1):
                return [*features, x]
        x = EqualConv(self.width, demodulate=True, name="up", **kinds)(resample.upsample(x))
        x = EqualConv(self.channels, 1, activate=False, name="to_image", **kinds)(x)
        return GOutput(x.astype(self.param_dtype))


class Discriminator(nn.Module):
    """Images (B, H, W, C) -> logits (B,) and the features of all blocks.

    Residual blocks halve the sides until the shorter one has 4 pixels (up to 7); widths double from `width` to `most`.
    """

    width: int = 32
    most: int = 384
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, label: jax.Array | None = None, *, train: bool) -> DOutput:
        kinds = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        downs = max(int(math.log2(min(x.shape[1:3]))) - 2, 0)
        if x.shape[1] % 2**downs or x.shape[2] % 2**downs:
            raise ValueError(f"images of {x.shape[1]}x{x.shape[2]}: both sides must be divisible by {2**downs}")
        features = [EqualConv(self.width, 1, name="from_image", **kinds)(x)]
        for i in range(downs):
            width = min(self.width * 2 ** (i + 1), self.most)
            features.append(ResidualBlock(width, down=True, name=f"block_{i}", **kinds)(features[-1]))
        width = min(self.width * 2**downs, self.most)
        x = EqualConv(width, name="conv", **kinds)(features[-1])
        x = EqualDense(width, activate=True, name="dense", **kinds)(x.reshape(x.shape[0], -1))
        logits = EqualDense(1, name="head", **kinds)(x)[:, 0].astype(self.param_dtype)
        return DOutput((logits,), tuple(features))
