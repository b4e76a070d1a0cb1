"""Kernel distances: squared maximum mean discrepancies (Gretton et al. 2012) of features, in float64 on the host.

KID is MMD^2 with k(x, y) = (x . y / D + 1)^3 (Binkowski et al. 2018, arXiv 1801.01401); CMMD with a Gaussian kernel
(Jayasumana et al. 2024, arXiv 2401.09603). The unbiased estimates may be negative.
"""

import numpy as np

from ganjax.errors import UserError
from ganjax.metrics.statistics.frechet import check

ROWS = 2048  # of a kernel matrix that are in memory at a time


def polynomial(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return KID's kernel k (N, M) of features (N, D), (M, D)."""
    k = x @ y.T
    k /= x.shape[1]
    k += 1
    return k * k * k


def mmd(x: np.ndarray, y: np.ndarray) -> float:
    """Return the unbiased MMD^2 of all features (N, D), (M, D) under `polynomial`, without the noise of subsets."""
    (within_x,), (within_y,), (between,) = _sums(check(x), check(y), np.ones((1, len(x))), np.ones((1, len(y))))
    n, m = len(x), len(y)
    return float(within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * between / (n * m))


def mmd_subsets(x: np.ndarray, y: np.ndarray, subsets: int = 100, size: int = 1000, seed: int = 2020) -> np.ndarray:
    """Return the unbiased MMD^2 (subsets,) of random subsets, drawn as torch-fidelity draws them: by RandomState(seed),
    without replacement, alternately from x (its input 1, the generated images) and y.

    Raises UserError for fewer than `size` images.
    """
    if min(len(check(x)), len(check(y))) < size:
        raise UserError(f"subsets of {size} cannot be drawn from {len(x)} and {len(y)} images")
    rng = np.random.RandomState(seed)
    rows = [[rng.choice(len(f), size, replace=False) for f in (x, y)] for _ in range(subsets)]
    if max(len(x), len(y)) ** 2 <= subsets * size**2:
        # One matrix of all pairs is less work than one per subset: a subset's sum is a quadratic form in its indicator.
        indicators_x, indicators_y = np.zeros((subsets, len(x))), np.zeros((subsets, len(y)))
        for i, (in_x, in_y) in enumerate(rows):
            indicators_x[i, in_x] = indicators_y[i, in_y] = 1
        within_x, within_y, between = _sums(x, y, indicators_x, indicators_y)
    else:
        ones = np.ones((1, size))
        parts = [_sums(x[in_x], y[in_y], ones, ones) for in_x, in_y in rows]
        within_x, within_y, between = np.array(parts)[..., 0].T
    return (within_x + within_y) / (size * (size - 1)) - 2 * between / size**2


def _sums(x: np.ndarray, y: np.ndarray, indicators_x: np.ndarray, indicators_y: np.ndarray):
    """Return the sums of k, (S,) each, over pairs within x, within y and between both, of S subsets with indicators
    (S, N), (S, M).

    Pairs of an image with itself are left out. Only ROWS rows of a matrix are in memory at a time, and only half of a
    symmetric one is computed.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    within = []
    for features, indicators in ((x, indicators_x), (y, indicators_y)):
        total = np.zeros(len(indicators))
        for i in range(0, len(features), ROWS):
            k = polynomial(features[i : i + ROWS], features[i:])
            own, later = indicators[:, i : i + ROWS], indicators[:, i:]
            head = len(k)
            square = np.einsum("sn,sn->s", own @ k[:, :head], own)
            rest = np.einsum("sn,sn->s", own, later[:, head:] @ k[:, head:].T)
            total += square - own**2 @ np.diagonal(k) + 2 * rest
        within.append(total)
    between = np.zeros(len(indicators_x))
    for i in range(0, len(x), ROWS):
        k = polynomial(x[i : i + ROWS], y)
        between += np.einsum("sn,sn->s", indicators_x[:, i : i + ROWS], indicators_y @ k.T)
    return *within, between


def cmmd(x: np.ndarray, y: np.ndarray, sigma: float = 10.0, scale: float = 1000.0) -> float:
    """Return scale * the biased MMD^2 under exp(-|x - y|^2 / (2 sigma^2)) of features (N, D), (M, D) scaled to norm 1.

    The kernel lies in [0.98, 1]: k - 1 is summed, by expm1, because float32 sums of k itself hold only noise.
    """
    x, y = (np.asarray(check(f), np.float64) for f in (x, y))
    x, y = (f / np.linalg.norm(f, axis=1, keepdims=True) for f in (x, y))

    def mean(a, b):
        total = 0.0
        for i in range(0, len(a), ROWS):
            squared = np.maximum(2 - 2 * (a[i : i + ROWS] @ b.T), 0)
            total += np.expm1(-squared / (2 * sigma**2)).sum()
        return total / (len(a) * len(b))

    return float(scale * (mean(x, x) + mean(y, y) - 2 * mean(x, y)))
