"""Nets for image translation: CycleGAN's residual generator (Zhu et al. 2017, arXiv 1703.10593), optionally with CUT's
blurred resampling (Park et al. 2020, arXiv 2007.15651), pix2pix's U-Net (Isola et al. 2017, arXiv 1611.07004),
PatchGAN discriminators, and CUT's projection heads.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ganjax.nets.layers import Conv, ConvTranspose, InstanceNorm, norm
from ganjax.nets.stages import Layer, Norm, Residual, Stage
from ganjax.ops import resample
from ganjax.state import DOutput, GOutput

Dtype = Any
NORMAL = nn.initializers.normal(0.02)
PAD_1 = ((1, 1), (1, 1))
PAD_UP = ((1, 2), (1, 2))  # with which a 3x3 transposed convolution of stride 2 doubles the sides, as in PyTorch


def xavier(gain: float = 0.02) -> Callable:
    """Return Glorot's normal initialiser times `gain`, as in CUT's nets."""
    return nn.initializers.variance_scaling(gain**2, "fan_avg", "normal")


class Generator(nn.Module):
    """Images (B, H, W, C) -> images (B, H, W, channels) in [-1, 1]; H and W must be divisible by 4.

    c7s1-64, d128, d256, `blocks` residual blocks (nine, or six at 128 px), u128, u64, c7s1-3, with reflection padding
    at stride 1 and instance norm without parameters. With `blur` the resampling is CUT's: to halve the sides, a
    convolution of stride 1 and a [1, 2, 1] filter that keeps every second pixel; to double them, a [1, 3, 3, 1] filter
    and a convolution of stride 1.

    With `taps` it returns instead the list of features that CUT compares, and computes nothing after the last: the
    padded image, the two downsampling convolutions before their norms, and the residual blocks 1 and 5 (if there are
    fewer than 5, the last).
    """

    width: int = 64
    blocks: int = 9
    channels: int = 3
    norm: str = "instance"
    blur: bool = False
    kernel_init: Callable = NORMAL
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.nowrap
    def stages(self, train: bool = False) -> Iterator[Stage]:
        """Yield the generator's layers in order."""
        common = {"kernel_init": self.kernel_init, "dtype": self.dtype, "param_dtype": self.param_dtype}

        def norm_relu(name: str) -> Norm:
            return Norm(norm(self.norm, train, self.dtype, self.param_dtype, name))

        yield Layer(Conv(self.width, (7, 7), padding="VALID", name="stem", **common), reach=3, reflect=3)
        yield norm_relu("stem_norm")
        for i in (1, 2):
            strides = (1, 1) if self.blur else (2, 2)
            yield Layer(Conv(self.width * 2**i, (3, 3), strides, PAD_1, name=f"down_{i}", **common), reach=strides[0])
            yield norm_relu(f"down_norm_{i}")
            if self.blur:
                yield Layer(blur_pool, reach=2)
        for i in range(self.blocks):
            yield Residual(ResidualBranch(self.width * 4, self.norm, train, name=f"block_{i}", **common))
        for i in (1, 0):
            width = self.width * 2**i
            if self.blur:
                yield Layer(resample.bilinear, reach=1)
                yield Layer(Conv(width, (3, 3), (1, 1), PAD_1, name=f"up_{i}", **common), reach=1)
            else:
                yield Layer(ConvTranspose(width, (3, 3), (2, 2), PAD_UP, name=f"up_{i}", **common), reach=1)
            yield norm_relu(f"up_norm_{i}")
        yield Layer(Conv(self.channels, (7, 7), padding="VALID", name="to_image", **common), reach=3, reflect=3)
        yield Layer(self.bounded)

    @nn.nowrap
    def bounded(self, x: jax.Array) -> jax.Array:
        """Return tanh(x), images in [-1, 1], in the parameters' dtype."""
        return jnp.tanh(x.astype(self.param_dtype))

    @nn.compact
    def __call__(self, x: jax.Array, label: jax.Array | None = None, *, train: bool, taps: bool = False) -> Any:
        if x.shape[1] % 4 or x.shape[2] % 4:
            raise ValueError(f"images of {x.shape[1]}x{x.shape[2]}: both sides must be divisible by 4")
        last = f"block_{min(4, self.blocks - 1)}"
        tap_names = ("down_1", "down_2", "block_0", last)
        stem, *stages = self.stages(train)
        x = stem.padded(x)
        features = [x]
        x = stem.function(x)
        for stage in stages:
            x = stage(x)
            if stage.name in tap_names:
                features.append(x)
            if taps and stage.name == last:
                return features
        return GOutput(x)


class ResidualBranch(nn.Module):
    """(B, H, W, C) -> the same shape: two 3x3 convolutions, each with reflection padding and a norm; ReLU between."""

    width: int
    norm: str
    train: bool
    kernel_init: Callable
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.nowrap
    def stages(self) -> Iterator[Stage]:
        """Yield the branch's layers in order."""
        common = {"kernel_init": self.kernel_init, "dtype": self.dtype, "param_dtype": self.param_dtype}
        for i in range(2):
            conv = Conv(self.width, (3, 3), padding="VALID", name=f"conv_{i}", **common)
            yield Layer(conv, reach=1, reflect=1)
            yield Norm(norm(self.norm, self.train, self.dtype, self.param_dtype, f"norm_{i}"), relu=i == 0)

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for stage in self.stages():
            x = stage(x)
        return x


def blur_pool(x: jax.Array) -> jax.Array:
    """Return the images at half the sides: a [1, 2, 1] filter, then every second pixel."""
    return resample.downsample(x, resample.BINOMIAL, 2, "reflect")


class Discriminator(nn.Module):
    """Images (B, H, W, C) -> logits (B, H / 8 - 2, W / 8 - 2), one per 70x70 patch, and the features of all layers."""

    width: int = 64
    layers: int = 3
    norm: str = "instance"
    slope: float = 0.2
    kernel_init: Callable = NORMAL
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, label: jax.Array | None = None, *, train: bool) -> DOutput:
        common = {"kernel_init": self.kernel_init, "dtype": self.dtype, "param_dtype": self.param_dtype}
        features = []
        for i in range(self.layers + 1):
            strides = (1, 1) if i == self.layers else (2, 2)
            x = Conv(self.width * min(2**i, 8), (4, 4), strides, PAD_1, name=f"conv_{i}", **common)(x)
            if i > 0:
                x = norm(self.norm, train, self.dtype, self.param_dtype, f"norm_{i}")(x)
            x = nn.leaky_relu(x, self.slope)
            features.append(x)
        logits = Conv(1, (4, 4), padding=PAD_1, name="head", **common)(x)[..., 0]
        return DOutput((logits.astype(self.param_dtype),), tuple(features))


class MultiScale(nn.Module):
    """Images -> the logits and the features of `scales` discriminators, each of which sees the images at half the sides
    of the one before (Wang et al. 2018, arXiv 1711.11585).
    """

    discriminator: Callable  # (name) -> module
    scales: int = 2

    @nn.compact
    def __call__(self, x: jax.Array, label: jax.Array | None = None, *, train: bool) -> DOutput:
        logits, features = (), ()
        for i in range(self.scales):
            if i:
                x = resample.average_pool(x)
            out = self.discriminator(name=f"scale_{i}")(x, label, train=train)
            logits, features = logits + out.logits, features + out.features
        return DOutput(logits, features)


class UNet(nn.Module):
    """Images (B, H, W, C) -> images (B, H, W, channels) in [-1, 1]: pix2pix's U-Net.

    `depth` 4x4 convolutions of stride 2 down to one pixel (8 at 256 px: widths 64, 128, 256, 512, 512, ...), then as
    many transposed ones, with skip connections from the features of the same size. Images whose sides are not divisible
    by 2^depth are padded by reflection, and the output is cropped. The norm is an instance norm with scale and bias:
    the published batch norm at batch size 1, in training and inference alike. While training, dropout follows the
    transposed convolutions that output 8 * width channels, except the innermost.
    """

    depth: int = 8
    width: int = 64
    channels: int = 3
    dropout: float = 0.5
    kernel_init: Callable = NORMAL
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, label: jax.Array | None = None, *, train: bool) -> GOutput:
        height, width = x.shape[1:3]
        x = padded(x, 2**self.depth)
        common = {"kernel_init": self.kernel_init, "dtype": self.dtype, "param_dtype": self.param_dtype}
        widths = [self.width * min(2**i, 8) for i in range(self.depth)]
        skips = []
        for i, features in enumerate(widths):
            x = Conv(features, (4, 4), (2, 2), PAD_1, use_bias=False, name=f"down_{i}", **common)(
                nn.leaky_relu(x, 0.2) if i else x
            )
            if 0 < i < self.depth - 1:
                x = AffineInstanceNorm(self.dtype, self.param_dtype, name=f"down_norm_{i}")(x)
            skips.append(x)
        for i in reversed(range(self.depth)):
            last = i == 0
            features = self.channels if last else widths[i - 1]
            x = ConvTranspose(features, (4, 4), (2, 2), use_bias=last, name=f"up_{i}", **common)(nn.relu(x))
            if last:
                break
            x = AffineInstanceNorm(self.dtype, self.param_dtype, name=f"up_norm_{i}")(x)
            if 3 < i < self.depth - 1:
                x = nn.Dropout(self.dropout, deterministic=not train)(x)
            x = jnp.concatenate([skips[i - 1], x], -1)
        return GOutput(jnp.tanh(x.astype(self.param_dtype))[:, :height, :width])


class AffineInstanceNorm(nn.Module):
    """Instance norm with a scale, initialised from N(1, 0.02), and a bias: batch norm at batch size 1."""

    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        scale = self.param("scale", lambda *args: 1 + NORMAL(*args), (x.shape[-1],), self.param_dtype)
        bias = self.param("bias", nn.initializers.zeros_init(), (x.shape[-1],), self.param_dtype)
        x = InstanceNorm(name="norm")(x)
        x, scale, bias = nn.dtypes.promote_dtype(x, scale, bias, dtype=self.dtype)
        return x * scale + bias


class Projections(nn.Module):
    """CUT's projection heads: layers (B, H, W, C) -> unit vectors (B, P, features) of P pixels of each layer.

    Each layer has its own head: a linear map, ReLU, a linear map. `positions` (B, P) for each layer are the indices of
    its pixels, row by row.
    """

    features: int = 256
    kernel_init: Callable = xavier()
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self, layers: Sequence[jax.Array], positions: Sequence[jax.Array], *, train: bool = False
    ) -> list[jax.Array]:
        common = {"kernel_init": self.kernel_init, "dtype": self.dtype, "param_dtype": self.param_dtype}
        vectors = []
        for i, (layer, indices) in enumerate(zip(layers, positions, strict=True)):
            flat = layer.reshape(layer.shape[0], -1, layer.shape[-1])
            x = jnp.take_along_axis(flat, indices[..., None], 1)
            x = nn.relu(nn.Dense(self.features, name=f"first_{i}", **common)(x))
            x = nn.Dense(self.features, name=f"second_{i}", **common)(x).astype(self.param_dtype)
            square = jnp.sum(x**2, -1, keepdims=True)
            # A head can output 0, where the square root has no derivative.
            length = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
            vectors.append(x / (length + 1e-7))
        return vectors


def tapped(generator: nn.Module, image: jax.Array) -> list[jax.Array]:
    """Return zeros with the shapes and dtypes of the features that `generator` taps, without running it."""
    layers = jax.eval_shape(lambda: generator.init_with_output(jax.random.key(0), image, train=False, taps=True)[0])
    return [jnp.zeros(layer.shape, layer.dtype) for layer in layers]


def first_pixels(layers: Sequence[jax.Array]) -> list[jax.Array]:
    """Return for each layer the position of its first pixel, int32 (1, 1): example input for `Projections`."""
    return [jnp.zeros((1, 1), jnp.int32)] * len(layers)


def padded(x: jax.Array, multiple: int) -> jax.Array:
    """Return images padded by reflection at the bottom and the right to sides that are multiples of `multiple`.

    A side that is too short for one reflection is reflected repeatedly, with the edge pixel repeated.
    """
    target = [math.ceil(side / multiple) * multiple for side in x.shape[1:3]]
    sides = [(0, new - old) for new, old in zip(target, x.shape[1:3], strict=True)]
    modes = ["symmetric" if after >= old else "reflect" for (_, after), old in zip(sides, x.shape[1:3], strict=True)]
    for axis, (side, mode) in enumerate(zip(sides, modes, strict=True), 1):
        widths = [(0, 0)] * 4
        widths[axis] = side
        x = jnp.pad(x, widths, mode=mode)
    return x
