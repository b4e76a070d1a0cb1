"""Does the generator copy its training images? Distances to them, in any features or in pixels.

All but the helpers of pixels take features, float (N, d), of any net. A training image that occurs twice has a nearest
other at distance 0; each function documents how it treats this.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ganjax.errors import UserError

ROWS, COLUMNS = 512, 4096  # of a tile of distances: 16 MB
SPARE = 8  # candidates beyond k whose distance is computed directly
SPLIT = 5  # without held-out images, one training image in five plays their part
QUANTILE = 0.01
MANY = 50  # the neighbour that the nearest is measured by
EPSILON = 1e-15


class Sheet(NamedTuple):
    """images (R, H, W, C) beside neighbours (R, k, H, W, C), distances (R, k) and both sides' rows."""

    images: np.ndarray
    neighbours: np.ndarray
    distances: np.ndarray
    rows: np.ndarray
    neighbour_rows: np.ndarray


def nearest(queries: np.ndarray, references: np.ndarray, k: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return (distances float64 (N, k), rows of `references` int64 (N, k)), nearest first: exact Euclidean.

    Nothing is left out: a query that is a reference finds itself at distance 0. Of equal distances the lower row comes
    first. Raises UserError for features that do not fit, or fewer than k references.
    """
    queries, references = _pair(queries, references)
    if not 1 <= k <= len(references):
        raise UserError(f"{k} nearest images cannot be had of {len(references)}")
    found = [_nearest(queries[i : i + ROWS], references, k) for i in range(0, len(queries), ROWS)]
    return np.concatenate([d for d, _ in found]), np.concatenate([rows for _, rows in found])


def _nearest(queries: np.ndarray, references: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    # |a - b|^2 = |a|^2 + |b|^2 - 2ab loses digits where the norms are large beside the distance: both are centred, and
    # the distances of the k + SPARE best, which it only chooses, are then computed directly.
    centre = references[:COLUMNS].mean(0, dtype=np.float64)
    a = queries.astype(np.float64) - centre
    best, rows = np.empty((len(a), 0)), np.empty((len(a), 0), np.int64)
    for start in range(0, len(references), COLUMNS):
        b = references[start : start + COLUMNS].astype(np.float64) - centre
        squares = (b * b).sum(1) - 2 * (a @ b.T)
        best = np.concatenate([best, squares], 1)
        rows = np.concatenate([rows, np.broadcast_to(np.arange(start, start + len(b)), squares.shape)], 1)
        keep = min(k + SPARE, best.shape[1])
        chosen = np.argpartition(best, keep - 1, 1)[:, :keep]
        best, rows = np.take_along_axis(best, chosen, 1), np.take_along_axis(rows, chosen, 1)
    rows = np.sort(rows, 1)
    near = [np.linalg.norm(references[r].astype(np.float64) - q, axis=1) for q, r in zip(queries, rows, strict=True)]
    order = np.argsort(near, 1, kind="stable")[:, :k]
    return np.take_along_axis(np.array(near), order, 1), np.take_along_axis(rows, order, 1)


def copy_ratio(
    fake: np.ndarray,
    train: np.ndarray,
    held_out: np.ndarray | None = None,
    flipped: np.ndarray | None = None,
    seed: int = 0,
) -> dict:
    """Compare the nearness to the training set of generated images and of real ones that training never saw.

    An image's nearness is its distance to the nearest training image over that to the 50th nearest: near 0 for a copy,
    near 1 for what is equally far from many, as blurred images are, which lie close to all. {"value": the median over
    generated images, divided by that of held-out ones: about 1 or more where generated images are as new as unseen
    art, far below it where they are copies. "share": of generated images no nearer to 1 than the 1 % quantile of
    held-out ones, so about 0.01 where they are new; "median", "held_out_median", "quantile", "distance_ratio": the
    ratio of the medians of the nearest distances alone, "held_out": "given" or "split of train", "n_fake", "n_train",
    "n_held_out", "seed"}.

    flipped: features of the mirrored training images, in their order, if training mirrors; the nearer of both counts.
    Without `held_out` a fifth of `train`, drawn by the seed, takes its place and the rest that of `train`: copies of
    the fifth are not seen then. A duplicate between held-out and training images has nearness 0 and lowers median and
    quantile; UserError where over half have, and for training images that are 50 times the same.
    """
    source = "given"
    if held_out is None:
        source = "split of train"
        if len(train) < 2 * SPLIT:
            raise UserError(f"{len(train)} training images are too few to set a fifth aside: {2 * SPLIT} are needed")
        rows = np.random.default_rng(seed).permutation(len(train))
        unseen, seen = np.sort(rows[: len(rows) // SPLIT]), np.sort(rows[len(rows) // SPLIT :])
        held_out, train, flipped = train[unseen], train[seen], None if flipped is None else flipped[seen]
    many = min(MANY, len(train))
    distances, unseen = (to_train(x, train, flipped, many)[0] for x in (fake, held_out))
    if not (distances[:, -1].all() and unseen[:, -1].all()):
        raise UserError(f"some images equal {many} training images: remove the duplicates")
    nearness, reference = distances[:, 0] / distances[:, -1], unseen[:, 0] / unseen[:, -1]
    median, expected = np.median(nearness), np.median(reference)
    if expected == 0:
        raise UserError("over half of the held-out images are training images too: there is nothing to compare with")
    quantile = np.quantile(reference, QUANTILE)
    return {
        "value": float(median / expected),
        "share": float((nearness <= quantile).mean()),
        "distance_ratio": float(np.median(distances[:, 0]) / np.median(unseen[:, 0])),
        "median": float(median),
        "held_out_median": float(expected),
        "quantile": float(quantile),
        "held_out": source,
        "n_fake": len(fake),
        "n_train": len(train),
        "n_held_out": len(held_out),
        "seed": seed,
    }


def ratio_to(train: np.ndarray, seed: int = 0) -> Callable[[np.ndarray], float]:
    """Return fake -> the value of `copy_ratio`, for which the held-out fifth of `train` is measured once.

    UserError as there.
    """
    rows = np.random.default_rng(seed).permutation(len(train))
    if len(train) < 2 * SPLIT:
        raise UserError(f"{len(train)} training images are too few to set a fifth aside: {2 * SPLIT} are needed")
    unseen, seen = train[np.sort(rows[: len(rows) // SPLIT])], train[np.sort(rows[len(rows) // SPLIT :])]

    def median(images):
        distances = to_train(images, seen, None, min(MANY, len(seen)))[0]
        if not distances[:, -1].all():
            raise UserError(f"some images equal {MANY} training images: remove the duplicates")
        return np.median(distances[:, 0] / distances[:, -1])

    if not (expected := median(unseen)):
        raise UserError("over half of the held-out images are training images too: there is nothing to compare with")
    return lambda fake: float(median(fake) / expected)


def to_train(queries: np.ndarray, train: np.ndarray, flipped: np.ndarray | None = None, k: int = 1):
    """Return `nearest` of `train`; with its mirror images `flipped` (N, d) each training image counts once, as the
    nearer of both: rows N and above are mirrored ones.
    """
    if flipped is None:
        return nearest(queries, train, k)
    if flipped.shape != train.shape:
        raise UserError(f"features of mirrored training images are {flipped.shape}, of plain ones {train.shape}")
    sides = [nearest(queries, side, min(k, len(train))) for side in (train, flipped)]
    distances = np.concatenate([d for d, _ in sides], 1)
    rows = np.concatenate([sides[0][1], sides[1][1] + len(train)], 1)
    order = np.argsort(distances, 1, kind="stable")
    distances, rows = np.take_along_axis(distances, order, 1), np.take_along_axis(rows, order, 1)
    originals = rows % len(train)
    again = np.array([(originals[:, :i] == originals[:, i : i + 1]).any(1) for i in range(rows.shape[1])]).T
    order = np.argsort(again, 1, kind="stable")[:, :k]  # the firsts, still nearest first
    return np.take_along_axis(distances, order, 1), np.take_along_axis(rows, order, 1)


def mifid(fid: float, fake: np.ndarray, real: np.ndarray, threshold: float = 0.1) -> dict:
    """Memorisation-informed FID (Bai et al. 2021, arXiv 2106.03062): {"value", "distance", "fid", "n_fake", "n_real"}.

    distance = mean over generated of min over real images of 1 - |cos| of their features; value = fid / distance where
    that is below `threshold`, and fid itself elsewhere; 0.1 is meant for Inception's features. Of exact copies the
    divisor is 1e-15. A duplicate among the real images changes nothing.
    """
    fake, real = (_unit(x) for x in _pair(fake, real))
    nearer = [_most_alike(fake[i : i + ROWS], real) for i in range(0, len(fake), ROWS)]
    distance = float(np.clip(1 - np.concatenate(nearer), 0, 1).mean())
    value = fid / max(distance, EPSILON) if distance < threshold else fid
    return {"value": float(value), "distance": distance, "fid": float(fid), "n_fake": len(fake), "n_real": len(real)}


def _unit(features: np.ndarray) -> np.ndarray:
    features = features.astype(np.float64)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), np.finfo(np.float64).tiny)


def _most_alike(queries: np.ndarray, references: np.ndarray) -> np.ndarray:
    tiles = [references[i : i + COLUMNS] for i in range(0, len(references), COLUMNS)]
    return np.max([np.abs(queries @ tile.T).max(1) for tile in tiles], 0)


def authpct(fake: np.ndarray, train: np.ndarray) -> dict:
    """Return {"value": per cent of generated images that are authentic, "n_fake", "n_train"} (Alaa et al. 2022, arXiv
    2102.08921, section 4).

    One is authentic if it is strictly farther from its nearest training image than that image from its own nearest
    other. Only exact copies of a training image that occurs twice can be unauthentic by it. Unseen real images do not
    have 100: take theirs beside it.
    """
    distances, rows = nearest(fake, train)
    used, place = np.unique(rows[:, 0], return_inverse=True)
    radii, neighbours = nearest(train[used], train, 2)
    # A row is not always its own first neighbour: of copies, the lower row comes first.
    own = np.where(neighbours[:, 0] == used, radii[:, 1], radii[:, 0])
    authentic = distances[:, 0] > own[place]
    return {"value": 100 * float(authentic.mean()), "n_fake": len(fake), "n_train": len(train)}


def sheet(
    fake_images: np.ndarray,
    train_images: np.ndarray,
    fake: np.ndarray | None = None,
    train: np.ndarray | None = None,
    flipped: np.ndarray | None = None,
    rows: int = 8,
    k: int = 4,
) -> Sheet:
    """Return the `rows` generated images that `copy_ratio` suspects most, the nearest first, and their k nearest ones.

    fake, train, flipped: features of fake_images, train_images (N, H, W, C) and of the latter mirrored; without `fake`
    pixels serve, mirrored too. A mirror image counts, and is shown, as such; neighbour_rows name the original.
    """
    if fake is None:
        fake, train, flipped = pixels(fake_images), pixels(train_images), pixels(train_images[:, :, ::-1])
    distances, found = to_train(fake, train, flipped, min(MANY, len(train)))
    nearness = distances[:, 0] / np.maximum(distances[:, -1], np.finfo(np.float64).tiny)
    order = np.argsort(nearness, kind="stable")[:rows]
    distances, mirrored = distances[order, :k], found[order, :k] >= len(train)
    originals = found[order, :k] % len(train)
    neighbours = np.asarray(train_images)[originals]
    neighbours[mirrored] = neighbours[mirrored][:, :, ::-1]
    return Sheet(fake_images[order], neighbours, distances, order, originals)


def pixels(images: np.ndarray, side: int = 32) -> np.ndarray:
    """Return float32 (N, side^2 C) of uint8 images (N, H, W, C): area means, scaled so that the Euclidean distance of
    two images is the root mean square of their differences, in levels of 255.
    """
    means = [area_mean(images[i : i + ROWS], side, side) for i in range(0, len(images), ROWS)]
    flat = np.concatenate(means).reshape(len(images), -1)
    return flat / np.float32(np.sqrt(flat.shape[1]))


def area_mean(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return float32 (N, height, width, C): each pixel is the mean of the area that it covers in (N, H, W, C)."""
    rows, columns = _overlaps(images.shape[1], height), _overlaps(images.shape[2], width)
    n, h, w, channels = images.shape
    narrow = np.matmul(rows, images.astype(np.float32).reshape(n, h, w * channels)).reshape(n, height, w, channels)
    return np.matmul(columns, narrow)


def _overlaps(old: int, new: int) -> np.ndarray:
    """Return float32 (new, old): the share of each new pixel that each old one fills."""
    edges, size = np.arange(new)[:, None] * (old / new), old / new
    starts = np.arange(old)
    overlap = np.minimum(edges + size, starts + 1) - np.maximum(edges, starts)
    return (np.clip(overlap, 0, 1) / size).astype(np.float32)


def _pair(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a), np.asarray(b)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or not len(a) or not len(b):
        raise UserError(f"features must be (N, d) and (M, d), neither empty: {a.shape} and {b.shape}")
    return a, b
