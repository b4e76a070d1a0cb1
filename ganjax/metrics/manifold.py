"""Improved precision and recall (Kynkaanniemi et al. 2019, arXiv 1904.06991); density and coverage (Naeem et al. 2020,
arXiv 2002.09797). A set's manifold is the union of balls about its features, each out to its k-th nearest neighbour.
"""

import numpy as np

from ganjax.errors import UserError
from ganjax.metrics.frechet import check

CELLS = 1 << 26  # of a matrix of distances at a time: 512 MB. A whole symmetric one takes half the products
PAIRS = 4096  # whose distance is computed directly at a time


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
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    real, fake = real - (centre := real.mean(0)), fake - centre  # a large mean would cancel in the distances
    radii, fake_radii = _radii(real, k), _radii(fake, k)
    inside, within = np.empty((len(real), len(fake)), bool), np.empty(len(real), bool)
    squares, fake_squares = (real**2).sum(1), (fake**2).sum(1)
    for part in _tiles(len(real), len(fake)):
        squared = real[part] @ (-2 * fake).T
        squared += squares[part, None]
        squared += fake_squares
        inside[part] = _less(squared, radii[part, None], real[part], fake, ties)
        within[part] = _less(squared, fake_radii, real[part], fake, ties).any(1)
    return inside, within, radii


def _less(squared: np.ndarray, radii: np.ndarray, x: np.ndarray, y: np.ndarray, ties: str) -> np.ndarray:
    """Compare distances (N, M) with radii; those within rounding of theirs are computed again from x - y."""
    rounding = 1e-12 * ((x**2).sum(1).max() + (y**2).sum(1).max())
    less = squared <= radii - rounding
    rows, columns = np.nonzero((squared <= radii + rounding) ^ less)
    radii = np.broadcast_to(radii, squared.shape)
    for i in range(0, len(rows), PAIRS):
        part = rows[i : i + PAIRS], columns[i : i + PAIRS]
        exact = ((x[part[0]] - y[part[1]]) ** 2).sum(-1)
        less[part] = exact < radii[part] if ties == "strict" else exact <= radii[part]
    return less


def _radii(features: np.ndarray, k: int) -> np.ndarray:
    """Return the squared distance (N,) of each to its k-th nearest other; exactly 0 where k others equal it."""
    radii, squares = np.empty(len(features)), (features**2).sum(1)
    for part in _tiles(len(features), len(features)):
        rank = features[part] @ features.T
        rank *= -2
        rank += squares  # the distance, but for what a row has in common
        neighbour = np.argpartition(rank, k, 1)[:, k]  # at 0 comes itself
        radii[part] = ((features[part] - features[neighbour]) ** 2).sum(-1)
    return radii


def _tiles(rows: int, columns: int) -> list[slice]:
    size = max(1, CELLS // columns)
    return [slice(i, i + size) for i in range(0, rows, size)]
