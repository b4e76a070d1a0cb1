"""Measures of copying: distances from generated to training images, in the features of any network or in pixels.

All functions but `sheet`, `pixels` and `area_mean` take features, float (N, d). A training image that occurs twice has
a nearest other at distance 0; each function documents how it treats this.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ganjax.errors import UserError

ROWS, COLUMNS = 512, 4096  # of a tile of the distance matrix: 16 MB
SPARE = 8  # candidates beyond k whose distances are computed directly
SPLIT = 5  # without held-out images, one training image in five is held out
QUANTILE = 0.01
MANY = 50  # relative distance: the distance to the nearest image over that to the 50th nearest
EPSILON = 1e-15


class Sheet(NamedTuple):
    """Generated images (R, H, W, C) with their nearest training images, neighbours (R, k, H, W, C) at distances (R, k).

    rows (R,) and neighbour_rows (R, k) are their rows in the two sets.
    """

    images: np.ndarray
    neighbours: np.ndarray
    distances: np.ndarray
    rows: np.ndarray
    neighbour_rows: np.ndarray


def nearest(queries: np.ndarray, references: np.ndarray, k: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return exact Euclidean (distances float64 (N, k), rows of `references` int64 (N, k)), nearest first.

    A query that is also a reference has itself as neighbour, at distance 0. Of equal distances the lower row comes
    first. Raises UserError for features of different widths, or fewer than k references.
    """
    queries, references = _pair(queries, references)
    if not 1 <= k <= len(references):
        raise UserError(f"the {k} nearest images cannot be found among {len(references)}")
    parts = [_nearest(queries[i : i + ROWS], references, k) for i in range(0, len(queries), ROWS)]
    return np.concatenate([d for d, _ in parts]), np.concatenate([rows for _, rows in parts])


def _nearest(queries: np.ndarray, references: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    # |a - b|^2 = |a|^2 + |b|^2 - 2ab loses digits if the norms are much larger than the distance: both sides are
    # centred, and the formula only selects k + SPARE candidates, whose distances are then computed directly.
    centre = references[:COLUMNS].mean(0, dtype=np.float64)
    a = queries.astype(np.float64) - centre
    best, rows = np.empty((len(a), 0)), np.empty((len(a), 0), np.int64)
    for start in range(0, len(references), COLUMNS):
        b = references[start : start + COLUMNS].astype(np.float64) - centre
        squares = (b * b).sum(1) - 2 * (a @ b.T)
        best = np.concatenate([best, squares], 1)
        rows = np.concatenate([rows, np.broadcast_to(np.arange(start, start + len(b)), squares.shape)], 1)
        count = min(k + SPARE, best.shape[1])
        candidates = np.argpartition(best, count - 1, 1)[:, :count]
        best, rows = np.take_along_axis(best, candidates, 1), np.take_along_axis(rows, candidates, 1)
    rows = np.sort(rows, 1)
    exact = [np.linalg.norm(references[r].astype(np.float64) - q, axis=1) for q, r in zip(queries, rows, strict=True)]
    order = np.argsort(exact, 1, kind="stable")[:, :k]
    return np.take_along_axis(np.array(exact), order, 1), np.take_along_axis(rows, order, 1)


def copy_ratio(
    fake: np.ndarray,
    train: np.ndarray,
    held_out: np.ndarray | None = None,
    flipped: np.ndarray | None = None,
    seed: int = 0,
) -> dict:
    """Compare generated with held-out real images by their relative distances to the training images.

    An image's relative distance is the distance to its nearest training image over that to its 50th nearest: near 0 for
    a copy; near 1 for an image equally far from many, such as a blurred one, which lies close to all. Returns {"value":
    the median over generated images divided by that over held-out ones: about 1 or more if generated images are as new
    as unseen art, far below 1 if they are copies; "share": of generated images at or below the 1 % quantile of held-out
    ones, so about 0.01 if they are new; "median", "held_out_median", "quantile"; "distance_ratio": of the medians of
    the nearest distances alone; "held_out": "given" or "split of train"; "n_fake", "n_train", "n_held_out", "seed"}.

    flipped: features of the mirrored training images, in their order, if training mirrors; the nearer of both counts.
    Without `held_out`, a random fifth of `train` is held out, and copies of it are not detected. A held-out image that
    is also a training image has relative distance 0, and lowers median and quantile. Raises UserError if over half of
    the held-out images are such duplicates, or if an image equals 50 training images.
    """
    source = "given"
    if held_out is None:
        source = "split of train"
        if len(train) < 2 * SPLIT:
            raise UserError(f"{len(train)} training images are too few to set a fifth aside: {2 * SPLIT} are needed")
        rows = np.random.default_rng(seed).permutation(len(train))
        held_out_rows, train_rows = np.sort(rows[: len(rows) // SPLIT]), np.sort(rows[len(rows) // SPLIT :])
        held_out, train = train[held_out_rows], train[train_rows]
        flipped = None if flipped is None else flipped[train_rows]
    many = min(MANY, len(train))
    distances, baseline = (nearest_training(x, train, flipped, many)[0] for x in (fake, held_out))
    if not (distances[:, -1].all() and baseline[:, -1].all()):
        raise UserError(f"some images equal {many} training images: remove the duplicates")
    relative, relative_baseline = distances[:, 0] / distances[:, -1], baseline[:, 0] / baseline[:, -1]
    median, held_out_median = np.median(relative), np.median(relative_baseline)
    if held_out_median == 0:
        raise UserError("over half of the held-out images are training images too: there is nothing to compare with")
    quantile = np.quantile(relative_baseline, QUANTILE)
    return {
        "value": float(median / held_out_median),
        "share": float((relative <= quantile).mean()),
        "distance_ratio": float(np.median(distances[:, 0]) / np.median(baseline[:, 0])),
        "median": float(median),
        "held_out_median": float(held_out_median),
        "quantile": float(quantile),
        "held_out": source,
        "n_fake": len(fake),
        "n_train": len(train),
        "n_held_out": len(held_out),
        "seed": seed,
    }


def ratio_to(train: np.ndarray, seed: int = 0) -> Callable[[np.ndarray], float]:
    """Return fake -> the value of `copy_ratio` without `held_out`; the fifth of `train` is measured only once.

    Raises UserError as `copy_ratio` does.
    """
    rows = np.random.default_rng(seed).permutation(len(train))
    if len(train) < 2 * SPLIT:
        raise UserError(f"{len(train)} training images are too few to set a fifth aside: {2 * SPLIT} are needed")
    held_out, train = train[np.sort(rows[: len(rows) // SPLIT])], train[np.sort(rows[len(rows) // SPLIT :])]

    def median(images):
        distances = nearest_training(images, train, None, min(MANY, len(train)))[0]
        if not distances[:, -1].all():
            raise UserError(f"some images equal {MANY} training images: remove the duplicates")
        return np.median(distances[:, 0] / distances[:, -1])

    held_out_median = median(held_out)
    if held_out_median == 0:
        raise UserError("over half of the held-out images are training images too: there is nothing to compare with")
    return lambda fake: float(median(fake) / held_out_median)


def nearest_training(queries: np.ndarray, train: np.ndarray, flipped: np.ndarray | None = None, k: int = 1):
    """Return `nearest` of training images (N, d). With `flipped` (N, d), features of their mirror images, each training
    image counts once, by the nearer of both; rows N and above stand for mirror images.
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
    repeated = np.array([(originals[:, :i] == originals[:, i : i + 1]).any(1) for i in range(rows.shape[1])]).T
    order = np.argsort(repeated, 1, kind="stable")[:, :k]  # first occurrences, still nearest first
    return np.take_along_axis(distances, order, 1), np.take_along_axis(rows, order, 1)


def mifid(fid: float, fake: np.ndarray, real: np.ndarray, threshold: float = 0.1) -> dict:
    """Return memorisation-informed FID (Bai et al. 2021, arXiv 2106.03062) as {"value", "distance", "fid", "n_fake",
    "n_real"}.

    distance: the mean over generated images of the minimum over real images of 1 - |cos| of their features. value: fid
    divided by the distance if that is below `threshold`, else fid; 0.1 is meant for Inception's features. For exact
    copies the divisor is 1e-15. A duplicate among the real images changes nothing.
    """
    fake, real = (_unit(x) for x in _pair(fake, real))
    cosines = [_largest_cosines(fake[i : i + ROWS], real) for i in range(0, len(fake), ROWS)]
    distance = float(np.clip(1 - np.concatenate(cosines), 0, 1).mean())
    value = fid / max(distance, EPSILON) if distance < threshold else fid
    return {"value": float(value), "distance": distance, "fid": float(fid), "n_fake": len(fake), "n_real": len(real)}


def _unit(features: np.ndarray) -> np.ndarray:
    features = features.astype(np.float64)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), np.finfo(np.float64).tiny)


def _largest_cosines(queries: np.ndarray, references: np.ndarray) -> np.ndarray:
    tiles = [references[i : i + COLUMNS] for i in range(0, len(references), COLUMNS)]
    return np.max([np.abs(queries @ tile.T).max(1) for tile in tiles], 0)


def authpct(fake: np.ndarray, train: np.ndarray) -> dict:
    """Return {"value": per cent of generated images that are authentic, "n_fake", "n_train"} (Alaa et al. 2022, arXiv
    2102.08921, section 4).

    A generated image is authentic if it is strictly farther from its nearest training image than that image is from its
    own nearest other. Of a training image that occurs twice, only exact copies are found unauthentic. Unseen real
    images do not reach 100 either: compare with their value.
    """
    distances, rows = nearest(fake, train)
    unique_rows, place = np.unique(rows[:, 0], return_inverse=True)
    radii, neighbours = nearest(train[unique_rows], train, 2)
    # A row is not always its own first neighbour: of duplicates, the lower row comes first.
    to_other = np.where(neighbours[:, 0] == unique_rows, radii[:, 1], radii[:, 0])
    authentic = distances[:, 0] > to_other[place]
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
    """Return the `rows` generated images of the smallest relative distances (`copy_ratio`), smallest first, each with
    its k nearest training images.

    fake, train, flipped: features of fake_images, train_images (N, H, W, C) and mirrored train_images; without `fake`,
    pixels are used, also mirrored. A neighbour found by its mirror image is mirrored; neighbour_rows are of originals.
    """
    if fake is None:
        fake, train, flipped = pixels(fake_images), pixels(train_images), pixels(train_images[:, :, ::-1])
    distances, train_rows = nearest_training(fake, train, flipped, min(MANY, len(train)))
    relative = distances[:, 0] / np.maximum(distances[:, -1], np.finfo(np.float64).tiny)
    order = np.argsort(relative, kind="stable")[:rows]
    distances, mirrored = distances[order, :k], train_rows[order, :k] >= len(train)
    originals = train_rows[order, :k] % len(train)
    neighbours = np.asarray(train_images)[originals]
    neighbours[mirrored] = neighbours[mirrored][:, :, ::-1]
    return Sheet(fake_images[order], neighbours, distances, order, originals)


def pixels(images: np.ndarray, side: int = 32) -> np.ndarray:
    """Return float32 (N, side^2 C) of uint8 images (N, H, W, C): area means, scaled so that the Euclidean distance of
    two images is the root mean square of their differences, in grey levels.
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
    """Return float32 (new, old): the share of each new pixel that each old one covers."""
    edges, size = np.arange(new)[:, None] * (old / new), old / new
    starts = np.arange(old)
    overlap = np.minimum(edges + size, starts + 1) - np.maximum(edges, starts)
    return (np.clip(overlap, 0, 1) / size).astype(np.float32)


def _pair(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a), np.asarray(b)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or not len(a) or not len(b):
        raise UserError(f"features must be (N, d) and (M, d), neither empty: {a.shape} and {b.shape}")
    return a, b
