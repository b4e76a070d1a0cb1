"""LPIPS v0.1 (Zhang et al. 2018, arXiv 1801.03924): a learned distance between two images of one size."""

from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from ganjax.nets.pretrained import alexnet, vgg, weights
from ganjax.system import pth

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # ImageNet's mean and deviation for [-1, 1], rounded
EPSILON = 1e-10
WIDTHS = {"alex": (64, 192, 384, 256, 256), "vgg": (64, 128, 256, 512, 512)}
TOLERANCE = 1e-3


def load(net: str, path: Path | str | None = None) -> dict:
    """Return the variables of "alex" (for evaluation) or "vgg" (for PPL). path: a folder, as for `weights.load`.

    They hold about 10 MB and 59 MB, though the files have 244 MB and 553 MB. Raises UserError if a file is missing and
    cannot be fetched.
    """
    _check_net(net)
    trunk = weights.load({"alex": "alexnet", "vgg": "vgg16"}[net], path)
    return variables(trunk.arrays, weights.load(f"lpips_{net}", path).arrays, net)


def variables(trunk: Mapping[str, np.ndarray], heads: Mapping[str, np.ndarray], net: str) -> dict:
    """Return {"trunk", "heads"} for `distance` from state dicts. Raises UserError for a missing or misshapen array."""
    _check_net(net)
    convert = {"alex": alexnet.variables, "vgg": vgg.variables}[net]
    names = [(f"lin{i}.model.1.weight", (1, width, 1, 1)) for i, width in enumerate(WIDTHS[net])]
    return {
        "trunk": convert(trunk),
        "heads": [pth.take(heads, name, shape, f"LPIPS ({net})").reshape(-1) for name, shape in names],
    }


def distance(variables: dict, a: jax.Array, b: jax.Array, net: str = "alex") -> jax.Array:
    """Return the distances d(a, b), float32 (B,), of float images (B, H, W, 3) in [-1, 1]: eq. 1 of the paper.

    The features of five layers are scaled to length 1 at every pixel; their squared differences are weighted per
    channel, averaged over the pixels and summed over the layers. Pure, and differentiable everywhere. Images in [0, 1]
    give wrong distances without an error. Raises ValueError for integers, unequal shapes, and NumPy arrays outside
    [-1, 1].
    """
    _check_net(net)
    _check_images(a, b)
    trunk = alexnet.AlexNet() if net == "alex" else vgg.VGG(16)
    pair = (jnp.concatenate([a, b]) - jnp.asarray(SHIFT, a.dtype)) / jnp.asarray(SCALE, a.dtype)
    total = 0.0
    features = trunk.apply(variables["trunk"], pair)
    for tap, head in zip(trunk.taps, variables["heads"], strict=True):
        of_a, of_b = jnp.split(unit(features[tap]), 2)
        total += jnp.mean((of_a - of_b) ** 2 @ head, (1, 2))
    return total


def unit(x: jax.Array) -> jax.Array:
    """Return x (B, H, W, C) divided by its norms over C; zeros stay, with a finite gradient."""
    squares = jnp.sum(x * x, -1, keepdims=True)
    nonzero = squares > 0
    # sqrt must not see 0 even in the branch that is not taken: its slope there is infinite, and 0 x inf is NaN.
    return x / (jnp.where(nonzero, jnp.sqrt(jnp.where(nonzero, squares, 1)), 0) + EPSILON)


def _check_net(net: str) -> None:
    if net not in WIDTHS:
        raise ValueError(f"LPIPS net {net!r} is not one of {', '.join(WIDTHS)}")


def _check_images(a: jax.Array, b: jax.Array) -> None:
    if a.ndim != 4 or a.shape != b.shape or a.shape[3] != 3:
        raise ValueError(f"LPIPS needs two arrays (B, H, W, 3) of one shape, not {a.shape} and {b.shape}")
    for images in (a, b):
        if not jnp.issubdtype(images.dtype, jnp.floating):
            raise ValueError(f"LPIPS needs floats in [-1, 1], not {images.dtype}")
        if isinstance(images, np.ndarray) and images.size and np.abs(images).max() > 1 + TOLERANCE:
            raise ValueError(f"LPIPS needs images in [-1, 1]; there is a pixel of {np.abs(images).max():g}")
