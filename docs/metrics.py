"""Make docs/metrics.png and the table of docs/metrics.md: do the metrics that need no download order damage rightly?

python docs/metrics.py --data=FOLDER_WITH_A_SUBFOLDER_PER_LABEL [--metrics=rand_fd,swd] [--seeds=3]

Each seed splits the images into two halves, A and B. A is the reference; B is damaged more and more, and measured
against A. A metric orders a kind of damage rightly where every step is worse than the one before, from the undamaged B
on, in the mean over the seeds.
"""

from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def blur(images: np.ndarray, sigma: float) -> np.ndarray:
    """Convolve (N, H, W, C) with a Gaussian, mirrored at the border."""
    from scipy.ndimage import gaussian_filter

    blurred = gaussian_filter(images.astype(np.float32), (0, sigma, sigma, 0), mode="mirror")
    return np.clip(np.round(blurred), 0, 255).astype(np.uint8)


def noise(images: np.ndarray, sigma: float, rng) -> np.ndarray:
    noisy = images + sigma * rng.standard_normal(images.shape, np.float32)
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8)


def damages(images: np.ndarray, labels: np.ndarray, rng) -> dict:
    """Return {kind: {degree: (images, labels)}}, each of as many images as came in."""
    classes = rng.permutation(labels.max() + 1)

    def drawn(rows):
        rows = rng.choice(rows, len(images))
        return images[rows], labels[rows]

    return {
        "blur": {sigma: (blur(images, sigma), labels) for sigma in (0.5, 1, 2)},
        "noise": {sigma: (noise(images, sigma, rng), labels) for sigma in (10, 20, 40)},
        "labels dropped": {n: drawn(np.flatnonzero(~np.isin(labels, classes[:n]))) for n in (1, 3, 5)},
        "distinct images": {n: drawn(rng.permutation(len(images))[:n]) for n in (500, 100, 20)},
    }
