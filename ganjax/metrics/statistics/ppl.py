"""Perceptual path length (Karras et al. 2019, arXiv 1812.04948, eq. 2; its end points: 2020, arXiv 1912.04958)."""

import functools

import jax
import numpy as np

from ganjax.metrics.statistics import copies
from ganjax.nets.pretrained import lpips
from ganjax.ops.alpha import on_board

EPSILON, SIDE, BATCH = 1e-4, 256, 16
CUT = (1, 99)  # percentiles: paths beyond them are left out


def slerp(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return the vectors (N, D) of length 1 at the share t (N, 1) of the angle from a to b (N, D)."""
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    cosine = np.clip((a * b).sum(1, keepdims=True), -1, 1)
    orthogonal = b - cosine * a
    orthogonal /= np.maximum(np.linalg.norm(orthogonal, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    angle = t * np.arccos(cosine)
    return a * np.cos(angle) + orthogonal * np.sin(angle)


def compute(
    sample, draw, variables: dict, num: int = 1000, seed: int = 0, end: bool = False, progress=None, distance=None
) -> dict:
    """Return {"value", "std", "num", "epsilon", "space", "sampling", "net"}: value is the mean over `num` paths of
    d(G(t), G(t + epsilon)) / epsilon^2, d being LPIPS of `variables` (VGG).

    The paths run on a sphere between Gaussian latents, its radius their mean length; those below the 1st and above the
    99th percentile are left out. t is uniform in [0, 1), or 0 with `end`.
    sample: z (B, D) -> images (B, H, W, C), float in [-1, 1], not rounded to 8 bits, since a step of epsilon changes
    less than that. Images of over 256 pixels a side are reduced to 256 by area means. draw: (num, seed) -> z (num, D).
    progress: wraps the range of batches. distance: replaces LPIPS, as (images, images) -> (B,).
    """
    start, stop = np.split(np.asarray(draw(2 * num, seed), np.float64), 2)
    length = np.linalg.norm(start, axis=1).mean()
    t = np.zeros((num, 1)) if end else np.random.default_rng(seed).random((num, 1))
    near, far = (length * slerp(start, stop, share) for share in (t, t + EPSILON))
    measure = distance or functools.partial(_lpips, variables)
    distances = []
    starts = range(0, num, BATCH)
    for i in starts if progress is None else progress(starts):
        rows = np.minimum(np.arange(i, i + BATCH), num - 1)
        pair = [_to_side(np.asarray(sample(z[rows].astype(np.float32)))) for z in (near, far)]
        with jax.default_matmul_precision("highest"):
            distances.append(np.asarray(measure(*pair), np.float64)[: min(BATCH, num - i)])
    paths = np.concatenate(distances) / EPSILON**2
    low, high = np.percentile(paths, CUT[0], method="lower"), np.percentile(paths, CUT[1], method="higher")
    within = paths[(low <= paths) & (paths <= high)]
    protocol = {"num": num, "epsilon": EPSILON, "space": "z", "sampling": "end" if end else "full", "net": "vgg"}
    return {"value": float(within.mean()), "std": float(within.std(ddof=1)) if len(within) > 1 else 0.0, **protocol}


@jax.jit
def _lpips(variables: dict, a: jax.Array, b: jax.Array) -> jax.Array:
    return lpips.distance(variables, a, b, "vgg")


def _to_side(images: np.ndarray) -> np.ndarray:
    images = on_board(images)
    if min(images.shape[1:3]) > SIDE:
        images = copies.area_mean(images, SIDE, SIDE)
    return np.clip(images, -1, 1)
