"""Improved precision and recall (Kynkaanniemi et al. 2019, arXiv 1904.06991); density and coverage (Naeem et al. 2020,
arXiv 2002.09797).

A set's manifold is the union of balls around its features; a ball's radius is the distance to the k-th nearest feature.
"""

import numpy as np

from ganjax.errors import UserError
from ganjax.metrics.statistics.frechet import check

OWN = 1 << 26  # cells per tile of a set's own distance matrix, 256 MB: a whole symmetric one takes half the products
CELLS = 1 << 21  # cells per tile of a distance matrix between two sets
PAIRS = 256  # pairs whose exact distance is computed at a time: they stay in the processor's cache
NEAR = 1 / 64  # if float32 leaves a larger share of pairs undecided, float64 is faster


def precision_recall(real: np.ndarray, fake: np.ndarray, k: int = 3, ties: str = "inclusive") -> dict:
    """Return {"precision", "recall", "k", "ties"} of features (N, D), (M, D).

    Precision is the share of fakes within a real ball; recall is the share of reals within a fake ball. `ties`: whether
    a distance equal to the radius is within ("inclusive": Kynkaanniemi, torch-fidelity) or not ("strict": prdc).
    Raises UserError for k or fewer images on a side.
    """
    inside, reached, _ = _inside(real, fake, k, ties)
    return {"precision": float(inside.any(0).mean()), "recall": float(reached.mean()), "k": k, "ties": ties}


def prdc(real: np.ndarray, fake: np.ndarray, k: int = 5, ties: str = "strict") -> dict:
    """Return {"precision", "recall", "density", "coverage", "k", "ties"} of features (N, D), (M, D).

    Density is the mean number of real balls that contain a fake, over k; coverage is the share of real balls that
    contain a fake. Raises UserError if a real radius is 0, because k + 1 images are equal: both are then meaningless.
    """
    inside, reached, radii = _inside(real, fake, k, ties)
    if not radii.all():
        raise UserError(
            f"density and coverage: {(radii == 0).sum()} real images have {k} others of the same features, so that "
            "their balls have radius 0: remove the duplicates, or compute precision and recall alone"
        )
    return {
        "precision": float(inside.any(0).mean()),
        "recall": float(reached.mean()),
        "density": float(inside.sum() / (k * len(fake))),
        "coverage": float(inside.any(1).mean()),
        "k": k,
        "ties": ties,
    }


def _inside(real, fake, k: int, ties: str):
    """Return (fake m is in the ball of real n) (N, M), (real n is in a fake ball) (N,), and the real radii^2 (N,)."""
    if ties not in ("strict", "inclusive"):
        raise ValueError(f"ties = {ties!r} must be 'strict' or 'inclusive'")
    if min(len(check(real)), len(check(fake))) <= k:
        raise UserError(f"{len(real)} real and {len(fake)} generated images are too few for {k} neighbours of each")
    radii, fake_radii = _radii(real, k), _radii(fake, k)
    inside, reached = np.empty((len(real), len(fake)), bool), np.empty(len(real), bool)
    distances = _Distances(real, fake)
    for part in _tiles(len(real), len(fake), CELLS):
        inside[part], in_fake_ball = distances.less(part, (radii[part, None], fake_radii[None]), ties)
        reached[part] = in_fake_ball.any(1)
    return inside, reached, radii


def _radii(features: np.ndarray, k: int) -> np.ndarray:
    """Return the squared distance (N,) of each feature to its k-th nearest other; exactly 0 if k others equal it."""
    distances, radii = _Distances(features, features), np.zeros(len(features))
    rows_as_bytes = np.ascontiguousarray(features).view(np.dtype((np.void, features.itemsize * features.shape[1])))
    _, groups, counts = np.unique(rows_as_bytes, return_inverse=True, return_counts=True)
    nonzero = counts[groups.ravel()] <= k  # other radii stay 0: all pairs of a collapsed generator would be ties
    for part in _tiles(len(features), len(features), OWN):
        for dtype in (np.float32, np.float64):
            above, error = distances.estimate(part, dtype)
            above -= np.partition(above, k, 1)[:, k, None]  # the feature itself is at index 0
            candidates = (np.abs(above) <= 2 * error) & nonzero[part, None]  # only these can be the k-th nearest
            if np.mean(candidates) <= NEAR:
                break
        rows, columns = np.nonzero(candidates)
        exact = distances.exact(rows + part.start, columns)
        nonzero_rows = np.flatnonzero(nonzero[part])
        nearer = (above < -2 * error).sum(1)[nonzero_rows]
        order = np.lexsort((exact, rows))
        radii[nonzero_rows + part.start] = exact[order][np.searchsorted(rows, nonzero_rows) + k - nearer]
    return radii


class _Distances:
    """Squared distances of x (N, D) to y (M, D): fast estimates with error bounds, and exact distances."""

    def __init__(self, x: np.ndarray, y: np.ndarray):
        self.x, self.y = x, y
        centre = x.mean(0, dtype=np.float64)  # is subtracted, since digits would cancel if the mean were large
        sides = [x - centre] if y is x else [x - centre, y - centre]
        largest = max(np.abs(side).max() for side in sides)
        # Scale by a power of two, which rounds nothing, so that squares neither over- nor underflow in float32.
        self.scale = 2.0 ** np.ceil(np.log2(largest)) if largest > 0 else 1.0
        for side in sides:
            side /= self.scale
        self.squares = [(side**2).sum(1) for side in sides]
        self.sides = {dtype: [side.astype(dtype, copy=False) for side in sides] for dtype in (np.float32, np.float64)}

    def estimate(self, part: slice, dtype: type) -> tuple[np.ndarray, np.ndarray]:
        """Return |x - y|^2 / scale^2 (rows, M), computed in that dtype, and a bound on each row's error (rows, 1).

        The bound is that of a sum of D products in any order, (D + 8) u (|x|^2 + |y|^2), u being the unit roundoff.
        """
        x, y = self.sides[dtype][0], self.sides[dtype][-1]
        squares, others = self.squares[0][part, None], self.squares[-1]
        estimate = x[part] @ y.T
        estimate *= -2
        estimate += squares.astype(dtype)
        estimate += others.astype(dtype)
        unit = np.finfo(dtype).eps / 2
        return estimate, ((x.shape[1] + 8) * unit * (squares + others.max())).astype(dtype)

    def exact(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return |x - y|^2 of these pairs, computed from the differences in float64."""
        distances = np.empty(len(rows))
        for i in range(0, len(rows), PAIRS):
            part = slice(i, i + PAIRS)
            difference = self.x[rows[part]].astype(np.float64) - self.y[columns[part]]
            distances[part] = np.einsum("nd,nd->n", difference, difference)
        return distances

    def less(self, part: slice, bounds: tuple[np.ndarray, ...], ties: str) -> list[np.ndarray]:
        """Return, for each of the squared bounds (rows or 1, M or 1), a mask (rows, M) of the distances within it."""
        for dtype in (np.float32, np.float64):
            estimate, error = self.estimate(part, dtype)
            scaled_bounds = [(bound / self.scale**2).astype(dtype) for bound in bounds]
            above = [estimate - bound for bound in scaled_bounds]
            unit = np.finfo(dtype).eps
            undecided = [np.abs(a) <= error + unit * bound for a, bound in zip(above, scaled_bounds, strict=True)]
            if max(map(np.mean, undecided)) <= NEAR:
                break
        within = []
        for a, mask, bound in zip(above, undecided, bounds, strict=True):
            rows, columns = np.nonzero(mask)
            exact = self.exact(rows + part.start, columns)
            bound = np.broadcast_to(bound, a.shape)[rows, columns]
            inside = a < 0
            inside[rows, columns] = exact < bound if ties == "strict" else exact <= bound
            within.append(inside)
        return within


def _tiles(rows: int, columns: int, cells: int) -> list[slice]:
    size = max(1, cells // columns)
    return [slice(i, i + size) for i in range(0, rows, size)]
