"""Write the codes of given pictures, found by `projection`, and the images of them beside the pictures."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ganjax.augment import transforms
from ganjax.config.derived import size
from ganjax.data import formats, images, metadata
from ganjax.data.folder import Folder
from ganjax.data.images import ImageError
from ganjax.errors import UserError
from ganjax.inference import codes_file
from ganjax.inference.latents import Space
from ganjax.inference.projection import Projection, Projector
from ganjax.report import grid
from ganjax.system import atomic, names
from ganjax.system.names import expanded, printable

SHEET, WAYS = "sheet.png", "ways"  # names in the folder of the results
COLUMNS, SHOWN = 8, 240  # of the sheet, and the largest number of pictures in it
log = logging.getLogger(__name__)


class Target(NamedTuple):
    """stem: of the files of its results. name: of its own file. image (H, W, C) in [-1, 1], at the model's size."""

    stem: str
    name: str
    image: np.ndarray


class Files(NamedTuple):
    """The files of a picture's results; `code` is written last, and says that the others are there."""

    code: Path
    image: Path
    way: Path


def source(path: str, space: Space, flag: str = "--image") -> Folder:
    """Return the source of a picture, or of a folder or archive of them. Raises UserError, which names the flag, if it
    has none.
    """
    if not expanded(path, flag).exists():
        raise UserError(f"{flag}: {printable(str(path))} does not exist")
    return Folder(path, channels=space.model.config.data.channels, key=flag)


def stems(pictures: Folder) -> list[str]:
    """Return the name, without an ending, of each picture's results: unique, and without commas and colons, which
    separate names in `--codes` and `--mix`.
    """
    found = [pictures.name(i) for i in range(len(pictures))]
    plain = [str(Path(name).with_suffix("")) if formats.promises(name) else name for name in found]
    return names.safe_names([SHEET.partition(".")[0], *(name.translate({44: "-", 58: "-"}) for name in plain)])[1:]


def targets(pictures: Folder, space: Space) -> Iterator[Target]:
    """Yield the pictures that can be read; the others are logged."""
    data = space.model.config.data
    for i, stem in enumerate(stems(pictures)):
        try:
            picture, _ = pictures.read(i)
        except (ImageError, OSError) as error:
            log.warning("left out: %s: %s", printable(pictures.name(i)), error)
            continue
        pixels = images.fit(picture, *size(space.model.config), data.fit)
        yield Target(stem, pictures.name(i), np.asarray(transforms.normalise(pixels)))


def write(
    projector: Projector,
    pictures: Folder,
    out: Path,
    record: dict,
    starts: int = 2,
    seed: int = 0,
    overwrite: bool = False,
) -> list[Path]:
    """Write for each picture STEM.safetensors, its code; STEM.png, its image; ways/STEM.png, the way there; and
    sheet.png of the first SHOWN. Return the paths of the codes.

    record: `provenance.record` with all settings of the search. Codes with the same record, of the same pixels, are
    kept. Raises UserError before any work if codes of other settings would be overwritten, unless `overwrite`; or a
    picture that is no such result, in any case. Codes of other pixels are met, and refused, in their turn.
    """
    record, pairs, paths = {**record, "starts": starts}, [], []
    _check(pictures, out, record, overwrite)
    for target in targets(pictures, projector.space):
        files = _files(out, target.stem)
        paths.append(files.code)
        own = {**record, "picture": target.name, "picture_sha256": hashlib.sha256(target.image.tobytes()).hexdigest()}
        if files.code.exists() and not overwrite:
            if _differing(codes_file.record_in(files.code), own, ("picture", "picture_sha256")):
                raise UserError(f"{_place(files.code)} is of another picture: set --overwrite or choose another --out")
            log.info("%s exists already and is kept", files.code)
            image = projector.space.render(codes_file.read(files.code, projector.space))[0]
        else:
            if len(pictures) > 1:
                log.info("%d of %d: %s", len(paths), len(pictures), printable(target.name))
            found = projector(target.image, starts, seed, progress=True)
            _write_one(found, target.image, files, own)
            image = found.image
        log.info("%s: %.1f dB", printable(target.name), psnr(target.image, image))
        if len(pairs) < SHOWN:
            pairs.append((target.image, image))
    if not paths:
        raise UserError(f"{printable(str(pictures.root))}: no picture can be read")
    grid.save_sheet(_rows(pairs), min(len(pairs), COLUMNS), out / SHEET, record)
    return paths


def _files(out: Path, stem: str) -> Files:
    return Files(out / f"{stem}{codes_file.SUFFIX}", out / f"{stem}.png", out / WAYS / f"{stem}.png")


def _check(pictures: Folder, out: Path, record: dict, overwrite: bool) -> None:
    """Raise UserError, before any work, if a result cannot be written, or would replace what it should not."""
    atomic.check_writable(out / SHEET, "--out")
    settings = [name for name in record if name not in ("software", "run", "config")]
    for files in (_files(out, stem) for stem in stems(pictures)):
        for path in (files.image, files.way, out / SHEET):
            if path.exists() and (metadata.record_in(path) or {}).get("method") != "project":
                raise UserError(f"{_place(path)} exists, and is no result of `project`: choose another --out")
        differing = _differing(codes_file.record_in(files.code), record, settings) if files.code.exists() else []
        if differing and not overwrite:
            raise UserError(
                f"{_place(files.code)} was found with other settings ({', '.join(differing)}): set --overwrite or "
                "choose another --out"
            )


def _differing(old: dict, record: dict, fields: Sequence[str]) -> list[str]:
    return [name for name in fields if old.get(name) != record[name]]


def _place(path: Path) -> str:
    return printable(str(path))


def _write_one(found: Projection, target: np.ndarray, files: Files, record: dict) -> None:
    files.way.parent.mkdir(parents=True, exist_ok=True)
    way = np.concatenate([found.way, target[None]])
    grid.save_sheet([("from the nearest sample to the picture, at the right", way)], len(way), files.way, record)
    grid.save_each(found.image[None], [files.image], record)
    codes_file.write(files.code, found.code, record)


def _rows(pairs: list[tuple[np.ndarray, np.ndarray]]) -> list[tuple[str, np.ndarray]]:
    """Return the rows of the sheet: some pictures, and below them what was found, and so on."""
    rows = []
    for start in range(0, len(pairs), COLUMNS):
        originals, found = (np.stack(side) for side in zip(*pairs[start : start + COLUMNS], strict=True))
        rows += [("pictures", originals), ("found", found)]
    return rows


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio, in dB, of two images in [-1, 1], at most 100."""
    return float(-10 * np.log10(max(np.mean((a - b) ** 2) / 4, 1e-10)))
