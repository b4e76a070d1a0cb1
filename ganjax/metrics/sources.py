"""A folder or archive of images, or an .npz file, as one side of a comparison."""

import logging
import zipfile
from pathlib import Path

import numpy as np

from ganjax.data import cache, folder, packed
from ganjax.errors import UserError
from ganjax.metrics.sets import Side

log = logging.getLogger(__name__)


def read(path: str, resolution: int | None = None, keep: bool = False) -> Side:
    """Return the side that a folder of images, a .zip or .tar of them, or an .npz file holds.

    Sub-folders name classes. An .npz has `images` or `arr_0`, uint8 (N, H, W, C), and perhaps `labels` int (N,); or
    `features`, float (N, D). Files that cannot be read are named in the log and left out.
    """
    path = str(Path(path).expanduser())
    if Path(path).suffix == ".npz":
        side = _read_arrays(Path(path), keep)
        if resolution and side.given is None and side.images.shape[1:3] != (resolution, resolution):
            raise UserError(
                f"{path} holds images of {side.images.shape[2]}x{side.images.shape[1]}: they are not resized"
            )
        return side
    if not (Path(path).is_dir() or packed.located(Path(path))):
        raise UserError(f"{path} is neither a folder of images, nor a .zip or .tar, nor an .npz file")
    source = folder.Folder(path, labels=None)
    size = (resolution, resolution) if resolution else folder.common_size(source)
    found = cache.load(source, *size, 3)
    for name, reason in found.skipped:
        log.warning("skipped %s: %s", name, reason)
    if len(found.images) < 2:
        raise UserError(f"{path} holds one readable image: at least 2 are needed on each side")
    stems = [str(Path(name).with_suffix("")) for name in found.names]
    return Side(found.images, found.labels, found.classes, names=stems, keep=keep, progress=True)


def _read_arrays(path: Path, keep: bool) -> Side:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("images", "arr_0", "labels", "features") if name in file}
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read as .npz: {error}") from error
    if "features" in arrays and arrays["features"].ndim == 2:
        return Side(None, given=arrays["features"])
    pixels = arrays.get("images", arrays.get("arr_0"))
    if pixels is None or pixels.ndim != 4 or pixels.dtype != np.uint8 or pixels.shape[3] not in (1, 3):
        raise UserError(f"{path} must hold `images` or `arr_0`, uint8 (N, H, W, 1 or 3), or `features` (N, D)")
    labels = arrays.get("labels")
    if labels is not None and (labels.shape != pixels.shape[:1] or not np.issubdtype(labels.dtype, np.integer)):
        raise UserError(f"{path}: labels must be integers ({len(pixels)},), not {labels.dtype} {labels.shape}")
    if labels is not None and not (labels.min(initial=0) >= -1 and labels.max(initial=0) < max(len(pixels), 2)):
        raise UserError(
            f"{path}: labels go from {labels.min()} to {labels.max()}: classes from 0 on, or -1, are wanted"
        )
    classes = [str(i) for i in range(int(labels.max(initial=-1)) + 1)] if labels is not None else ()
    return Side(pixels, None if labels is None else labels.astype(np.int32), classes, keep=keep)
