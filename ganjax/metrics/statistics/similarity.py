"""Similarity of paired images, and between the images of one set: PSNR, SSIM, MS-SSIM.

Images are uint8 or float in [0, 255], (N, H, W, C). SSIM and MS-SSIM are computed for each channel and averaged, with
no conversion to luminance.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from ganjax.errors import UserError

RANGE = 255.0
C1, C2 = (0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2
WINDOW, SIGMA = 11, 1.5
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
SMALLEST = 2 ** (len(WEIGHTS) - 1)
CHUNK = 1 << 20  # values of each side per call, for any number of images: one compilation


def psnr(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return 10 log10(255^2 / MSE) of each pair in decibels, float64 (N,); inf for equal images."""
    a, b = _pairs(a, b, 1)
    error = np.array([np.mean((x.astype(np.float64) - y) ** 2) for x, y in zip(a, b, strict=True)])
    with np.errstate(divide="ignore"):
        return 10 * np.log10(RANGE**2 / error)


def ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return structural similarity (Wang et al. 2004, equation 13) of each pair, float64 (N,), at most 1.

    Gaussian windows of 11x11 pixels, sigma 1.5, that lie within the image; population variances; k .01 and .03. The
    mean is over positions and channels. Raises UserError for images below 11 pixels.
    """
    return _in_chunks(_ssim, *_pairs(a, b, WINDOW))


def ms_ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return multi-scale structural similarity (Wang et al. 2003, equation 7) of each pair, float64 (N,), in [0, 1].

    Five scales with the paper's weights, each half the one before by means of 2x2 pixels; an odd side first repeats its
    last row. A scale below 11 pixels has a window of its own size, whose sigma shrinks in proportion, as in Karras et
    al. 2018; images of 176 pixels or more have none. The term of a scale is the mean over positions of the
    contrast-structure term, or of SSIM at the last scale, and 0 if negative; a channel's value is their weighted
    product. Raises UserError for images below 16 pixels.
    """
    return _in_chunks(_ms_ssim, *_pairs(a, b, SMALLEST))


def diversity(images: np.ndarray, seed: int = 0, pairs: int | None = None, labels: np.ndarray | None = None) -> dict:
    """Return the mean MS-SSIM of random pairs of one set's images: lower is more diverse, 1 is one image repeated.

    The result is {"value", "stderr": of that mean, None for one pair, "pairs", "n", "seed", "classes"}. The images are
    shuffled by the seed and paired, N // 2 pairs or `pairs` if fewer, so that none occurs twice (Karras et al. 2018,
    arXiv 1710.10196). With labels, int (N,), both images of a pair have one class (Odena et al. 2017, arXiv 1610.09585,
    with 100 pairs each): classes is {label: mean} of the classes of two images or more, value the mean of these; images
    of label -1 are left out. Raises UserError if there is no pair.
    """
    labels = np.zeros(len(images), np.int32) if labels is None else np.asarray(labels)
    if labels.shape != images.shape[:1]:
        raise UserError(f"labels must be one integer per image: {labels.shape} for {len(images)} images")
    generator, scores = np.random.default_rng(seed), {}
    for label in np.unique(labels[labels >= 0]):
        rows = generator.permutation(np.flatnonzero(labels == label))
        count = len(rows) // 2 if pairs is None else min(len(rows) // 2, pairs)
        if count > 0:
            scores[int(label)] = ms_ssim(images[rows[: 2 * count : 2]], images[rows[1 : 2 * count : 2]])
    if not scores:
        raise UserError(f"diversity needs two images of one class; there are {len(images)} images in all")
    classes = {label: float(values.mean()) for label, values in scores.items()}
    return {
        "value": float(np.mean(list(classes.values()))),
        "stderr": _standard_error(list(scores.values())),
        "pairs": sum(len(values) for values in scores.values()),
        "n": len(images),
        "seed": seed,
        "classes": classes,
    }


def _standard_error(groups: list[np.ndarray]) -> float | None:
    """Return the standard error of the mean of the groups' means, of one variance; None if no group has two values."""
    freedom = sum(len(values) - 1 for values in groups)
    if freedom == 0:
        return None
    variance = sum(((values - values.mean()) ** 2).sum() for values in groups) / freedom
    return float(np.sqrt(variance * sum(1 / len(values) for values in groups)) / len(groups))


def _pairs(a: np.ndarray, b: np.ndarray, smallest: int) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a), np.asarray(b)
    if a.ndim != 4 or a.shape != b.shape:
        raise UserError(f"images to compare must have one shape (N, H, W, C): {a.shape} and {b.shape}")
    if min(a.shape[1:3]) < smallest:
        raise UserError(f"images of {a.shape[1]}x{a.shape[2]} are too small: {smallest} pixels are needed")
    return a, b


def _in_chunks(score, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    size = max(1, CHUNK // max(1, math.prod(a.shape[1:])))
    scores = []
    for i in range(0, len(a), size):
        chunk = [x[i : i + size] for x in (a, b)]
        missing = size - len(chunk[0])
        padded = [np.pad(x, ((0, missing), (0, 0), (0, 0), (0, 0))) for x in chunk]
        scores.append(np.asarray(score(*padded), np.float64)[: size - missing])
    return np.concatenate(scores) if scores else np.zeros(0)


def _blur(x: jax.Array) -> jax.Array:
    """Filter planes (P, H, W) by the Gaussian window, at the positions where the whole window lies within."""
    window = min(WINDOW, *x.shape[1:])
    taps = np.exp(-((np.arange(window) - (window - 1) / 2) ** 2) / (2 * (SIGMA * window / WINDOW) ** 2))
    taps /= taps.sum()
    # On a CPU, products with banded matrices are several times as fast as sums of shifted views or a convolution.
    rows, columns = (
        np.stack([np.pad(taps, (i, size - window - i)) for i in range(size - window + 1)]).astype(np.float32)
        for size in x.shape[1:]
    )
    return jnp.matmul(jnp.matmul(rows, x, precision="highest"), columns.T, precision="highest")


def _terms(a: jax.Array, b: jax.Array, grey: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the means over positions of SSIM and of its contrast-structure term, (P,) each, from `_planes`."""
    mean_a, mean_b = _blur(a), _blur(b)
    covariance = _blur(a * b) - mean_a * mean_b
    variances = _blur(a * a + b * b) - mean_a**2 - mean_b**2
    contrast = (2 * covariance + C2) / (variances + C2)
    mean_a, mean_b = mean_a + grey, mean_b + grey
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    return (luminance * contrast).mean((1, 2)), contrast.mean((1, 2))


def _planes(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return both sides' channels, float32 (N C, H, W), minus their common mean, and that mean (N C, 1, 1).

    `_terms` computes a variance as a difference of squares, which float32 resolves only if the squares are small.
    """
    n, h, w, channels = a.shape
    a, b = (x.transpose(0, 3, 1, 2).reshape(n * channels, h, w).astype(jnp.float32) for x in (a, b))
    grey = (a.mean((1, 2), keepdims=True) + b.mean((1, 2), keepdims=True)) / 2
    return a - grey, b - grey, grey


@jax.jit
def _ssim(a: jax.Array, b: jax.Array) -> jax.Array:
    return _terms(*_planes(a, b))[0].reshape(len(a), -1).mean(-1)


@jax.jit
def _ms_ssim(a: jax.Array, b: jax.Array) -> jax.Array:
    n, product = len(a), 1.0
    a, b, grey = _planes(a, b)
    for scale, weight in enumerate(WEIGHTS):
        if scale:
            a, b = _half(a), _half(b)
        whole, contrast = _terms(a, b, grey)
        term = whole if scale == len(WEIGHTS) - 1 else contrast
        product = product * jnp.maximum(term, 0) ** weight
    return product.reshape(n, -1).mean(-1)


def _half(x: jax.Array) -> jax.Array:
    planes, h, w = x.shape
    x = jnp.pad(x, ((0, 0), (0, h % 2), (0, w % 2)), mode="edge")
    return x.reshape(planes, (h + 1) // 2, 2, (w + 1) // 2, 2).mean((2, 4))
