"""The networks of SinGAN (Shaham et al. 2019, arXiv 1905.01164): a small fully convolutional pair for each scale.

Norms see one image at a time. The authors' have the statistics of a batch of one image, in sampling too: the same.
"""

import functools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ganjax.nets.layers import Conv, InstanceNorm
from ganjax.ops import resample
from ganjax.state import DOutput

Dtype = Any
Size = tuple[int, int]  # (height, width)
NORMAL = nn.initializers.normal(0.02)
LEAKY = functools.partial(nn.leaky_relu, negative_slope=0.2)
CONVOLUTIONS = 5  # 3x3 without padding, which see 11x11 pixels
MARGIN = CONVOLUTIONS  # zeros around G's input, which the convolutions take off again
DOUBLE_EVERY, MOST_TIMES = 4, 4  # scales after which the features double, to at most 4 times as many


def pyramid(size: Size, smallest: int, factor: float) -> list[float]:
    """Return each scale's share of the sides, from the coarsest to 1.0, for training images of this size.

    The coarsest shorter side is `smallest` pixels; the ratio of neighbouring scales is the nearest to `factor` from
    above that divides the way there evenly. Raises ValueError if an image is smaller than the coarsest scale.
    """
    if min(size) < smallest:
        raise ValueError(f"images of {size[1]}x{size[0]} are smaller than the coarsest scale, {smallest} pixels")
    share = smallest / min(size)
    count = math.ceil(round(math.log(share) / math.log(factor), 6))
    return [share ** ((count - n) / count) for n in range(count)] + [1.0]


def scaled(size: Size, share: float) -> Size:
    """Return (height, width) times a share, at least one pixel."""
    return tuple(max(round(side * share), 1) for side in size)


def features(width: int, scale: int) -> int:
    """Return the features of the convolutions of a scale, 0 for the coarsest."""
    return width * min(2 ** (scale // DOUBLE_EVERY), MOST_TIMES)


class Body(nn.Module):
    """(B, H, W, I) -> (B, H - 10, W - 10, outputs): four layers of 3x3, norm, leaky ReLU, and a last convolution."""

    width: int
    outputs: int
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        dtypes = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        conv = functools.partial(Conv, kernel_size=(3, 3), padding="VALID", kernel_init=NORMAL, **dtypes)
        for i in range(CONVOLUTIONS - 1):
            x = InstanceNorm(name=f"norm_{i}")(conv(self.width, use_bias=False, name=f"conv_{i}")(x))
            scale = self.param(f"scale_{i}", lambda *args: 1 + NORMAL(*args), (self.width,), self.param_dtype)
            shift = self.param(f"shift_{i}", nn.initializers.zeros_init(), (self.width,), self.param_dtype)
            x = LEAKY(x * scale.astype(x.dtype) + shift.astype(x.dtype))
        return conv(self.outputs, name=f"conv_{CONVOLUTIONS - 1}")(x)


class Generator(nn.Module):
    """One scale: image and noise (B, H, W, C) -> image + tanh(body(image + std noise)), which is not clipped.

    image: that of the next coarser scale, enlarged; zeros at the coarsest. std: a scalar in the collection "noise", set
    when the training of the scale begins; as long as it is 0, the image stays as it is.
    """

    width: int = 32
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array, noise: jax.Array, *, train: bool = True) -> jax.Array:
        del train  # the norms have no running statistics
        std = self.variable("noise", "std", jnp.zeros, (), self.param_dtype).value
        body = Body(self.width, image.shape[-1], self.dtype, self.param_dtype, name="body")
        x = resample.pad((image + std * noise).astype(image.dtype), MARGIN)
        return jnp.where(std > 0, image + jnp.tanh(body(x)).astype(image.dtype), image)


class Discriminator(nn.Module):
    """One scale: images (B, H, W, C) -> a map of logits (B, H - 10, W - 10), each of which sees 11x11 pixels."""

    width: int = 32
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = True) -> DOutput:
        del train
        return DOutput((Body(self.width, 1, self.dtype, self.param_dtype, name="body")(x)[..., 0],))
