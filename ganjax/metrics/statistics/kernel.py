"""Kernel distances: squared maximum mean discrepancies (Gretton et al. 2012) of features, in float64 on the host.

KID is MMD^2 with k(x, y) = (x . y / D + 1)^3 (Binkowski et al. 2018, arXiv 1801.01401); CMMD with a Gaussian kernel
(Jayasumana et al. 2024, arXiv 2401.09603). The unbiased estimates may be negative.
"""

import numpy as np

from ganjax.errors import UserError
from ganjax.metrics.statistics.frechet import check

ROWS = 2048  # of a kernel matrix at a time


def polynomial(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return k (N, M) of features (N, D), (M, D)."""
    k = x @ y.T
    k /= x.shape[1]
    k += 1
    return k * k * k


def mmd(x: np.ndarray, y: np.ndarray) -> float:
    """Return the unbiased MMD^2 of all features (N, D), (M, D) under `polynomial`: no subset, so no subset's noise."""
    (within_x,), (within_y,), (between,) = _sums(check(x), check(y), np.ones((1, len(x))), np.ones((1, len(y))))
    n, m = len(x), len(y)
    return float(within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * between / (n * m))


def mmd_subsets(x: np.ndarray, y: np.ndarray, subsets: int = 100, size: int = 1000, seed: int = 2020) -> np.ndarray:
    """Return the unbiased MMD^2 (subsets,) of random subsets, drawn as torch-fidelity draws them: RandomState(seed),
    without replacement, from x (its input 1, the generated) and from y by turns. UserError below `size` images.
    """
    if min(len(check(x)), len(check(y))) < size:
        raise UserError(f"subsets of {size} cannot be drawn from {len(x)} and {len(y)} images")
    rng = np.random.RandomState(seed)
    rows = [[rng.choice(len(f), size, replace=False) for f in (x, y)] for _ in range(subsets)]
    if max(len(x), len(y)) ** 2 <= subsets * size**2:
        # One matrix of all pairs is less work than one a subset: a subset's sum is a quadratic form in its indicator.
        chosen_x, chosen_y = np.zeros((subsets, len(x))), np.zeros((subsets, len(y)))
        for i, (in_x, in_y) in enumerate(rows):
            chosen_x[i, in_x] = chosen_y[i, in_y] = 1
        within_x, within_y, between = _sums(x, y, chosen_x, chosen_y)
    else:
        whole = np.ones((1, size))
        parts = [_sums(x[in_x], y[in_y], whole, whole) for in_x, in_y in rows]
        within_x, within_y, between = np.array(parts)[..., 0].T
    return (within_x + within_y) / (size * (size - 1)) - 2 * between / size**2


def _sums(x: np.ndarray, y: np.ndarray, chosen_x: np.ndarray, chosen_y: np.ndarray):
    """Return, of each of S subsets (S, N), (S, M), the sums of k over pairs within x, within y (without those of an
    image with itself), and between. Only ROWS rows of a matrix exist at a time, and half of a symmetric one.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    within = []
    for features, chosen in ((x, chosen_x), (y, chosen_y)):
        total = np.zeros(len(chosen))
        for i in range(0, len(features), ROWS):
            k = polynomial(features[i : i + ROWS], features[i:])
            own, later = chosen[:, i : i + ROWS], chosen[:, i:]
            head = len(k)
            square = np.einsum("sn,sn->s", own @ k[:, :head], own)
            rest = np.einsum("sn,sn->s", own, later[:, head:] @ k[:, head:].T)
            total += square - own**2 @ np.diagonal(k) + 2 * rest
        within.append(total)
    between = np.zeros(len(chosen_x))
    for i in range(0, len(x), ROWS):
        between += np.einsum("sn,sn->s", chosen_x[:, i : i + ROWS], chosen_y @ polynomial(x[i : i + ROWS], y).T)
    return *within, between


def cmmd(x: np.ndarray, y: np.ndarray, sigma: float = 10.0, scale: float = 1000.0) -> float:
    """Return scale * the biased MMD^2 under exp(-|x - y|^2 / (2 sigma^2)) of features (N, D), (M, D) scaled to norm 1.

    The kernel lies in [0.98, 1]: k - 1 is summed, by expm1, since float32 sums of k itself hold noise only.
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
