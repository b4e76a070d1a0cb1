"""Write the codes of given pictures, found by `projection`, and the images of them beside the pictures."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ganjax.augment import transforms
from ganjax.config.derived import size
from ganjax.data import images
from ganjax.data.folder import Folder
from ganjax.data.images import ImageError
from ganjax.errors import UserError
from ganjax.inference import codes_file
from ganjax.inference.latents import Space
from ganjax.inference.projection import Projection, Projector
from ganjax.report import grid
from ganjax.system import atomic, names
from ganjax.system.names import expanded, printable

log = logging.getLogger(__name__)


def targets(path: str, space: Space, flag: str = "--image") -> list[tuple[str, Path, np.ndarray]]:
    """Return (stem, file, picture (H, W, C) in [-1, 1]) of a picture, or of each in a folder, at the model's size.

    Unreadable files of a folder are logged and left out. Raises UserError, which names the flag, if none is left.
    """
    data = space.model.config.data
    if not expanded(path, flag).exists():
        raise UserError(f"{flag}: {printable(str(path))} does not exist")
    source = Folder(path, labels=None, channels=data.channels, key=flag)
    stems = names.safe_names([str(Path(source.name(i)).with_suffix("")) for i in range(len(source))])
    found, reasons = [], []
    for i, stem in enumerate(stems):
        try:
            picture, _ = source.read(i)
        except (ImageError, OSError) as error:
            reasons.append(f"{printable(source.name(i))}: {error}")
            continue
        pixels = images.fit(picture, *size(space.model.config), data.fit)
        found.append((stem, Path(source.name(i)), np.asarray(transforms.normalise(pixels))))
    if not found:
        raise UserError(f"{printable(path)}: no picture can be read ({reasons[0] if reasons else 'there is none'})")
    for reason in reasons:
        log.warning("left out: %s", reason)
    return found


def write(
    projector: Projector,
    pictures: Sequence[tuple[str, Path, np.ndarray]],
    out: Path,
    record: dict,
    starts: int = 2,
    seed: int = 0,
    overwrite: bool = False,
) -> list[Path]:
    """Write for each picture STEM.safetensors, its code; STEM.png, its image; STEM-way.png; and sheet.png of all.

    Return the paths of the codes. Codes that exist already are kept, unless `overwrite`, and are not in the sheet.
    """
    rows, paths = [], []
    atomic.check_writable(out / "sheet.png", "--out")
    for i, (stem, file, target) in enumerate(pictures):
        path = out / f"{stem}{codes_file.SUFFIX}"
        paths.append(path)
        if path.exists() and not overwrite:
            log.info("%s exists already and is kept: --overwrite makes it anew", path)
            continue
        if len(pictures) > 1:
            log.info("%d of %d: %s", i + 1, len(pictures), printable(str(file)))
        found = projector(target, starts, seed, progress=True)
        _write_one(found, target, path, {**record, "picture": file.name})
        rows.append((_caption(file, found, target), np.stack([target, found.way[0], found.image])))
    if rows:
        grid.save_sheet(rows, 3, out / "sheet.png", {**record, "method": "grid"})
    return paths


def _write_one(found: Projection, target: np.ndarray, path: Path, record: dict) -> None:
    way = np.concatenate([found.way, target[None]])
    grid.save_sheet([("from the nearest sample to the picture, at the right", way)], len(way),
                    path.with_name(f"{path.stem}-way.png"), record)  # fmt: skip
    grid.save_each(found.image[None], [path.with_suffix(".png")], record)
    codes_file.write(path, found.code, record)  # last: it says that the others are there


def _caption(file: Path, found: Projection, target: np.ndarray) -> str:
    error = float(np.mean((np.clip(found.image, -1, 1) - target) ** 2)) / 4
    psnr = -10 * np.log10(max(error, 1e-10))
    return f"{printable(file.name)[:40]}: picture, nearest sample, found; {psnr:.1f} dB"
