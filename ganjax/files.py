"""Files through a trained translator, images and videos: names, sizes, alpha, formats and metadata stay."""

import errno
import logging
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from ganjax import video
from ganjax.data import formats, images, metadata, writer
from ganjax.data.domains import is_side_by_side, left_half
from ganjax.data.folder import names_below
from ganjax.errors import ImageError, UserError
from ganjax.model import Model
from ganjax.names import expanded, printable
from ganjax.progress import log_above_bars, on_terminal, progress_bar
from ganjax.whole import check_writable

LISTED = 10  # files, at most, that are named of those that failed
# A target that cannot be written for one of these reasons fails for every file: going on would help nobody.
HOPELESS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
log = logging.getLogger(__name__)


class Done(NamedTuple):
    """Names of files: those that were translated; those that were there already; of these, the ones that another run,
    step or setting made; and those that failed, with why.
    """

    written: list[str]
    skipped: list[str]
    stale: list[str]
    failed: list[tuple[str, str]]


def translate(
    model: Model,
    source: str,
    out: str,
    overwrite: bool = False,
    max_pixels: int | None = None,
    record: dict | None = None,
    halved: bool = False,
    **options,
) -> Done:
    """Translate a file, or all images below a folder, into the folder `out` under their names.

    For one file `out` may be a file, too: a name that ends as an image does. GIFs and HEICs become PNGs. Of a video,
    which must be given itself, every frame is translated. What a folder's translation finds in `out` already is left
    as it is, unless `overwrite`; a file that fails costs no other. max_pixels: in place of the run's own limit.
    record: how the images are made, for their metadata. halved: take the left half of pictures that hold A and B, as a
    run of pairs side by side was trained on. `options` are those of `translate.translator`. UserError where nothing is
    to be found, and where it is clear before the work that the result cannot be written.
    """
    path, out = expanded(source, "--input"), expanded(out, "--out")
    if not path.exists():
        raise UserError(f"--input: there is no file or folder {printable(source)}")
    if path.is_dir():
        jobs = _folder_jobs(path, out)
    else:
        jobs = [(path.name, path, _single_target(path, out))]
        if jobs[0][2].exists() and not overwrite:
            raise UserError(f"{printable(str(jobs[0][2]))} is there already: --overwrite, or another --out")
    limit = max_pixels or model.config.data.max_pixels
    check_writable(jobs[0][2] if path.is_file() else out / "file", "--out")
    work = _Work(model, limit, record, halved, {**options, "progress": len(jobs) == 1 and on_terminal()})
    done = Done([], [], [], [])
    with log_above_bars():
        for name, file, target in progress_bar(jobs, desc="translating", unit=" images", shown=len(jobs) > 1):
            if target.exists() and not overwrite:
                done.skipped.append(name)
                if _record_of(target) not in (None, record):
                    done.stale.append(name)
            elif reason := _guarded(work, file, target):
                done.failed.append((name, reason))
            else:
                done.written.append(name)
    return done


class _Work(NamedTuple):
    """What is done to each file; see `translate`."""

    model: Model
    max_pixels: int
    record: dict | None
    halved: bool
    options: dict


def _record_of(file: Path) -> dict | None:
    try:
        with Image.open(file, formats=formats.readable()) as image:
            return metadata.record_of(image.info)
    except Exception:  # plugins raise anything on bad bytes; see `images.load`
        return None


def _guarded(work: _Work, file: Path, target: Path) -> str:
    """Translate one file; return "" or why it failed. Raises for what would fail with every file."""
    try:
        if file.suffix.lower() in video.ENDINGS:
            video.translate(work.model, file, target, **{**work.options, "progress": False})
        else:
            _image(work, file, target)
    except ImageError as error:
        return str(error)
    except UserError as error:
        if not isinstance(error.__cause__, OSError) or error.__cause__.errno in HOPELESS:
            raise
        return str(error)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    except MemoryError:
        return "there is not enough memory for it; a smaller copy, or --tile=fast, needs less"
    return ""


def _image(work: _Work, file: Path, target: Path) -> None:
    try:
        picture = images.load(file, work.max_pixels)
    except ImageError as error:
        if "data.max_pixels" not in str(error):
            raise
        raise ImageError(f"{error}; --max_pixels=N sets another limit") from error
    for note in picture.notes:
        log.info("%s: %s", printable(file.name), note)
    config, (width, height) = work.model.config, picture.colour.size
    if work.halved:
        alpha = picture.alpha and left_half(picture.alpha, config)
        picture = picture._replace(colour=left_half(picture.colour, config), alpha=alpha)
    elif is_side_by_side(config, (height, width)):
        log.warning("%s has the shape of pictures that hold A and B: --left_half translates A alone", file.name)
    writer.save(work.model(picture, **work.options), target, picture, work.record)


def report(done: Done, out: str) -> str:
    """Return what was done in a sentence; UserError, that lists them, where files failed."""
    text = f"{_count(len(done.written), 'image')} in {printable(out)}"
    if done.skipped:
        by = f", {len(done.stale)} of them made by another run, step or setting" if done.stale else ""
        text += f"; {_count(len(done.skipped), 'image')} left as before{by} (--overwrite replaces them)"
    if not done.failed:
        return text
    listed = "; ".join(f"{printable(name)}: {reason}" for name, reason in done.failed[:LISTED])
    more = f"; and {len(done.failed) - LISTED} more" if len(done.failed) > LISTED else ""
    raise UserError(f"{text}; {_count(len(done.failed), 'file')} failed: {listed}{more}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _folder_jobs(folder: Path, out: Path) -> list[tuple[str, Path, Path]]:
    """Return (name, file, target) of every image below a folder; what is below `out` is not among them."""
    if out.resolve() == folder.resolve():
        raise UserError(f"--out is --input: choose another folder than {printable(str(folder))} for the results")
    if out.exists() and not out.is_dir():
        raise UserError(f"--out={printable(str(out))} is a file: a folder's results need a folder")
    names, others = [], []
    for name in sorted(names_below(folder)):
        if (folder / name).resolve().is_relative_to(out.resolve()):
            continue
        try:
            image = formats.is_image(folder / name)
        except OSError:  # reading it will say why
            image = True
        (names if image else others).append(name)
    if not names:
        raise UserError(f"--input: {printable(str(folder))} holds no image ({', '.join(formats.EXTENSIONS)})")
    if others:
        log.info("%s are no images and are left out, as %s", _count(len(others), "file"), printable(others[0]))
    return [(name, folder / name, out / target) for name, target in zip(names, writer.targets(names), strict=True)]


def _single_target(file: Path, out: Path) -> Path:
    """Return where the result of one file goes: into the folder `out`, or to `out` itself if it is named as a file."""
    is_video = file.suffix.lower() in video.ENDINGS
    named = out.suffix.lower() in video.ENDINGS if is_video else writer.format_of(out.name)
    if named and not out.is_dir():
        target = out
    elif out.exists() and not out.is_dir():
        raise UserError(f"--out={printable(str(out))} is a file, and no image by its name: give a folder or FILE.png")
    else:
        target = out / (file.name if is_video else writer.targets([file.name])[0])
    if target.exists() and target.samefile(file):
        raise UserError(f"--out={printable(str(out))} is the input itself: choose another")
    return target
