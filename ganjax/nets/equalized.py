"""StyleGAN2's layers (Karras et al. 2020, arXiv 1912.04958).

Weights are initialised from N(0, 1) and multiplied by 1 / sqrt(fan-in) in each forward pass (equalised learning rate:
Karras et al. 2018, arXiv 1710.10196); activations are leaky ReLU 0.2 times sqrt(2), which keeps the mean square.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ganjax.ops import conv as ops
from ganjax.ops import resample

Dtype = Any
STANDARD_NORMAL = nn.initializers.normal(1.0)
SQRT_2 = math.sqrt(2)


def activation(x: jax.Array) -> jax.Array:
    return nn.leaky_relu(x, 0.2) * SQRT_2


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
            kernel = kernel * jax.lax.rsqrt(jnp.sum(kernel**2, (0, 1, 2)) + 1e-8)
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
        return activation(x) if self.activate else x


class EqualDense(nn.Module):
    """(B, I) -> (B, features): a linear map, a bias and, if `activate`, an activation.

    rate: factor of the learning rate: weights are stored 1 / rate times as large, and biases, too. bias: their start.
    """

    features: int
    activate: bool = False
    rate: float = 1.0
    bias: float = 0.0
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape, bias = (x.shape[-1], self.features), nn.initializers.constant(self.bias / self.rate)
        kernel = self.param("kernel", nn.initializers.normal(1 / self.rate), shape, self.param_dtype)
        kernel = kernel * (self.rate / math.sqrt(x.shape[-1]))  # *= would change a NumPy array of the caller's
        bias = self.rate * self.param("bias", bias, (self.features,), self.param_dtype)
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        x = x @ kernel + bias
        return activation(x) if self.activate else x


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
