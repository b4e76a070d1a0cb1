"""The discriminators of Projected GAN (Sauer et al. 2021, arXiv 2111.01007), which see images through a frozen network.

The projector is EfficientNet-Lite0, whose features at four scales are mixed by frozen random 1x1 convolutions: across
channels, then across scales, from the coarsest to the finest. One discriminator judges each of the four mixtures.
"""

import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ganjax.nets.conditional import multi_hot
from ganjax.nets.layers import Conv, norm
from ganjax.nets.pretrained import lite0
from ganjax.nets.spectral import weighted
from ganjax.ops import conv as ops
from ganjax.ops import resample
from ganjax.ops.alpha import on_board
from ganjax.state import DOutput

Dtype = Any
FEATURES = (24, 40, 112, 320)  # of the taps of `lite0.PYRAMID`
# In multiples of the width, 64 as published:
MIXED = (1, 2, 4, 8)  # features after the mixing across channels
OUTPUTS = (1, 1, 2, 4)  # after the mixing across scales, finest first
WIDTHS = (1, 2, 4, 8)  # of a discriminator's layers: the finest has all four, the coarsest the last
LABEL_FEATURES, LABEL_MAPS = 128, 64
NORMAL = nn.initializers.normal(0.02)
LEAST_SIDE = 96  # pixels of a view, unless a config asks for fewer
PAD_1 = ((1, 1), (1, 1))


def mixing(seed: int, width: int = 64) -> dict[str, list[dict]]:
    """Return the frozen random convolutions {"channels", "scales"}, four each, finest first, as float32 on the host.

    Weights and biases are U(-b, b), b = 1 / sqrt(inputs): PyTorch's default, as in the authors' code (the paper says
    Kaiming's initialisation). They are drawn by NumPy's Philox.
    """
    generator = np.random.Generator(np.random.Philox([seed, 2111_01007]))

    def layer(inputs: int, features: int) -> dict[str, np.ndarray]:
        def uniform(*shape):
            return ((2 * generator.random(shape) - 1) / math.sqrt(inputs)).astype(np.float32)

        return {"kernel": uniform(1, 1, inputs, features), "bias": uniform(features)}

    mixed, outputs = (tuple(width * multiple for multiple in multiples) for multiples in (MIXED, OUTPUTS))
    channels = [layer(*shape) for shape in zip(FEATURES, mixed, strict=True)]
    return {"channels": channels, "scales": [layer(*shape) for shape in zip(mixed, outputs, strict=True)]}


def project(constants: dict, images: jax.Array, side: int) -> tuple[jax.Array, ...]:
    """Return what the discriminators see of images (B, H, W, 1, 3 or 4) in [-1, 1]: four maps, finest first.

    constants: {"lite0": variables of Lite0, "mixing"}. The images are resized so that their shorter side has `side`
    pixels, 224 as published, and the longer one a multiple of 32. Map i has OUTPUTS[i] times the width of the mixing as
    features, at 1 / 2^(i + 1) of that size.
    """
    images = on_board(images)
    images = resample.resize(images, view_size(images.shape[1:3], side))
    features = lite0.Lite0(dtype=images.dtype).apply(constants["lite0"], lite0.normalise(images))
    maps, mixed = [], None
    for i in (3, 2, 1, 0):
        x = _point(features[lite0.PYRAMID[i]], constants["mixing"]["channels"][i])
        x = x if mixed is None else x + mixed
        # A 1x1 convolution commutes with interpolation, and comes first, at a quarter of the cost.
        x = _point(x, constants["mixing"]["scales"][i])
        mixed = resample.resize(x, (2 * x.shape[1], 2 * x.shape[2]), corners=True)
        maps.append(mixed)
    return tuple(reversed(maps))


def side_for(shorter: int) -> int:
    """Return the side of the view of images with this shorter side: no smaller, a multiple of 32, and at least 96."""
    return 32 * -(-max(shorter, LEAST_SIDE) // 32)


def view_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return the (height, width) at which images of this size are projected."""
    return tuple(32 * max(1, round(side * pixels / min(size) / 32)) for pixels in size)


def _point(x: jax.Array, layer: dict[str, jax.Array]) -> jax.Array:
    return ops.conv(x, layer["kernel"].astype(x.dtype)) + layer["bias"].astype(x.dtype)


class Discriminators(nn.Module):
    """Four maps of `project`, label int32 (B, A) -> logits (B, number of all patches), the last features of each.

    Each discriminator has 4x4 convolutions of stride 2 with spectral and batch norm, as many as keep 4 pixels a side,
    at most 4 for the finest map and 1 for the coarsest; then a 4x4 convolution, 5x5 logits for images of 256 pixels.
    sizes: the number of values of each attribute of a label, () without labels. With labels the logits are the inner
    product of 64 maps and a projected embedding of the label, over sqrt(64).
    """

    width: int = 64
    sizes: Sequence[int] = ()
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, maps: tuple[jax.Array, ...], label: jax.Array | None = None, *, train: bool) -> DOutput:
        dtypes = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        logits, features = [], []
        for i, x in enumerate(maps):
            layers = min(len(WIDTHS) - i, int(math.log2(min(x.shape[1:3]) / 4)))
            for j, multiple in enumerate(WIDTHS[i : i + layers]):
                x = self._conv(train, multiple * self.width, f"map_{i}_conv_{j}", strides=(2, 2), padding=PAD_1)(x)
                x = norm("batch", train, name=f"map_{i}_norm_{j}", scale_std=0.0, **dtypes)(x)
                x = nn.leaky_relu(x, 0.2)
            features.append(x)
            y = self._conv(train, LABEL_MAPS if self.sizes else 1, f"map_{i}_logits", padding="VALID")(x)
            if self.sizes:
                one_hot = multi_hot(label, self.sizes, self.param_dtype)
                embedding = nn.Dense(LABEL_FEATURES, use_bias=False, name=f"map_{i}_embed", **dtypes)(one_hot)
                embedding = nn.leaky_relu(nn.Dense(LABEL_MAPS, name=f"map_{i}_label", **dtypes)(embedding), 0.2)
                y = jnp.sum(y * embedding[:, None, None], -1) / math.sqrt(LABEL_MAPS)
            logits.append(y.astype(self.param_dtype).reshape(len(y), -1))
        return DOutput((jnp.concatenate(logits, 1),), tuple(features))

    @nn.nowrap
    def _conv(self, train: bool, features: int, name: str, **fields):
        fields |= {"use_bias": False, "kernel_init": NORMAL, "dtype": self.dtype, "param_dtype": self.param_dtype}
        return weighted("spectral", train, Conv, features, (4, 4), name=name, **fields)
