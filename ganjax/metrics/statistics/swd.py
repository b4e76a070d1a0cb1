"""Sliced Wasserstein distance between the patches of two sets of images (Karras et al. 2018, arXiv 1710.10196)."""

import numpy as np

from ganjax.errors import UserError

PATCH, PER_IMAGE, DIRECTIONS, REPEATS, COARSEST = 7, 128, 128, 4, 16
BINOMIAL = np.array([1, 4, 6, 4, 1], np.float32) / 16


def compute(real: np.ndarray, fake: np.ndarray, seed: int = 0) -> dict:
    """Return {"value": SWD x 1e3, mean over the levels, "levels": {"32": ...}, "n_real", "n_fake", "seed"}.

    real, fake: uint8 (N, H, W, C), cut to the smaller N. Each set's Laplacian pyramid, down to 16 pixels, gives 128
    patches of 7x7 per image and level, normalised per channel over the set; the distance is the mean over 4 x 128
    random directions of the 1-D Wasserstein distance. It needs no network and is not comparable with FID.
    Raises UserError for images of different sizes, or below 7 pixels.
    """
    if min(real.shape[1:3]) < PATCH or real.shape[1:] != fake.shape[1:]:
        raise UserError(f"images must be of one size of {PATCH} pixels or more: {real.shape[1:]} and {fake.shape[1:]}")
    n = min(len(real), len(fake))
    generator = np.random.default_rng(seed)
    levels = {}
    for a, b in zip(_pyramid(real[:n]), _pyramid(fake[:n]), strict=True):
        patches = [_patches(level, generator) for level in (a, b)]
        levels[str(a.shape[1])] = 1e3 * sliced(*patches, generator)
    value = float(np.mean(list(levels.values())))
    counts = {"n_real": n, "n_fake": n, "seed": seed}
    return {"value": value, "levels": levels, **counts, "note": "not comparable with FID"}


def sliced(a: np.ndarray, b: np.ndarray, generator: np.random.Generator) -> float:
    """Return the sliced 1-Wasserstein distance of two sets of N points, (N, D) each."""
    distances = []
    for _ in range(REPEATS):
        directions = generator.standard_normal((a.shape[1], DIRECTIONS)).astype(np.float32)
        directions /= np.linalg.norm(directions, axis=0)
        distances.append(np.abs(np.sort(a @ directions, 0) - np.sort(b @ directions, 0)).mean(dtype=np.float64))
    return float(np.mean(distances))


def _blur(images: np.ndarray, axis: int) -> np.ndarray:
    padded = np.pad(images, [(2, 2) if i == axis else (0, 0) for i in range(4)], mode="reflect")
    size = images.shape[axis]
    return sum(w * padded.take(range(i, i + size), axis) for i, w in enumerate(BINOMIAL))


def _down(images: np.ndarray) -> np.ndarray:
    return _blur(_blur(images, 1), 2)[:, ::2, ::2]


def _up(images: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    zeros = np.zeros(shape, np.float32)
    zeros[:, ::2, ::2] = images
    return _blur(_blur(zeros, 1), 2) * 4


def _pyramid(images: np.ndarray) -> list[np.ndarray]:
    """Return the levels of the Laplacian pyramid, finest first; the last is the low-pass residual."""
    current, levels = images.astype(np.float32), []
    while min(current.shape[1:3]) >= 2 * COARSEST:
        smaller = _down(current)
        levels.append(current - _up(smaller, current.shape))
        current = smaller
    return [*levels, current]


def _patches(level: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    n, h, w, channels = level.shape
    top = generator.integers(0, h - PATCH + 1, (n, PER_IMAGE))
    left = generator.integers(0, w - PATCH + 1, (n, PER_IMAGE))
    offsets = np.arange(PATCH)
    rows = (top[..., None] + offsets)[..., :, None]
    columns = (left[..., None] + offsets)[..., None, :]
    patches = level[np.arange(n)[:, None, None, None], rows, columns].reshape(-1, PATCH * PATCH, channels)
    patches = patches - patches.mean((0, 1))
    patches /= patches.std((0, 1)) + 1e-8
    return patches.reshape(len(patches), -1)
