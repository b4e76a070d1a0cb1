"""Distances between the small patches, and between the colours, of two sets of images, without a network."""

import numpy as np

from ganjax.errors import UserError
from ganjax.metrics.statistics import frechet

PATCH, PER_IMAGE = 8, 32
PIXELS, DIRECTIONS = 64, 64  # pixels per image; directions over half the sphere
# sRGB's primaries in XYZ, and its white, D65 (IEC 61966-2-1).
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = TO_XYZ.sum(1)


def patch_fd(real: np.ndarray, fake: np.ndarray, seed: int = 0) -> dict:
    """Return the Frechet distance of Gaussians fitted to patches 8x8xC, at full and at half resolution.

    real, fake: uint8 (N, H, W, C), cut to the smaller N; 32 random patches per image and level, values in [0, 1].
    At each level |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2) over the 64 C values of a patch: {"value": mean of the two,
    "levels": {"64": ...}, "means": the share of |m1 - m2|^2 in value, "n_real", "n_fake", "seed"}. It measures colour,
    contrast, sharpness and texture up to 16 pixels, but no composition. It falls with N: compare values of one N, and
    with the distance of two halves of the real images. Raises UserError for images below 16 pixels, or other arrays.
    """
    real, fake = _same_number(real, fake, 2 * PATCH)
    generator = np.random.default_rng(seed)
    levels, means = {}, []
    for a, b in zip(_levels(real), _levels(fake), strict=True):
        side = str(a.shape[1])
        a, b = (_patches(level, generator) for level in (a, b))
        levels[side] = frechet.of_features(a, b)
        means.append(float(((a.mean(0) - b.mean(0)) ** 2).sum()))
    value = float(np.mean(list(levels.values())))
    share = float(np.mean(means)) / value if value > 0 else 0.0
    counts = {"n_real": len(real), "n_fake": len(fake), "seed": seed}
    return {"value": value, "levels": levels, "means": share, **counts, "note": "not comparable with FID"}


def colour(real: np.ndarray, fake: np.ndarray, seed: int = 0) -> dict:
    """Return the 1-Wasserstein distance of the colours of two sets' pixels in CIELAB: {"value", "lightness",
    "green_red", "blue_yellow", "n_real", "n_fake", "seed"}, in units of Delta E*ab.

    real, fake: uint8 sRGB or grey (N, H, W, 1 or 3), cut to the smaller N; 64 random pixels per image. value is twice
    the mean over 64 directions of the sphere of the distance along each: it is |t| between a set and itself shifted by
    t. lightness, green_red and blue_yellow are the distances along L*, a* and b*. Raises UserError for other arrays.
    """
    real, fake = _same_number(real, fake, 1)
    generator = np.random.default_rng(seed)
    a, b = (lab(_pixels(images, generator)) for images in (real, fake))
    axes = [_along(a, b, axis) for axis in np.eye(3)]
    value = 2 * float(np.mean([_along(a, b, direction) for direction in _directions(DIRECTIONS)]))
    names = ("lightness", "green_red", "blue_yellow")
    rest = {"n_real": len(real), "n_fake": len(fake), "seed": seed}
    return {"value": value, **dict(zip(names, axes, strict=True)), **rest}


def lab(pixels: np.ndarray) -> np.ndarray:
    """Return CIELAB (L* in [0, 100], a*, b*), float64 (..., 3), of uint8 sRGB, for D65 and the 2 degree observer."""
    x = np.asarray(pixels, np.float64) / 255
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    t = linear @ TO_XYZ.T / WHITE
    delta = 6 / 29
    f = np.where(t > delta**3, np.cbrt(t), t / (3 * delta**2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def _along(a: np.ndarray, b: np.ndarray, direction: np.ndarray) -> float:
    return float(np.abs(np.sort(a @ direction) - np.sort(b @ direction)).mean())


def _directions(count: int) -> np.ndarray:
    """Return unit vectors (count, 3), evenly spread over half the sphere on a spiral of golden-angle steps."""
    z = (np.arange(count) + 0.5) / count
    angle = np.pi * (3 - np.sqrt(5)) * np.arange(count)
    radius = np.sqrt(1 - z**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], 1)


def _pixels(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    n, h, w, _ = images.shape
    rows, columns = generator.integers(0, h, (n, PIXELS)), generator.integers(0, w, (n, PIXELS))
    pixels = images[np.arange(n)[:, None], rows, columns].reshape(-1, images.shape[3])
    return pixels if pixels.shape[1] == 3 else np.repeat(pixels, 3, 1)


def _levels(images: np.ndarray) -> list[np.ndarray]:
    """Return the images as float32 in [0, 1], at full and at half resolution (means of 2x2 pixels)."""
    full = images.astype(np.float32) / 255
    even = full[:, : full.shape[1] // 2 * 2, : full.shape[2] // 2 * 2]
    n, h, w, channels = even.shape
    return [full, even.reshape(n, h // 2, 2, w // 2, 2, channels).mean((2, 4))]


def _patches(level: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    n, h, w, _ = level.shape
    top = generator.integers(0, h - PATCH + 1, (n, PER_IMAGE))
    left = generator.integers(0, w - PATCH + 1, (n, PER_IMAGE))
    rows = (top[..., None] + np.arange(PATCH))[..., :, None]
    columns = (left[..., None] + np.arange(PATCH))[..., None, :]
    return level[np.arange(n)[:, None, None, None], rows, columns].reshape(n * PER_IMAGE, -1)


def _same_number(real: np.ndarray, fake: np.ndarray, smallest: int) -> tuple[np.ndarray, np.ndarray]:
    for images in (real, fake):
        if images.ndim != 4 or images.dtype != np.uint8 or images.shape[3] not in (1, 3) or not len(images):
            raise UserError(f"images must be uint8 (N, H, W, 1 or 3), not {images.dtype} {images.shape}")
        if min(images.shape[1:3]) < smallest:
            raise UserError(
                f"images of {images.shape[1]}x{images.shape[2]} are too small: {smallest} pixels are needed"
            )
    if real.shape[1:] != fake.shape[1:]:
        raise UserError(f"real images are {real.shape[1:]}, generated ones {fake.shape[1:]}")
    n = min(len(real), len(fake))
    return real[:n], fake[:n]
