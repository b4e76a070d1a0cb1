"""StyleGAN2 (Karras et al. 2020, arXiv 1912.04958), as trained with ADA (arXiv 2006.06676).

A mapping network turns a latent z into w, which sets the scale of each channel before each convolution of the synthesis
network. Sizes in pixels are those of square images; others have the same depth, and rectangular grids.
"""

import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ganjax.nets.conditional import multi_hot
from ganjax.nets.equalized import STANDARD_NORMAL, EqualConv, EqualDense, ResidualBlock, activation
from ganjax.nets.resnet import base_grid
from ganjax.ops import conv as ops
from ganjax.ops import resample
from ganjax.state import DOutput, GOutput

Dtype = Any
MAPPING_RATE = 0.01  # of the mapping network, over the learning rate
W_DECAY = 0.995  # of the moving average of w, at each update
TOP = 4  # resolutions, from that of the images down, that a low precision applies to; never to the base grid
NOISE, CUT, SECOND = range(3)  # uses of an image's key


class Generator(nn.Module):
    """z (B, z_dim), label int32 (B, A) -> images (B, H, W, channels), not limited to [-1, 1]; aux "ws": `map`'s.

    widths: channels at each resolution, from the base grid to the images. mixing: the probability, in training, that an
    image's layers from a random one on follow another latent (section 3.1 of arXiv 1812.04948). keys (B,): of the
    images' mixing and noise; without them there is no mixing, and the noise is one that never changes.
    sizes: the number of values of each attribute of a label; () without labels.
    """

    resolution: tuple[int, int]
    widths: Sequence[int]
    w_dim: int = 512
    depth: int = 8
    channels: int = 3
    mixing: float = 0.9
    sizes: Sequence[int] = ()
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    def setup(self):
        self.mapping = Mapping(self.w_dim, self.depth, self.sizes, self.param_dtype)
        self.synthesis = Synthesis(self.resolution, self.widths, self.channels, self.dtype, self.param_dtype)
        self.average = self.variable("averages", "w", jnp.zeros, (self.w_dim,), self.param_dtype)

    @property
    def layers(self) -> int:
        """The number of layers that follow a w of their own; the last one makes the image alone."""
        return 2 * len(self.widths)

    def __call__(
        self, z: jax.Array, label: jax.Array | None = None, *, train: bool, keys: jax.Array | None = None
    ) -> GOutput:
        ws = self.map(z, label, train=train)
        if train and self.mixing and keys is not None:
            ws = self._mixed(ws, z, label, keys)
        return GOutput(self.synthesize(ws, train=train, keys=keys), {"ws": ws})

    def map(self, z: jax.Array, label: jax.Array | None = None, *, train: bool) -> jax.Array:
        """Return ws (B, layers, w_dim), the same for all layers. Training moves the average of w."""
        w = self.mapping(z, label)
        if train and self.is_mutable_collection("averages") and not self.is_initializing():
            mean = jax.lax.stop_gradient(jnp.mean(w, 0))
            self.average.value = (mean + W_DECAY * (self.average.value - mean)).astype(self.param_dtype)
        return jnp.repeat(w[:, None], self.layers, 1)

    def synthesize(self, ws: jax.Array, *, train: bool = False, keys: jax.Array | None = None) -> jax.Array:
        """Return the images (B, H, W, channels) of ws (B, layers, w_dim)."""
        return self.synthesis(ws, keys)

    def _mixed(self, ws: jax.Array, z: jax.Array, label: jax.Array | None, keys: jax.Array) -> jax.Array:
        def cut(key: jax.Array) -> jax.Array:
            happens, place = jax.random.split(jax.random.fold_in(key, CUT))
            cut = jax.random.randint(place, (), 1, self.layers)
            return jnp.where(jax.random.bernoulli(happens, self.mixing), cut, self.layers)

        second = jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, SECOND), z.shape[1:], z.dtype))(keys)
        other = self.mapping(second, label)[:, None]
        return jnp.where(jnp.arange(self.layers)[:, None] < jax.vmap(cut)(keys)[:, None, None], ws, other)


class Mapping(nn.Module):
    """z (B, z_dim), label int32 (B, A) -> w (B, features). Without z it embeds labels, for D."""

    features: int = 512
    depth: int = 8
    sizes: Sequence[int] = ()
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array | None, label: jax.Array | None = None) -> jax.Array:
        kinds, parts = {"param_dtype": self.param_dtype}, [] if z is None else [unit(z)]
        if self.sizes:
            embed = EqualDense(self.features, name="embed", **kinds)(multi_hot(label, self.sizes, self.param_dtype))
            parts.append(unit(embed))
        x = jnp.concatenate(parts, -1)
        for i in range(self.depth):
            x = EqualDense(self.features, activate=True, rate=MAPPING_RATE, name=f"dense_{i}", **kinds)(x)
        return x


class Synthesis(nn.Module):
    """ws (B, 2 len(widths), w_dim) -> images. A learned base grid; at each resolution two styled convolutions, the
    first of which doubles the sides (the base grid has the second only); the images of all resolutions are added up.
    """

    resolution: tuple[int, int]
    widths: Sequence[int]
    channels: int
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, ws: jax.Array, keys: jax.Array | None) -> jax.Array:
        grid = base_grid(self.resolution, len(self.widths) - 1)
        x = self.param("base", STANDARD_NORMAL, (*grid, self.widths[0]), self.param_dtype)
        x, image, layer = jnp.broadcast_to(x, (len(ws), *x.shape)), None, 0
        for i, width in enumerate(self.widths):
            dtype = self.dtype if i >= max(len(self.widths) - TOP, 1) else None
            kinds = {"dtype": dtype, "param_dtype": self.param_dtype}
            for name, up in (("up", True), ("conv", False)) if i else (("conv", False),):
                size = tuple(side << i for side in grid)
                convolve = StyledConv(width, up, name=f"{name}_{i}", **kinds)
                x, layer = convolve(x, ws[:, layer], noise(layer, size, keys, x.dtype)), layer + 1
            new = ToImage(self.channels, name=f"to_image_{i}", **kinds)(x, ws[:, layer]).astype(self.param_dtype)
            image = new if image is None else resample.upsample(image) + new
        return image


def noise(layer: int, size: tuple[int, int], keys: jax.Array | None, dtype: Dtype) -> jax.Array:
    """Return N(0, 1) noise (B, H, W, 1), of each image's key; without keys (1, H, W, 1), of the layer alone."""
    if keys is None:
        return jax.random.normal(jax.random.key(layer), (1, *size, 1), dtype)
    keys = jax.vmap(lambda key: jax.random.fold_in(jax.random.fold_in(key, NOISE), layer))(keys)
    return jax.vmap(lambda key: jax.random.normal(key, (*size, 1), dtype))(keys)


class StyledConv(nn.Module):
    """x (B, H, W, I), w (B, w_dim), noise (B or 1, H', W', 1) -> (B, H', W', features), twice the sides with `up`.

    A 3x3 convolution whose kernel is scaled by the style of each input channel, then to norm 1 for each output channel
    (section 2.2); noise times a learned strength; bias and activation. The scales are applied to the activations, in
    place of a kernel for each image: the same, by linearity.
    """

    features: int
    up: bool = False
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array, noise: jax.Array) -> jax.Array:
        kernel = self.param("kernel", STANDARD_NORMAL, (3, 3, x.shape[-1], self.features), self.param_dtype)
        style = EqualDense(x.shape[-1], bias=1.0, param_dtype=self.param_dtype, name="style")(w)
        norm = jax.lax.rsqrt(style**2 @ jnp.sum(kernel**2, (0, 1)) + 1e-8)
        strength = self.param("noise", nn.initializers.zeros_init(), (), self.param_dtype)
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,), self.param_dtype)
        dtype = self.dtype or self.param_dtype
        x, kernel, style, norm, strength, bias, noise = (
            array.astype(dtype) for array in (x, kernel, style, norm, strength, bias, noise)
        )
        x = x * style[:, None, None]
        x = doubled(x, kernel) if self.up else ops.conv(x, kernel)
        return activation(x * norm[:, None, None] + strength * noise + bias)


def doubled(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Return x (B, 2 H, 2 W, O): zeros between the pixels, the convolution, then the filter [1, 3, 3, 1]."""
    wide = ops.conv_transpose(x, kernel, (2, 2), "VALID")
    return 4 * resample.downsample(wide, factor=1)[:, 1:, 1:]


class ToImage(nn.Module):
    """x (B, H, W, I), w (B, w_dim) -> (B, H, W, channels): a 1x1 convolution, a style scales its inputs, and a bias."""

    channels: int
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array) -> jax.Array:
        style = EqualDense(x.shape[-1], bias=1.0, param_dtype=self.param_dtype, name="style")(w)
        x = x * style[:, None, None].astype(x.dtype)
        kinds = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        return EqualConv(self.channels, 1, activate=False, name="conv", **kinds)(x)


class Discriminator(nn.Module):
    """Images (B, H, W, C), label int32 (B, A) -> logits (B,) and the features (B, widths[-1]) that they are linear in.

    widths: channels at each resolution, from the images to the grid of the last layers. group: images whose standard
    deviation becomes a channel there (arXiv 1710.10196): every (B / group)-th, so that accumulated parts of a batch
    have whole groups; 1: no such channel. residual: blocks with a shortcut. With `sizes` the logits are the scalar
    product of a map of the features and one of the label.
    """

    widths: Sequence[int]
    group: int = 4
    residual: bool = True
    sizes: Sequence[int] = ()
    depth: int = 8
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, label: jax.Array | None = None, *, train: bool) -> DOutput:
        base_grid(x.shape[1:3], len(self.widths) - 1)  # raises ValueError for sides that cannot be halved

        def kinds(i: int) -> dict:
            return {"dtype": self.dtype if i < TOP else None, "param_dtype": self.param_dtype}

        x = EqualConv(self.widths[0], 1, name="from_image", **kinds(0))(x)
        for i, width in enumerate(self.widths[1:]):
            if self.residual:
                x = ResidualBlock(width, down=True, name=f"block_{i}", **kinds(i))(x)
            else:
                x = EqualConv(x.shape[-1], name=f"conv_{i}_0", **kinds(i))(x)
                x = EqualConv(width, down=True, name=f"conv_{i}_1", **kinds(i))(x)
        x, last, kind = x.astype(self.param_dtype), self.widths[-1], {"param_dtype": self.param_dtype}
        if self.group > 1:
            x = jnp.concatenate([x, deviation(x, self.group)], -1)
        x = EqualConv(last, name="conv", **kind)(x)
        features = EqualDense(last, activate=True, name="dense", **kind)(x.reshape(len(x), -1))
        head = EqualDense(last if self.sizes else 1, name="head", **kind)(features)
        if not self.sizes:
            return DOutput((head[:, 0],), (features,))
        embedding = Mapping(last, self.depth, self.sizes, name="mapping", **kind)(None, label)
        return DOutput((jnp.sum(head * embedding, -1) / math.sqrt(last),), (features,))


def deviation(x: jax.Array, group: int) -> jax.Array:
    """Return (B, H, W, 1): the standard deviation over a group of images, averaged over pixels and channels.

    Raises ValueError if the batch has no whole groups.
    """
    count, group = len(x), min(group, len(x))
    if count % group:
        raise ValueError(f"a batch of {count} has no whole groups of {group} images")
    centred = x.reshape(group, count // group, *x.shape[1:])
    centred -= jnp.mean(centred, 0)
    std = jnp.mean(jnp.sqrt(jnp.mean(centred**2, 0) + 1e-8), (1, 2, 3))
    return jnp.broadcast_to(jnp.tile(std, group)[:, None, None, None], (*x.shape[:3], 1))


def unit(x: jax.Array) -> jax.Array:
    """Return vectors scaled to a mean square of 1."""
    return x * jax.lax.rsqrt(jnp.mean(x**2, -1, keepdims=True) + 1e-8)
