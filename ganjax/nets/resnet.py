"""The residual nets of SNGAN, WGAN-GP, SAGAN and BigGAN: one generator and one discriminator, configured by fields.

Sources: Miyato et al. 2018 (arXiv 1802.05957), Gulrajani et al. 2017 (arXiv 1704.00028), Zhang et al. 2019
(arXiv 1805.08318), Brock et al. 2019 (arXiv 1809.11096). `ganjax/recipes/` sets the fields of each method.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ganjax.nets.conditional import ConditionalNorm, multi_hot
from ganjax.nets.layers import Conv, norm
from ganjax.nets.spectral import weighted
from ganjax.ops import resample
from ganjax.state import DOutput, GOutput

Dtype = Any
RESIDUAL = nn.initializers.variance_scaling(2.0, "fan_avg", "uniform")  # Xavier, gain sqrt(2)
DIRECT = nn.initializers.xavier_uniform()  # shortcuts, heads
ORTHOGONAL = nn.initializers.orthogonal()
UPSAMPLE = {"bilinear": resample.bilinear, "nearest": resample.nearest}


class Generator(nn.Module):
    """z (B, z_dim), label int32 (B, A) -> images (B, H, W, channels) in [-1, 1].

    A linear map to the base grid, H / 2^k x W / 2^k for k + 1 `widths`, then k blocks that double the sides.
    `attention` lists the blocks (0, 1, ...) that are followed by self-attention. `weight`, "none" or "spectral", is the
    kind of `spectral.weighted` of every layer.

    sizes:  the number of values of each of the A attributes of a label; () for an unconditional generator. With sizes
            the batch norms of the blocks are conditioned on the label.
    shared: > 0 for BigGAN's hierarchical latents: z is split into k + 1 equal parts, the first for the base grid. Each
            block is conditioned on its own part, concatenated with a label embedding of this width that all share.
    """

    resolution: tuple[int, int]
    widths: Sequence[int] = (256, 256, 256, 256)
    channels: int = 3
    upsample: str = "bilinear"
    weight: str = "none"
    attention: Sequence[int] = ()
    sizes: Sequence[int] = ()
    shared: int = 0
    residual_init: Callable = RESIDUAL
    direct_init: Callable = DIRECT
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array, label: jax.Array | None = None, *, train: bool) -> GOutput:
        dtypes = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        blocks = len(self.widths) - 1
        h, w = base_grid(self.resolution, blocks)
        conditions = [None] * blocks
        if self.sizes:
            one_hot = multi_hot(label, self.sizes, self.param_dtype)
            conditions = [one_hot] * blocks
        if self.shared:
            parts = jnp.split(z, blocks + 1, -1)
            if self.sizes:
                embed = nn.Dense(self.shared, use_bias=False, kernel_init=self.direct_init, name="embed", **dtypes)
                shared = embed(one_hot)
                parts = [parts[0], *(jnp.concatenate([shared, part], -1) for part in parts[1:])]
            z, conditions = parts[0], parts[1:]
        direct = functools.partial(weighted, self.weight, train, kernel_init=self.direct_init, **dtypes)
        x = direct(nn.Dense, h * w * self.widths[0], name="project")(z).reshape(-1, h, w, self.widths[0])
        for i, width in enumerate(self.widths[1:]):
            block = GeneratorBlock(
                width,
                upsample=self.upsample,
                weight=self.weight,
                shared=bool(self.shared),
                residual_init=self.residual_init,
                direct_init=self.direct_init,
                name=f"block_{i}",
                **dtypes,
            )
            x = block(x, conditions[i], train=train)
            if i in self.attention:
                x = SelfAttention(self.weight, self.direct_init, name=f"attention_{i}", **dtypes)(x, train=train)
        x = nn.relu(norm("batch", train, **dtypes, name="norm", scale_std=0.0)(x))
        return GOutput(jnp.tanh(direct(Conv, self.channels, (3, 3), name="to_image")(x).astype(self.param_dtype)))


class GeneratorBlock(nn.Module):
    """(B, H, W, I) -> (B, 2 H, 2 W, width): norm, ReLU, upsample, conv 3x3, norm, ReLU, conv 3x3, plus the shortcut.

    The shortcut's 1x1 convolution commutes with its upsampling, and comes first, at a quarter of the cost.
    """

    width: int
    upsample: str = "bilinear"
    weight: str = "none"
    shared: bool = False
    residual_init: Callable = RESIDUAL
    direct_init: Callable = DIRECT
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, condition: jax.Array | None, *, train: bool) -> jax.Array:
        dtypes = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        up = UPSAMPLE[self.upsample]

        def normalise(x, name):
            if condition is None:
                return norm("batch", train, **dtypes, name=name, scale_std=0.0)(x)
            # Maps of the label itself start at 0, where spectral norm would divide by 0; those of an embedding do not.
            kinds = {"weight": self.weight, "kernel_init": self.direct_init} if self.shared else {}
            return ConditionalNorm(**kinds, **dtypes, name=name)(x, condition, train=train)

        def conv(x, kernel, init, name):
            return weighted(self.weight, train, Conv, self.width, kernel, kernel_init=init, name=name, **dtypes)(x)

        y = conv(up(nn.relu(normalise(x, "norm_1"))), (3, 3), self.residual_init, "conv_1")
        y = conv(nn.relu(normalise(y, "norm_2")), (3, 3), self.residual_init, "conv_2")
        return y + up(conv(x, (1, 1), self.direct_init, "shortcut"))


class Discriminator(nn.Module):
    """Images (B, H, W, C) -> logits (B,) and the features (B, widths[-1]) that they are linear in.

    One block for each of `widths`; the first, the stem, has no first ReLU, and the first `downs` blocks halve the
    sides. Then ReLU, `pool` ("sum" or "mean") over the pixels and a linear head. `weight`, "spectral", "none" or
    "equalized", is the kind of `spectral.weighted` of every layer. hidden: whether the width between the two
    convolutions of a block is that of its output ("out") or, in all but the stem, of its input ("in").
    """

    widths: Sequence[int] = (128, 128, 128, 128)
    downs: int = 2
    pool: str = "sum"
    weight: str = "spectral"
    hidden: str = "out"
    attention: Sequence[int] = ()
    residual_init: Callable = RESIDUAL
    direct_init: Callable = DIRECT
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, label: jax.Array | None = None, *, train: bool) -> DOutput:
        dtypes = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        for i, width in enumerate(self.widths):
            block = DiscriminatorBlock(
                width,
                hidden=x.shape[-1] if self.hidden == "in" and i else width,
                down=i < self.downs,
                stem=i == 0,
                weight=self.weight,
                residual_init=self.residual_init,
                direct_init=self.direct_init,
                name=f"block_{i - 1}" if i else "stem",
                **dtypes,
            )
            x = block(x, train=train)
            if i in self.attention:
                x = SelfAttention(self.weight, self.direct_init, name=f"attention_{i}", **dtypes)(x, train=train)
        wide = nn.relu(x).astype(self.param_dtype)
        features = jnp.sum(wide, (1, 2)) if self.pool == "sum" else jnp.mean(wide, (1, 2))
        head = weighted(
            self.weight, train, nn.Dense, 1, kernel_init=self.direct_init, param_dtype=self.param_dtype, name="head"
        )
        return DOutput((head(features)[:, 0],), (features,))


class DiscriminatorBlock(nn.Module):
    """(B, H, W, I) -> (B, H', W', width): ReLU, conv 3x3, ReLU, conv 3x3 and, with `down`, the mean of 2x2 pixels.

    The stem has no first ReLU. The shortcut of a block that keeps both sides and width is the identity.
    """

    width: int
    hidden: int
    down: bool
    stem: bool = False
    weight: str = "spectral"
    residual_init: Callable = RESIDUAL
    direct_init: Callable = DIRECT
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        def conv(x, width, kernel, init, name):
            dtypes = {"dtype": self.dtype, "param_dtype": self.param_dtype}
            return weighted(self.weight, train, Conv, width, kernel, kernel_init=init, name=name, **dtypes)(x)

        y = conv(x if self.stem else nn.relu(x), self.hidden, (3, 3), self.residual_init, "conv_1")
        y = conv(nn.relu(y), self.width, (3, 3), self.residual_init, "conv_2")
        if self.down:  # average pooling and a 1x1 convolution commute: pooling first costs a quarter
            y, x = resample.average_pool(y), resample.average_pool(x)
        elif x.shape[-1] == self.width:
            return y + x
        return y + conv(x, self.width, (1, 1), self.direct_init, "shortcut")


class SelfAttention(nn.Module):
    """x (B, H, W, C) -> x + gate * attention(x), the gate a scalar initialised to 0 (Zhang et al. 2019, section 3).

    Queries and keys have C / 8 channels, values C / 2; keys and values are max-pooled over 2x2 pixels, as in the
    authors' code. No biases. H and W must be even.
    """

    weight: str = "spectral"
    kernel_init: Callable = DIRECT
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        b, h, w, c = x.shape

        kinds = {"use_bias": False, "kernel_init": self.kernel_init, "dtype": self.dtype}

        def project(x, features, name):
            layer = weighted(
                self.weight, train, Conv, features, (1, 1), name=name, **kinds, param_dtype=self.param_dtype
            )
            return layer(x)

        def max_pool(x):
            return x.reshape(b, h // 2, 2, w // 2, 2, -1).max((2, 4)).reshape(b, h * w // 4, -1)

        query = project(x, max(c // 8, 1), "query").reshape(b, h * w, -1)
        key = max_pool(project(x, max(c // 8, 1), "key"))
        value = max_pool(project(x, max(c // 2, 1), "value"))
        scores = jnp.einsum("bqc,bkc->bqk", query, key)
        weights = nn.softmax(scores.astype(jnp.promote_types(scores.dtype, jnp.float32))).astype(scores.dtype)
        attention = jnp.einsum("bqk,bkc->bqc", weights, value).reshape(b, h, w, -1)
        gate = self.param("gate", nn.initializers.zeros_init(), (), self.param_dtype)
        return x + gate.astype(x.dtype) * project(attention, c, "out")


def base_grid(resolution: tuple[int, int], blocks: int) -> tuple[int, int]:
    """Return the base grid (h, w) = resolution / 2^blocks.

    Raises ValueError unless both sides are integers of 2 or more.
    """
    if any(side % 2**blocks or side < 2 ** (blocks + 1) for side in resolution):
        raise ValueError(f"{blocks} doublings do not give {resolution[0]}x{resolution[1]} from a grid of 2 or more")
    return resolution[0] // 2**blocks, resolution[1] // 2**blocks
