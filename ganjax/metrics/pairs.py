"""Metrics of pairs of images: of both sides, or of what was translated and its translation."""

from collections.abc import Callable

import jax
import numpy as np

from ganjax.errors import UserError
from ganjax.metrics.features import lpips, randconv
from ganjax.metrics.sets import Options, Side
from ganjax.metrics.statistics import similarity

CHUNK = 16  # images at a time


def matched(real: Side, fake: Side) -> tuple[np.ndarray, np.ndarray]:
    """Return the images of both sides that have one name, in its order; UserError where one is alone."""
    alone = sorted(set(real.names) ^ set(fake.names))
    if alone or not real.names or any(len(set(side.names)) < len(side) for side in (real, fake)):
        raise UserError(
            "this metric compares pairs: files of the same names, but for the ending, on both sides"
            + (f"; {alone[0]} is on one side only" if alone else "")
        )
    order = [np.argsort(side.names) for side in (real, fake)]
    return real.images[order[0]], fake.images[order[1]]


def translated(name: str, fake: Side, options: Options) -> tuple[np.ndarray, np.ndarray]:
    """Return the images that were translated and their translations. Raises UserError if the former are not given."""
    if options.content is None:
        raise UserError(f"{name} needs --content=DIR, the photographs, named as their translations are")
    return matched(options.content, fake)


def compared(measure: Callable) -> Callable:
    """Return the metric that is the mean of measure(a, b) -> (N,) over pairs; it also names the worst."""

    def compute(real: Side, fake: Side, options: Options) -> dict:
        values = measure(*same_size(*matched(real, fake)))
        worst = sorted(fake.names)[values.argmin()]
        finite = values[np.isfinite(values)]  # PSNR of equal images is infinite
        if not len(finite):
            raise UserError("all pairs are equal")
        rest = {"std": float(finite.std()), "worst": worst, "equal_pairs": len(values) - len(finite)}
        return {"value": float(finite.mean()), **rest}

    return compute


def structure(real: Side, fake: Side, options: Options) -> dict:
    """Return how much of a photograph's structure its translation keeps: SSIM of their grey levels."""
    grey = [
        images.mean(-1, keepdims=True).round().astype(np.uint8) for images in translated("structure", fake, options)
    ]
    values = similarity.ssim(*same_size(*grey))
    return {"value": float(values.mean()), "std": float(values.std())}


def same_size(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if a.shape != b.shape:
        raise UserError(f"pairs must be of one size; there are {a.shape[1:]} and {b.shape[1:]}")
    return a, b


def by_lpips(net: str, content: str = "") -> Callable:
    """Return the metric LPIPS of pairs; with `content`, its name, of what was translated and its translation."""

    def compute(real: Side, fake: Side, options: Options) -> dict:
        values = lpips_values(net, *(translated(content, fake, options) if content else matched(real, fake)), options)
        return {"value": float(values.mean()), "std": float(values.std()), "net": f"LPIPS 0.1, {net}"}

    return compute


def by_random_features(real: Side, fake: Side, options: Options) -> dict:
    """1 - the cosine of the features of `randconv` at each pixel, in the mean over pixels and its four layers.

    That is LPIPS (Zhang et al. 2018, equation 1) with equal weights and no download: 0 for equal images, at most 1.
    """
    a, b = same_size(*translated("rand_lpips", fake, options))
    extractor = randconv.load()
    measure = jax.jit(randconv.distance)
    with jax.default_matmul_precision("highest"):
        parts = [measure(extractor.variables, a[i : i + CHUNK], b[i : i + CHUNK]) for i in range(0, len(a), CHUNK)]
    values = np.concatenate(parts).astype(np.float64)
    return {"value": float(values.mean()), "std": float(values.std()), **extractor.identity}


def lpips_values(net: str, a: np.ndarray, b: np.ndarray, options: Options) -> np.ndarray:
    same_size(a, b)
    least = {"alex": 31, "vgg": 16}[net]
    if min(a.shape[1:3]) < least:
        raise UserError(f"LPIPS ({net}) needs images of {least} pixels or more a side, not {a.shape[2]}x{a.shape[1]}")
    variables = lpips.load(net, options.weights)
    measure = jax.jit(lambda variables, a, b: lpips.distance(variables, a, b, net))
    with jax.default_matmul_precision("highest"):
        parts = [
            measure(variables, _floats(a[i : i + CHUNK]), _floats(b[i : i + CHUNK])) for i in range(0, len(a), CHUNK)
        ]
    return np.concatenate(parts).astype(np.float64)


def _floats(images: np.ndarray) -> np.ndarray:
    """Return uint8 images of one or three channels as three in [-1, 1]."""
    return np.broadcast_to(images, (*images.shape[:3], 3)).astype(np.float32) / 127.5 - 1
