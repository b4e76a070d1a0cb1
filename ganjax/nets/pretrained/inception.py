"""Inception-v3 (Szegedy et al. 2015, arXiv 1512.00567) as FID uses it: the graph of 2015-12-05.

It differs from torchvision's: average pools exclude the padding, the last block has a max pool, and there are 1008
classes. `torchvision=True` gives torchvision's, as in ArtFID (Wright and Ommer 2022, arXiv 2207.12280).
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from ganjax.errors import UserError
from ganjax.nets.layers import Conv
from ganjax.system import pth

TAPS = ("64", "192", "768", "2048", "logits_unbiased", "logits")
SMALLEST = 75  # pixels per side: every layer then has a pixel or more
EPSILON = 1e-3  # of the batch norms

# A branch is a sequence of layers (name, features, kernel). Layers in a tuple share their input; their outputs are
# concatenated.

POINT, ROW, COLUMN = (1, 1), (1, 7), (7, 1)


def _branch(name, *layers):
    return tuple((f"{name}_{i}", *layer) for i, layer in enumerate(layers, 1))


def _fork(name):
    return ((f"{name}a", 384, (1, 3)), (f"{name}b", 384, (3, 1)))


def _a():
    return (
        (("branch1x1", 64, POINT),),
        _branch("branch5x5", (48, POINT), (64, (5, 5))),
        _branch("branch3x3dbl", (64, POINT), (96, (3, 3)), (96, (3, 3))),
    )


def _c(width):
    twice = ((width, POINT), (width, COLUMN), (width, ROW), (width, COLUMN), (192, ROW))
    return (
        (("branch1x1", 192, POINT),),
        _branch("branch7x7", (width, POINT), (width, ROW), (192, COLUMN)),
        _branch("branch7x7dbl", *twice),
    )


def _e():
    return (
        (("branch1x1", 320, POINT),),
        (("branch3x3_1", 384, POINT), _fork("branch3x3_2")),
        (*_branch("branch3x3dbl", (448, POINT), (384, (3, 3))), _fork("branch3x3dbl_3")),
    )


_B = ((("branch3x3", 384, (3, 3)),), _branch("branch3x3dbl", (64, POINT), (96, (3, 3)), (96, (3, 3))))
_D = (
    _branch("branch3x3", (192, POINT), (320, (3, 3))),
    _branch("branch7x7x3", (192, POINT), (192, ROW), (192, COLUMN), (192, (3, 3))),
)
# (name, branches, kind of pool, features of the convolution after the pool: 0 for a block that halves the sides)
BLOCKS = (
    ("Mixed_5b", _a(), "mean", 32),
    ("Mixed_5c", _a(), "mean", 64),
    ("Mixed_5d", _a(), "mean", 64),
    ("Mixed_6a", _B, "max", 0),
    ("Mixed_6b", _c(128), "mean", 192),
    ("Mixed_6c", _c(160), "mean", 192),
    ("Mixed_6d", _c(160), "mean", 192),
    ("Mixed_6e", _c(192), "mean", 192),
    "768",
    ("Mixed_7a", _D, "max", 0),
    ("Mixed_7b", _e(), "mean", 192),
    ("Mixed_7c", _e(), "max", 192),
    "2048",
)
STEM = (  # (name, features, kernel, stride, padding)
    ("Conv2d_1a_3x3", 32, (3, 3), 2, "VALID"),
    ("Conv2d_2a_3x3", 32, (3, 3), 1, "VALID"),
    ("Conv2d_2b_3x3", 64, (3, 3), 1, "SAME"),
    "64",
    ("Conv2d_3b_1x1", 80, POINT, 1, "VALID"),
    ("Conv2d_4a_3x3", 192, (3, 3), 1, "VALID"),
    "192",
)


class InceptionV3(nn.Module):
    """Images (B, H, W, 3) -> {tap: float32 features (B, F), averaged over the pixels}.

    FID's network expects 299x299 pixels as (x - 128) / 128, ArtFID's sides of 75 pixels or more, in [0, 1]. Taps: "64",
    "192", "768", "2048", and "logits_unbiased" (without the last bias) and "logits" of `classes`; layers after the last
    tap are not run. Batch norms are folded into the kernels (`variables`). Call it under
    `jax.default_matmul_precision("highest")`: on an accelerator the default moves the features by up to 4e-3. Raises
    ValueError if a tap is unknown or the images are too small.
    """

    taps: tuple[str, ...] = ("2048",)
    classes: int = 1008
    torchvision: bool = False

    @nn.compact
    def __call__(self, images: jax.Array) -> dict[str, jax.Array]:
        unknown = sorted(set(self.taps) - set(TAPS))
        if unknown or not self.taps:
            raise ValueError(f"Inception's taps are {', '.join(TAPS)}, not {unknown}")
        if images.ndim != 4 or images.shape[3] != 3 or min(images.shape[1:3]) < SMALLEST:
            raise ValueError(f"images {images.shape} must be (B, H, W, 3) with sides of {SMALLEST} pixels or more")
        last = max(TAPS.index(tap) for tap in self.taps)
        taps, x = {}, images
        for entry in (*STEM, *BLOCKS):
            if isinstance(entry, str):
                x = _max(x, 2) if entry in ("64", "192") else x
                taps[entry] = jnp.mean(x, (1, 2))
                if TAPS.index(entry) == last:
                    break
            elif len(entry) == 5:
                name, features, kernel, stride, padding = entry
                x = nn.relu(Conv(features, kernel, (stride, stride), padding, name=name)(x))
            else:
                name, branches, pool, features = entry
                pool = "padded mean" if self.torchvision and features else pool
                x = Block(branches, pool, features, name=name)(x)
        else:
            shape = (taps["2048"].shape[1], self.classes)
            kernel = self.param("fc_kernel", nn.initializers.zeros, shape, images.dtype)
            bias = self.param("fc_bias", nn.initializers.zeros, shape[1:], images.dtype)
            taps["logits_unbiased"] = taps["2048"] @ kernel
            taps["logits"] = taps["logits_unbiased"] + bias
        return {tap: taps[tap] for tap in self.taps}


class Block(nn.Module):
    """(B, H, W, C) -> the outputs of the branches and of the pool, concatenated.

    pool_features: of the convolution after the pool; 0 for none, in a block that halves the sides.
    """

    branches: tuple[Any, ...]
    pool: str
    pool_features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        def layer(x, entry, halve):
            if isinstance(entry[0], tuple):
                return jnp.concatenate([layer(x, part, halve) for part in entry], -1)
            name, features, kernel = entry
            strides, padding = ((2, 2), "VALID") if halve else ((1, 1), "SAME")
            return nn.relu(Conv(features, kernel, strides, padding, name=name)(x))

        outputs = []
        for branch in self.branches:
            y = x
            for i, entry in enumerate(branch):
                y = layer(y, entry, self.pool_features == 0 and i == len(branch) - 1)
            outputs.append(y)
        if self.pool_features == 0:
            return jnp.concatenate([*outputs, _max(x, 2)], -1)
        y = _max(x, 1) if self.pool == "max" else _mean(x, inside=self.pool == "mean")
        return jnp.concatenate([*outputs, layer(y, ("branch_pool", self.pool_features, POINT), halve=False)], -1)


def _max(x: jax.Array, stride: int) -> jax.Array:
    """Return the maxima of 3x3 pixels; stride 1 keeps the size, with a padding of -inf."""
    return nn.max_pool(x, (3, 3), (stride, stride), "SAME" if stride == 1 else "VALID")


def _mean(x: jax.Array, inside: bool) -> jax.Array:
    """Return the means of 3x3 pixels: only of those inside the image if `inside`, else with a padding of zeros."""
    return nn.avg_pool(x, (3, 3), (1, 1), "SAME", count_include_pad=not inside)


def variables(arrays: Mapping[str, np.ndarray], torchvision: bool = False) -> dict:
    """Return the variables of `InceptionV3` from a state dict, each batch norm folded into its convolution in float64.

    torchvision: the state dict may contain an auxiliary head, which is ignored, and any number of classes or no `fc`,
    without which there are no logits. Raises UserError if an array is missing, unknown or has another shape.
    """
    shapes = jax.eval_shape(lambda: InceptionV3(("2048",)).init(jax.random.key(0), jnp.zeros((1, 75, 75, 3))))["params"]
    kernels = {path[:-1]: leaf.shape for path, leaf in flatten_dict(shapes).items() if path[-1] == "kernel"}
    params, read_names = {}, {"fc.weight", "fc.bias"}

    def take(name, shape):
        read_names.add(name)
        return np.asarray(pth.take(arrays, name, shape, "Inception"), np.float64)

    for path, (height, width, i, o) in kernels.items():
        name = ".".join(path)
        kernel = take(f"{name}.conv.weight", (o, i, height, width))
        stats = [take(f"{name}.bn.{key}", (o,)) for key in ("weight", "bias", "running_mean", "running_var")]
        read_names.add(f"{name}.bn.num_batches_tracked")
        dtype = arrays[f"{name}.conv.weight"].dtype
        scale = stats[0] / np.sqrt(stats[3] + EPSILON)
        params[*path, "kernel"] = np.ascontiguousarray((kernel.transpose(2, 3, 1, 0) * scale).astype(dtype))
        params[*path, "bias"] = (stats[1] - stats[2] * scale).astype(dtype)
    if not torchvision or "fc.weight" in arrays:
        classes = len(arrays["fc.bias"]) if torchvision and "fc.bias" in arrays else 1008
        params["fc_kernel",] = np.ascontiguousarray(take("fc.weight", (classes, 2048)).T.astype(dtype))
        params["fc_bias",] = take("fc.bias", (classes,)).astype(dtype)
    unknown = [name for name in arrays if name not in read_names]
    if unknown and not torchvision:
        raise UserError(f"these are not the weights of Inception: {unknown[0]!r} is unknown")
    return {"params": unflatten_dict(params)}
