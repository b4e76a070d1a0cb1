"""Read a folder or archive of images, or an .npz file, as one side of a comparison."""

import logging
from pathlib import Path

import numpy as np

from ganjax.data import cache, folder, packed
from ganjax.data.images import MAX_PIXELS
from ganjax.errors import UserError
from ganjax.metrics.sets import Side
from ganjax.system import array_files
from ganjax.system.names import expanded

log = logging.getLogger(__name__)


def read(
    path: str,
    key: str = "--real",
    resolution: int | None = None,
    cache_features: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> Side:
    """Return the side that a folder of images, a .zip or .tar of them, or an .npz file holds.

    Sub-folders are classes. An .npz file has `images` or `arr_0`, uint8 (N, H, W, C), and perhaps `labels`, int (N,);
    or `features`, numbers (N, D). Files that are unreadable, or larger than max_pixels, are logged and skipped.
    key: how messages name `path`.

    Raises UserError if the .npz file is damaged, holds anything else, or holds features that are not finite.
    """
    path = str(expanded(path, key))
    if Path(path).suffix == ".npz":
        side = _read_arrays(Path(path), cache_features)
        if resolution and side.given_features is None and side.images.shape[1:3] != (resolution, resolution):
            raise UserError(
                f"{path} holds images of {side.images.shape[2]}x{side.images.shape[1]}: they are not resized; leave "
                "out --resolution"
            )
        return side
    if not (Path(path).is_dir() or packed.located(Path(path))):
        raise UserError(f"{key}: {path} is neither a folder of images, nor a .zip or .tar, nor an .npz file")
    source = folder.Folder(path, labels=None, max_pixels=max_pixels, key=key)
    size = (resolution, resolution) if resolution else folder.common_size(source)
    table = cache.load(source, *size, 3)
    for name, reason in table.skipped:
        log.warning("skipped %s: %s", name, reason)
    if len(table.images) < 2:
        raise UserError(f"{path} holds one readable image: at least 2 are needed on each side")
    stems = [str(Path(name).with_suffix("")) for name in table.names]
    return Side(table.images, table.labels, table.classes, names=stems, cache_features=cache_features, progress=True)


def _read_arrays(path: Path, cache_features: bool) -> Side:
    arrays = array_files.read_npz(path, ("images", "arr_0", "labels", "features"))
    if "features" in arrays and arrays["features"].ndim == 2:
        return Side(None, given_features=_features(path, arrays["features"]))
    pixels = arrays.get("images", arrays.get("arr_0"))
    if pixels is None or pixels.ndim != 4 or pixels.dtype != np.uint8 or pixels.shape[3] not in (1, 3, 4):
        raise UserError(f"{path} must hold `images` or `arr_0`, uint8 (N, H, W, 1, 3 or 4), or `features` (N, D)")
    if len(pixels) < 2 or 0 in pixels.shape:
        raise UserError(f"{path} holds images {pixels.shape}: at least 2 are needed on each side, of a pixel or more")
    labels = arrays.get("labels")
    if labels is None:
        return Side(pixels, cache_features=cache_features)
    if labels.shape != pixels.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise UserError(f"{path}: labels must be integers ({len(pixels)},), not {labels.dtype} {labels.shape}")
    if not (labels.min() >= -1 and labels.max() < max(len(pixels), 2)):
        raise UserError(
            f"{path}: labels go from {labels.min()} to {labels.max()}: give classes from 0 on, or -1 for unknown"
        )
    classes = [str(i) for i in range(int(labels.max()) + 1)]
    return Side(pixels, labels.astype(np.int32), classes, cache_features=cache_features)


def _features(path: Path, features: np.ndarray) -> np.ndarray:
    """Return the features as floats. Raises UserError unless they are finite numbers (N, D), N > 1, D > 0."""
    if features.dtype.kind not in "iuf" or len(features) < 2 or features.shape[1] == 0:
        raise UserError(
            f"{path}: features must be numbers (N, D) of 2 images or more, not {features.dtype} {features.shape}"
        )
    with np.errstate(over="ignore"):
        finite = np.isfinite(features.astype(np.float32)).all(1)
    if not finite.all():
        raise UserError(
            f"{path}: features must be finite numbers below 3e38, and those of {(~finite).sum()} images are not, "
            f"first of image {finite.argmin()}"
        )
    return features if features.dtype.kind == "f" else features.astype(np.float64)
