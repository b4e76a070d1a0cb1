"""CycleGAN's nets (Zhu et al. 2017, arXiv 1703.10593): a residual generator and the 70x70 PatchGAN."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ganjax.nets.layers import Conv, ConvTranspose, norm
from ganjax.ops import resample

Dtype = Any
NORMAL = nn.initializers.normal(0.02)
UP = ((1, 2), (1, 2))  # of a 3x3 transposed convolution of stride 2 that doubles the side, as PyTorch pads it


class Generator(nn.Module):
    """Images (B, H, W, C) -> images (B, H, W, channels) in [-1, 1]; H and W divide by 4.

    c7s1-64, d128, d256, `blocks` residual blocks (nine, or six at 128 px), u128, u64, c7s1-3, with reflection padding
    at stride 1 and instance norm without parameters.
    """

    width: int = 64
    blocks: int = 9
    channels: int = 3
    norm: str = "instance"
    kernel_init: Callable = NORMAL
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, label: jax.Array | None = None, *, train: bool) -> jax.Array:
        if x.shape[1] % 4 or x.shape[2] % 4:
            raise ValueError(f"images of {x.shape[1]}x{x.shape[2]}: both sides must divide by 4")
        common = {"kernel_init": self.kernel_init, "dtype": self.dtype, "param_dtype": self.param_dtype}

        def normalised(x, name):
            return norm(self.norm, train, self.dtype, self.param_dtype, name)(x)

        x = Conv(self.width, (7, 7), padding="VALID", name="stem", **common)(resample.pad(x, 3, "reflect"))
        x = nn.relu(normalised(x, "stem_norm"))
        for i in (1, 2):
            x = Conv(self.width * 2**i, (3, 3), (2, 2), ((1, 1), (1, 1)), name=f"down_{i}", **common)(x)
            x = nn.relu(normalised(x, f"down_norm_{i}"))
        for i in range(self.blocks):
            x = ResidualBlock(self.norm, name=f"block_{i}", **common)(x, train=train)
        for i in (1, 0):
            x = ConvTranspose(self.width * 2**i, (3, 3), (2, 2), UP, name=f"up_{i}", **common)(x)
            x = nn.relu(normalised(x, f"up_norm_{i}"))
        x = Conv(self.channels, (7, 7), padding="VALID", name="to_image", **common)(resample.pad(x, 3, "reflect"))
        return jnp.tanh(x.astype(self.param_dtype))


class ResidualBlock(nn.Module):
    """(B, H, W, C) -> the same shape: x plus two 3x3 convolutions, each with reflection padding and a norm."""

    norm: str
    kernel_init: Callable
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        common = {"kernel_init": self.kernel_init, "dtype": self.dtype, "param_dtype": self.param_dtype}
        y = x
        for i in range(2):
            y = Conv(x.shape[-1], (3, 3), padding="VALID", name=f"conv_{i}", **common)(resample.pad(y, 1, "reflect"))
            y = norm(self.norm, train, self.dtype, self.param_dtype, f"norm_{i}")(y)
            y = nn.relu(y) if i == 0 else y
        return x + y


class Discriminator(nn.Module):
    """Images (B, H, W, C) -> logits (B, H / 8 - 2, W / 8 - 2), one for each 70x70 patch, and all layers' features."""

    width: int = 64
    layers: int = 3
    norm: str = "instance"
    slope: float = 0.2
    kernel_init: Callable = NORMAL
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, label: jax.Array | None = None, *, train: bool
    ) -> tuple[jax.Array, list[jax.Array]]:
        common = {"kernel_init": self.kernel_init, "dtype": self.dtype, "param_dtype": self.param_dtype}
        features = []
        for i in range(self.layers + 1):
            strides = (1, 1) if i == self.layers else (2, 2)
            x = Conv(self.width * min(2**i, 8), (4, 4), strides, ((1, 1), (1, 1)), name=f"conv_{i}", **common)(x)
            if i > 0:
                x = norm(self.norm, train, self.dtype, self.param_dtype, f"norm_{i}")(x)
            x = nn.leaky_relu(x, self.slope)
            features.append(x)
        logits = Conv(1, (4, 4), padding=((1, 1), (1, 1)), name="head", **common)(x)[..., 0]
        return logits.astype(self.param_dtype), features
