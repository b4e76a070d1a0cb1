"""Metrics of image pairs: a real and a generated image of one name, or a source image and its translation."""

from collections.abc import Callable

import jax
import numpy as np

from ganjax.errors import UserError
from ganjax.metrics.features import extractors, randconv
from ganjax.metrics.sets import Options, Side
from ganjax.metrics.statistics import similarity
from ganjax.nets.pretrained import lite0, lpips

CHUNK = 16  # images at a time


def matched_pairs(real: Side, fake: Side) -> tuple[np.ndarray, np.ndarray]:
    """Return the images of both sides in the order of their names, so that images of one row have one name.

    Raises UserError if a name occurs on one side only, or twice on a side.
    """
    unpaired = sorted(set(real.names) ^ set(fake.names))
    if unpaired or not real.names or any(len(set(side.names)) < len(side) for side in (real, fake)):
        raise UserError(
            "this metric compares pairs: give files of the same names, apart from their endings, on both sides"
            + (f"; {unpaired[0]} is on one side only" if unpaired else "")
        )
    order = [np.argsort(side.names) for side in (real, fake)]
    return real.images[order[0]], fake.images[order[1]]


def translation_pairs(name: str, fake: Side, options: Options) -> tuple[np.ndarray, np.ndarray]:
    """Return the source images and their translations for the metric `name`. Raises UserError without the sources."""
    if options.content is None:
        raise UserError(f"{name} needs --content=DIR, the photographs, named as their translations are")
    return matched_pairs(options.content, fake)


def mean_over_pairs(measure: Callable) -> Callable:
    """Return the metric that is the mean of measure(a, b) -> (N,) over pairs; its result names the worst pair."""

    def compute(real: Side, fake: Side, options: Options) -> dict:
        values = measure(*same_size(*matched_pairs(real, fake)))
        worst = sorted(fake.names)[values.argmin()]
        finite = values[np.isfinite(values)]  # PSNR of equal images is infinite
        if not len(finite):
            raise UserError("all pairs are equal")
        rest = {"std": float(finite.std()), "worst": worst, "equal_pairs": len(values) - len(finite)}
        return {"value": float(finite.mean()), **rest}

    return compute


def structure(real: Side, fake: Side, options: Options) -> dict:
    """Return the mean SSIM between the grey levels of source images and of their translations."""
    pair = translation_pairs("structure", fake, options)
    grey = [images.mean(-1, keepdims=True).round().astype(np.uint8) for images in pair]
    values = similarity.ssim(*same_size(*grey))
    return {"value": float(values.mean()), "std": float(values.std())}


def same_size(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if a.shape != b.shape:
        raise UserError(f"pairs must be of one size; there are {a.shape[1:]} and {b.shape[1:]}")
    return a, b


def by_lpips(net: str, translation_metric: str = "") -> Callable:
    """Return the metric LPIPS of real and generated pairs, or, named `translation_metric`, of translation pairs."""

    def compute(real: Side, fake: Side, options: Options) -> dict:
        if translation_metric:
            pair = translation_pairs(translation_metric, fake, options)
        else:
            pair = matched_pairs(real, fake)
        values = lpips_values(net, *pair, options)
        return {"value": float(values.mean()), "std": float(values.std()), "net": f"LPIPS 0.1, {net}"}

    return compute


def by_cosine(name: str) -> Callable:
    """Return the metric that is the mean of 1 - the cosine of features over translation pairs, pixels and layers.

    name: "rand_lpips" for the four layers of `randconv`, "lite_lpips" for Lite0's pyramid at 224 pixels. The metric has
    the form of LPIPS (Zhang et al. 2018, equation 1) with equal weights: 0 for equal images, at most 1 of features that
    are not negative.
    """
    kind = name.partition("_")[0]
    distance = {"rand": randconv.distance, "lite": _lite_distance}[kind]

    def compute(real: Side, fake: Side, options: Options) -> dict:
        a, b = same_size(*translation_pairs(name, fake, options))
        extractor, measure = extractors.load(kind), jax.jit(distance)
        with jax.default_matmul_precision("highest"):
            parts = [measure(extractor.variables, a[i : i + CHUNK], b[i : i + CHUNK]) for i in range(0, len(a), CHUNK)]
        values = np.concatenate(parts).astype(np.float64)
        return {"value": float(values.mean()), "std": float(values.std()), **extractor.identity}

    return compute


def _lite_distance(variables: dict, a: jax.Array, b: jax.Array) -> jax.Array:
    a, b = (extractors.lite_pixels(images) / 127.5 - 1 for images in (a, b))
    return lite0.distance(variables, a, b)


def lpips_values(net: str, a: np.ndarray, b: np.ndarray, options: Options) -> np.ndarray:
    """Return LPIPS float64 (N,) of uint8 pairs (N, H, W, 1 or 3). Raises UserError for unequal or too small images."""
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
    """Return uint8 images of one or three channels as float32 RGB in [-1, 1]."""
    return np.broadcast_to(images, (*images.shape[:3], 3)).astype(np.float32) / 127.5 - 1
