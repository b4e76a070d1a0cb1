"""Improved precision and recall (Kynkaanniemi et al. 2019, arXiv 1904.06991); density and coverage (Naeem et al. 2020,
arXiv 2002.09797). A set's manifold is the union of balls about its features, each out to its k-th nearest neighbour.
"""

import numpy as np

from ganjax.errors import UserError
from ganjax.metrics.statistics.frechet import check

OWN = 1 << 26  # of a set's own matrix of distances at a time, 256 MB: a whole symmetric one takes half the products
CELLS = 1 << 21  # of a matrix between two sets
PAIRS = 256  # whose distance is computed directly at a time: they stay in the processor's cache
NEAR = 1 / 64  # share of pairs that float32 leaves open above which float64 is quicker


def precision_recall(real: np.ndarray, fake: np.ndarray, k: int = 3, ties: str = "inclusive") -> dict:
    """Return {"precision", "recall", "k", "ties"} of features (N, D), (M, D).

    Precision: share of fakes within a real ball; recall: share of reals within a fake's. `ties`: whether a distance
    equal to the radius is within ("inclusive": Kynkaanniemi, torch-fidelity) or not ("strict": prdc).
    """
    inside, within = _inside(real, fake, k, ties)[:2]
    return {"precision": float(inside.any(0).mean()), "recall": float(within.mean()), "k": k, "ties": ties}


def prdc(real: np.ndarray, fake: np.ndarray, k: int = 5, ties: str = "strict") -> dict:
    """Return {"precision", "recall", "density", "coverage", "k", "ties"} of features (N, D), (M, D).

    Density: mean number of real balls about a fake, over k; coverage: share of real balls that hold a fake. UserError
    where a real radius is 0, k + 1 images being equal: neither then says anything.
    """
    inside, within, radii = _inside(real, fake, k, ties)
    if not radii.all():
        raise UserError(
            f"density and coverage: {(radii == 0).sum()} real images have {k} others of the same features, so that "
            "their balls have radius 0: remove the duplicates, or ask for precision and recall alone"
        )
    return {
        "precision": float(inside.any(0).mean()),
        "recall": float(within.mean()),
        "density": float(inside.sum() / (k * len(fake))),
        "coverage": float(inside.any(1).mean()),
        "k": k,
        "ties": ties,
    }


def _inside(real, fake, k: int, ties: str):
    """Return (fake m in the ball of real n) (N, M), (real n in any ball of fakes) (N,), and the real radii^2 (N,)."""
    if ties not in ("strict", "inclusive"):
        raise ValueError(f"ties = {ties!r} must be 'strict' or 'inclusive'")
    if min(len(check(real)), len(check(fake))) <= k:
        raise UserError(f"{len(real)} real and {len(fake)} generated images are too few for {k} neighbours of each")
    radii, fake_radii = _radii(real, k), _radii(fake, k)
    inside, within = np.empty((len(real), len(fake)), bool), np.empty(len(real), bool)
    distances = _Distances(real, fake)
    for part in _tiles(len(real), len(fake), CELLS):
        inside[part], reals = distances.less(part, (radii[part, None], fake_radii[None]), ties)
        within[part] = reals.any(1)
    return inside, within, radii


def _radii(features: np.ndarray, k: int) -> np.ndarray:
    """Return the squared distance (N,) of each to its k-th nearest other; exactly 0 where k others equal it."""
    distances, radii = _Distances(features, features), np.zeros(len(features))
    rows_as_bytes = np.ascontiguousarray(features).view(np.dtype((np.void, features.itemsize * features.shape[1])))
    _, which, counts = np.unique(rows_as_bytes, return_inverse=True, return_counts=True)
    alone = counts[which.ravel()] <= k  # the others' radii are 0: a collapsed generator's pairs would all be ties
    for part in _tiles(len(features), len(features), OWN):
        for dtype in (np.float32, np.float64):
            above, error = distances.estimate(part, dtype)
            above -= np.partition(above, k, 1)[:, k, None]  # at 0 comes itself
            open_ = (np.abs(above) <= 2 * error) & alone[part, None]  # what may be the k-th: surely, no other is
            if np.mean(open_) <= NEAR:
                break
        rows, columns = np.nonzero(open_)
        exact = distances.exact(rows + part.start, columns)
        wanted = np.flatnonzero(alone[part])
        nearer = (above < -2 * error).sum(1)[wanted]
        order = np.lexsort((exact, rows))
        radii[wanted + part.start] = exact[order][np.searchsorted(rows, wanted) + k - nearer]
    return radii


class _Distances:
    """Squared distances of x (N, D) to y (M, D): quick estimates with bounds on their errors, and exact ones."""

    def __init__(self, x: np.ndarray, y: np.ndarray):
        self.x, self.y = x, y
        centre = x.mean(0, dtype=np.float64)  # a large mean would cancel
        sides = [x - centre] if y is x else [x - centre, y - centre]
        largest = max(np.abs(side).max() for side in sides)
        # By a power of two, which rounds nothing, so that squares neither over- nor underflow in float32.
        self.scale = 2.0 ** np.ceil(np.log2(largest)) if largest > 0 else 1.0
        for side in sides:
            side /= self.scale
        self.squares = [(side**2).sum(1) for side in sides]
        self.sides = {dtype: [side.astype(dtype, copy=False) for side in sides] for dtype in (np.float32, np.float64)}

    def estimate(self, part: slice, dtype: type) -> tuple[np.ndarray, np.ndarray]:
        """Return |x - y|^2 / scale^2 (rows, M) in that dtype, and how far each row's may be from the truth (rows, 1).

        The bound is that of a sum of D products in any order, (D + 8) u (|x|^2 + |y|^2), u the unit roundoff.
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
        """Return |x - y|^2 of those pairs from the differences, float64."""
        distances = np.empty(len(rows))
        for i in range(0, len(rows), PAIRS):
            part = slice(i, i + PAIRS)
            difference = self.x[rows[part]].astype(np.float64) - self.y[columns[part]]
            distances[part] = np.einsum("nd,nd->n", difference, difference)
        return distances

    def less(self, part: slice, bounds: tuple[np.ndarray, ...], ties: str) -> list[np.ndarray]:
        """Return, for each of the squared bounds (rows or 1, M or 1), which of the distances (rows, M) lie within."""
        for dtype in (np.float32, np.float64):
            estimate, error = self.estimate(part, dtype)
            slack = [(bound / self.scale**2).astype(dtype) for bound in bounds]
            above = [estimate - bound for bound in slack]
            unit = np.finfo(dtype).eps
            open_ = [np.abs(a) <= error + unit * bound for a, bound in zip(above, slack, strict=True)]
            if max(map(np.mean, open_)) <= NEAR:
                break
        within = []
        for a, unsure, bound in zip(above, open_, bounds, strict=True):
            rows, columns = np.nonzero(unsure)
            exact = self.exact(rows + part.start, columns)
            bound = np.broadcast_to(bound, a.shape)[rows, columns]
            inside = a < 0
            inside[rows, columns] = exact < bound if ties == "strict" else exact <= bound
            within.append(inside)
        return within


def _tiles(rows: int, columns: int, cells: int) -> list[slice]:
    size = max(1, cells // columns)
    return [slice(i, i + size) for i in range(0, rows, size)]
