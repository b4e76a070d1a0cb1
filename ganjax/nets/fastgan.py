"""The networks of FastGAN (Liu et al. 2021, arXiv 2101.04775), and the generator of Projected GAN, which is made of it.

Gated linear units halve the features of every convolution. Skip-layer excitation: a layer of low resolution scales the
channels of one of high resolution. All layers have spectral normalisation. Sizes in pixels are those of square images;
others have the same depth, and rectangular grids.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ganjax.nets.conditional import ConditionalNorm, multi_hot
from ganjax.nets.layers import Conv, DoublingConv, norm
from ganjax.nets.resnet import base_grid
from ganjax.nets.spectral import weighted
from ganjax.ops import resample
from ganjax.state import DOutput, GOutput

Dtype = Any
NORMAL = nn.initializers.normal(0.02)
LEAKY = functools.partial(nn.leaky_relu, negative_slope=0.2)
DOWN = {"kernel_size": (4, 4), "strides": (2, 2), "padding": ((1, 1), (1, 1))}
MULTIPLIERS = (16, 8, 4, 2, 2, 1, 0.5, 0.25, 0.125)  # G's features over its width, at 4, 8, 16, ... pixels
EXCITED = 4  # layer i of G is scaled by layer i - 4: that of 64 pixels by that of 4
BLOCKS = ("light", "alternate", "double")

D_MULTIPLIERS = (8, 4, 2, 1, 0.5, 0.25)  # D's features over its width, at 8, 16, ..., 256 pixels
D_EXCITED = 3
D_HEAD = 16  # D's features over its width before the logits
LARGEST = 256  # pixels that D's blocks see; the stem halves larger images
DECODER_MULTIPLIERS = (2, 1, 1, 0.5)  # a decoder's features over D's width, at 16, 32, 64, 128 pixels


def small_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return (height, width) of G's second output: 128 pixels on the shorter side, or half of it if that is less."""
    factor = 2 ** max(int(math.log2(min(size) // 4)) - 5, 1)
    return size[0] // factor, size[1] // factor


class Generator(nn.Module):
    """z (B, z_dim), label int32 (B, A) -> images (B, H, W, channels) in [-1, 1]; aux "small": the same at `small_size`.

    z, scaled to a unit mean square, gives the base grid, whose shorter side has 4 pixels. Each block doubles the sides:
    nearest upsampling, a 3x3 convolution, batch norm and a gated linear unit; from 64 pixels on, excitation. A double
    block has a second convolution, and noise after both: N(0, 1) for each pixel, times a weight that begins at 0.
    blocks: "light" (Projected GAN's fastgan_lite), "double" (its fastgan), "alternate" (FastGAN: the first, third, ...
    are double). The noise comes from the random stream "noise": for each image in training, else one for all images;
    without the stream there is none.
    sizes: the number of values of each attribute of a label, on which the norms are conditioned; () without labels.
    small: whether to return the small images.
    """

    resolution: tuple[int, int]
    width: int = 128
    channels: int = 3
    blocks: str = "light"
    small: bool = False
    sizes: Sequence[int] = ()
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array, label: jax.Array | None = None, *, train: bool) -> GOutput:
        if self.blocks not in BLOCKS:
            raise ValueError(f"blocks {self.blocks!r} are none of {', '.join(BLOCKS)}")
        count = int(math.log2(max(min(self.resolution) // 4, 1)))
        h, w = base_grid(self.resolution, count)
        widths = [max(round(self.width * multiplier), 1) for multiplier in MULTIPLIERS[: count + 1]]
        condition = multi_hot(label, self.sizes, self.param_dtype) if self.sizes else None
        layer = functools.partial(_layer, self, train)

        def gated(x: jax.Array, name: str) -> jax.Array:
            if condition is None:
                x = norm("batch", train, self.dtype, self.param_dtype, name)(x)
            else:
                dtypes = {"dtype": self.dtype, "param_dtype": self.param_dtype}
                x = ConditionalNorm(name=name, **dtypes)(x, condition, train=train)
            return nn.glu(x)

        z = z * jax.lax.rsqrt(jnp.mean(z * z, -1, keepdims=True) + 1e-8)
        x = layer(nn.Dense, "project", h * w * 2 * widths[0])(z).reshape(-1, h, w, 2 * widths[0])
        layers = [gated(x, "norm_0")]
        for i, width in enumerate(widths[1:], 1):
            double = self.blocks == "double" or (self.blocks == "alternate" and i % 2)
            x = layer(DoublingConv, f"conv_{i}", 2 * width)(layers[-1])
            x = gated(self._noisy(x, f"noise_{i}", train) if double else x, f"norm_{i}")
            if double:
                x = layer(Conv, f"conv_{i}_2", 2 * width, kernel_size=(3, 3))(x)
                x = gated(self._noisy(x, f"noise_{i}_2", train), f"norm_{i}_2")
            if i >= EXCITED:
                x *= _excitation(layer, layers[i - EXCITED], (h, w), width, f"excite_{i}")
            layers.append(x)
        image = layer(Conv, "to_image", self.channels, kernel_size=(3, 3))(layers[-1])
        image, aux = jnp.tanh(image.astype(self.param_dtype)), {}
        if self.small:
            x = next(x for x in layers if x.shape[1:3] == small_size(self.resolution))
            small = layer(Conv, "to_small", self.channels, kernel_size=(1, 1))(x)
            aux = {"small": jnp.tanh(small.astype(self.param_dtype))}
        return GOutput(image, aux)

    @nn.nowrap
    def _noisy(self, x: jax.Array, name: str, train: bool) -> jax.Array:
        weight = self.param(name, nn.initializers.zeros_init(), (), self.param_dtype)
        if not self.has_rng("noise"):
            return x
        noise = jax.random.normal(self.make_rng("noise"), (len(x) if train else 1, *x.shape[1:3], 1), x.dtype)
        return x + weight.astype(x.dtype) * noise


class Discriminator(nn.Module):
    """(images (B, H, W, C), the same at `small_size`) -> logits (B, number of patches of both), the last features.

    The images are halved to a grid of 8 pixels by residual blocks, the mean of two branches: a 4x4 convolution of
    stride 2 and a 3x3 one; and mean pooling with a 1x1 one. A second network halves the small images. Logits are 5x5
    for each. quadrant: int32 (B,), 0 to 3, row by row; if it is given, aux has reconstructions in [-1, 1] of the size
    of the small images: "image" and "small", of the whole image, from the last features of either network, and
    "quadrant", of this quadrant, from that of the features of 16 pixels.
    """

    width: int = 64
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        images: tuple[jax.Array, jax.Array],
        label: jax.Array | None = None,
        *,
        quadrant: jax.Array | None = None,
        train: bool,
    ) -> DOutput:
        (image, small), layer = images, functools.partial(_layer, self, train)

        def normed(x: jax.Array, name: str) -> jax.Array:
            return norm("batch", train, self.dtype, self.param_dtype, name)(x)

        stems = max(int(math.log2(min(image.shape[1:3]) / LARGEST)), 0)
        downs = max(int(math.log2(min(image.shape[1:3]) / 2**stems / 8)), 2)
        widths = [max(round(self.width * multiplier), 1) for multiplier in reversed(D_MULTIPLIERS[: downs + 1])]
        grid = tuple(side // 2 ** (stems + downs) for side in image.shape[1:3])

        x = image
        if not stems:
            x = LEAKY(layer(Conv, "stem", widths[0], kernel_size=(3, 3))(x))
        for i in range(stems):
            x = layer(Conv, f"stem_{i}", max(widths[0] >> (stems - 1 - i), 1), **DOWN)(x)
            x = LEAKY(normed(x, f"stem_norm_{i}") if i else x)
        layers = [x]
        for i, width in enumerate(widths[1:], 1):
            x = _residual(layer, normed, layers[-1], width, f"down_{i}")
            if i >= D_EXCITED:
                half = tuple(side // 2 for side in grid)
                x *= _excitation(layer, layers[i - D_EXCITED], half, width, f"excite_{i}")
            layers.append(x)
        x = layer(Conv, "head", D_HEAD * self.width, kernel_size=(1, 1))(layers[-1])
        x = LEAKY(normed(x, "head_norm"))
        logits = [layer(Conv, "logits", 1, kernel_size=(4, 4), padding="VALID")(x)]

        y = small
        for i, width in enumerate(widths[1:-1], 1):
            y = layer(Conv, f"small_{i}", width, **DOWN)(y)
            y = LEAKY(normed(y, f"small_norm_{i}") if i > 1 else y)
        logits.append(layer(Conv, "small_logits", 1, kernel_size=(4, 4), padding="VALID")(y))
        aux = {}
        if quadrant is not None or self.is_initializing():
            quadrant = jnp.zeros(len(image), jnp.int32) if quadrant is None else quadrant
            sources = {"image": layers[-1], "small": y, "quadrant": quadrants(layers[-2], quadrant)}
            decoder = [max(round(self.width * multiplier), 1) for multiplier in DECODER_MULTIPLIERS[: downs - 1]]
            for name, x in sources.items():
                for i, width in enumerate(decoder):
                    x = layer(DoublingConv, f"decode_{name}_{i}", 2 * width)(x)
                    x = nn.glu(normed(x, f"decode_{name}_norm_{i}"))
                x = layer(Conv, f"decode_{name}", image.shape[-1], kernel_size=(3, 3))(x)
                aux[name] = jnp.tanh(x.astype(self.param_dtype))
        flat = jnp.concatenate([logit.astype(self.param_dtype).reshape(len(image), -1) for logit in logits], 1)
        return DOutput((flat,), (layers[-1],), aux=aux)


def quadrants(x: jax.Array, index: jax.Array) -> jax.Array:
    """Return one quadrant (B, H / 2, W / 2, C) of each image (B, H, W, C); index: int32 (B,), row by row."""
    b, h, w, c = x.shape
    parts = x.reshape(b, 2, h // 2, 2, w // 2, c).swapaxes(2, 3).reshape(b, 4, h // 2, w // 2, c)
    return jnp.take_along_axis(parts, index[:, None, None, None, None], 1)[:, 0]


def _layer(module: nn.Module, train: bool, kind: type[nn.Module], name: str, features: int, **fields) -> Callable:
    """Return a layer of the module without bias, with spectral normalisation and kernels from N(0, 0.02)."""
    fields |= {"use_bias": False, "kernel_init": NORMAL, "dtype": module.dtype, "param_dtype": module.param_dtype}
    return weighted("spectral", train, kind, features, name=name, **fields)


def _excitation(layer: Callable, x: jax.Array, grid: tuple[int, int], width: int, name: str) -> jax.Array:
    """Return the factors (B, 1, 1, width) in [0, 1] that a layer x, pooled to the grid, gives to another's channels."""
    if x.shape[1] > grid[0]:
        x = resample.average_pool(x, x.shape[1] // grid[0])
    x = nn.swish(layer(Conv, f"{name}_pool", width, kernel_size=grid, padding="VALID")(x))
    return nn.sigmoid(layer(Conv, f"{name}_scale", width, kernel_size=(1, 1))(x))


def _residual(layer: Callable, normed: Callable, x: jax.Array, width: int, name: str) -> jax.Array:
    """Return D's block: the mean of both branches, at half the sides."""
    main = LEAKY(normed(layer(Conv, f"{name}_conv_0", width, **DOWN)(x), f"{name}_norm_0"))
    main = LEAKY(normed(layer(Conv, f"{name}_conv_1", width, kernel_size=(3, 3))(main), f"{name}_norm_1"))
    pooled = layer(Conv, f"{name}_pooled", width, kernel_size=(1, 1))(resample.average_pool(x, 2))
    return (main + LEAKY(normed(pooled, f"{name}_pooled_norm"))) / 2
