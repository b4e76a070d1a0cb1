"""Frechet distance of two Gaussians fitted to features (Dowson & Landau 1982; FID: Heusel et al. 2017, eq. 6).

|m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^1/2), in float64 on the host. Its bias falls like 1 / N: distances at
different N are not comparable.
"""

from typing import NamedTuple

import numpy as np
import scipy.linalg

from ganjax.errors import UserError


class Moments(NamedTuple):
    """mean (D,) and covariance (D, D), float64, of n features."""

    mean: np.ndarray
    cov: np.ndarray
    n: int


def check(features: np.ndarray, least: int = 2) -> np.ndarray:
    """Return the features (N, D). Raises UserError for fewer than `least`, or if some are not finite."""
    if features.ndim != 2 or len(features) < least:
        raise UserError(f"features of shape {features.shape}: at least {least} images are needed")
    finite = np.isfinite(features).all(1)
    if not finite.all():
        raise UserError(f"the features of {(~finite).sum()} images are not finite, first of image {finite.argmin()}")
    return features


def moments(features: np.ndarray, ddof: int = 1) -> Moments:
    """Return the moments of features (N, D), the covariance over N - ddof. Raises UserError as `check` does."""
    sums = Sums.zeros(features.shape[-1]).add(check(features))
    return sums.moments(ddof)


class Sums(NamedTuple):
    """Sums from which the moments of features in batches are computed: float64, about an `origin` near the mean."""

    origin: np.ndarray
    total: np.ndarray
    outer: np.ndarray
    n: int

    @classmethod
    def zeros(cls, dim: int) -> "Sums":
        return cls(np.zeros(dim), np.zeros(dim), np.zeros((dim, dim)), 0)

    def add(self, features: np.ndarray) -> "Sums":
        """Return the sums with features (N, D) added; the mean of the first batch becomes the origin."""
        features = np.asarray(features, np.float64)
        origin = self.origin if self.n else features.mean(0)
        shifted = features - origin
        return Sums(origin, self.total + shifted.sum(0), self.outer + shifted.T @ shifted, self.n + len(features))

    def moments(self, ddof: int = 1) -> Moments:
        shift = self.total / self.n
        cov = (self.outer - self.n * np.outer(shift, shift)) / (self.n - ddof)
        return Moments(self.origin + shift, cov, self.n)


def distance(a: Moments, b: Moments) -> float:
    """Return the distance. With S1 = R R^T, tr((S1 S2)^1/2) is the sum of the square roots of the eigenvalues of
    R^T S2 R, which avoids the general matrix square root, whose imaginary parts and failures trouble other programs.
    """
    try:  # R by Cholesky: the fastest, a symmetric generalised eigenvalue problem
        products = scipy.linalg.eigh(b.cov, a.cov, type=2, eigvals_only=True, driver="gv", check_finite=False)
    except np.linalg.LinAlgError:  # S1 is singular
        values, vectors = np.linalg.eigh(a.cov)
        root = vectors * np.sqrt(np.maximum(values, 0))
        products = np.linalg.eigvalsh(root.T @ b.cov @ root)
    cross = np.sqrt(np.maximum(products, 0)).sum()
    return _assemble(a.mean - b.mean, np.trace(a.cov), np.trace(b.cov), cross)


def of_features(a: np.ndarray, b: np.ndarray, ddof: int = 1) -> float:
    """Return the distance of features (N, D), (M, D).

    If a covariance is singular (N or M <= D), the square roots would amplify rounding errors: tr((S1 S2)^1/2) is then
    the nuclear norm of A B^T, with A^T A = S1 and B^T B = S2, without covariances. Raises UserError as `check` does.
    """
    if min(len(a), len(b)) > a.shape[1]:
        return distance(moments(a, ddof), moments(b, ddof))
    means, roots = zip(*(_root(check(x), ddof) for x in (a, b)), strict=True)
    cross = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    return _assemble(means[0] - means[1], np.sum(roots[0] ** 2), np.sum(roots[1] ** 2), cross)


def _root(features: np.ndarray, ddof: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean, and A (min(N, D), D) such that A^T A is the covariance."""
    features = np.asarray(features, np.float64)
    mean = features.mean(0)
    root = (features - mean) / np.sqrt(len(features) - ddof)
    return mean, np.linalg.qr(root, mode="r") if len(root) > root.shape[1] else root


def _assemble(shift: np.ndarray, trace_a: float, trace_b: float, cross: float) -> float:
    return max(float(shift @ shift + trace_a + trace_b - 2 * cross), 0.0)  # a negative value is a rounding error


def at_infinity(a: np.ndarray, b: np.ndarray, seed: int = 0, points: int = 15, least: int = 5000) -> dict:
    """Return {"value", "slope", "sizes", "distances"}: value is the intercept of a line through (1 / n, distance at n).

    Chong & Forsyth 2020 (arXiv 1911.07023): of `points` sizes n from min(least, N / 10) to N, each is the size of a
    random subset of the generated features `b` (N, D), compared with all real features `a`. Raises UserError for fewer
    than 100 generated images.
    """
    if len(b) < 100:
        raise UserError(f"{len(b)} generated images are too few to extrapolate from: 100 or more are needed")
    real, rng = moments(a), np.random.default_rng(seed)
    sizes = np.linspace(min(least, len(b) // 10), len(b), points).astype(int)
    distances = []
    for n in sizes:
        rows = b[rng.permutation(len(b))[:n]]
        enough = min(n, len(a)) > a.shape[1]
        distances.append(distance(real, moments(rows)) if enough else of_features(a, rows))
    slope, intercept = np.polyfit(1 / sizes, distances, 1)
    return {"value": float(intercept), "slope": float(slope), "sizes": sizes.tolist(), "distances": distances}
