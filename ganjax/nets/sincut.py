"""The nets of SinCUT (Park et al. 2020, arXiv 2007.15651, section 4.4), of StyleGAN2's layers.

There are no norms, so a tile gets the same output as in the whole image.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ganjax.nets.equalized import EqualConv, EqualDense, ResidualBlock
from ganjax.ops import resample
from ganjax.state import DOutput, GOutput

Dtype = Any


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
