"""Files through a trained translator, images and videos: names, sizes, alpha, formats and metadata stay."""

import errno
import logging
from pathlib import Path
from typing import NamedTuple

from ganjax.data import formats, images, metadata, packed, writer
from ganjax.data.domains import is_side_by_side, left_half
from ganjax.data.folder import names_below
from ganjax.errors import ImageError, TooLarge, UserError
from ganjax.inference import video
from ganjax.inference.model import Model
from ganjax.system import memory
from ganjax.system.atomic import check_writable
from ganjax.system.names import expanded, printable
from ganjax.system.progress import log_above_bars, on_terminal, progress_bar

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
    which must be given itself, every frame is translated. What a folder's translation finds in `out` already is left as
    it is, unless `overwrite`; a file that fails costs no other. max_pixels: in place of the run's own limit. record:
    how the images are made, for their metadata. halved: take the left half of pictures that hold A and B, as a run of
    pairs side by side was trained on. `options` are those of `tiles.translator`. Raises UserError if nothing is to
    be found, and where it is clear before the work that the result cannot be written.
    """
    path, out = expanded(source, "--input"), expanded(out, "--out")
    if not path.exists():
        raise UserError(f"--input: there is no file or folder {printable(source)}")
    if packed.located(path):
        raise UserError(f"--input={printable(source)} is an archive: unpack it, and give the folder")
    if path.is_dir():
        jobs = _folder_jobs(path, out)
    else:
        jobs = [(path.name, path, _single_target(path, out))]
        if jobs[0][2].exists() and not overwrite:
            raise UserError(f"{printable(str(jobs[0][2]))} is there already: --overwrite, or another --out")
    limit = max_pixels or model.config.data.max_pixels
    check_writable(jobs[0][2] if path.is_file() else out / "file", "--out")
    work = _Work(model, limit, record, halved, overwrite, {**options, "progress": len(jobs) == 1 and on_terminal()})
    done = Done([], [], [], [])
    with log_above_bars():
        for name, file, target in progress_bar(jobs, desc="translating", unit=" images", shown=len(jobs) > 1):
            try:
                _one(work, done, name, file, target)
            except Exception as error:
                done.failed.append((name, _reason(error, alone=len(jobs) == 1)))
    return done


class _Work(NamedTuple):
    """What is done to each file; see `translate`."""

    model: Model
    max_pixels: int
    record: dict | None
    halved: bool
    overwrite: bool
    options: dict


def _one(work: _Work, done: Done, name: str, file: Path, target: Path) -> None:
    """Translate one file, unless its result is there; note in `done` what was done."""
    if target.exists() and not work.overwrite:
        done.skipped.append(name)
        if metadata.record_in(target) not in (None, work.record):
            done.stale.append(name)
        return
    if _is_video(file):
        options = {**work.options, "progress": False}
        video.translate(work.model, file, target, work.max_pixels, work.record, **options)
    else:
        _image(work, file, target)
    done.written.append(name)


def _reason(error: Exception, alone: bool) -> str:
    """Return why a file failed; raise what would fail with every file and, of a file `alone`, what nobody foresaw."""
    if isinstance(error, TooLarge):
        return f"{error}; --max_pixels=N sets another limit"
    if isinstance(error, ImageError):
        return str(error)
    if isinstance(error, UserError):
        cause = error.__cause__
        if not isinstance(cause, OSError) or cause.errno in HOPELESS:
            raise error
        return str(error)
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    if memory.is_exhausted(error):
        return "there is not enough memory for it: --tile=fast, or a smaller copy, needs less"
    if alone:
        raise error
    return f"an error of ganjax, please report it: {type(error).__name__}: {error}"


def _is_video(file: Path) -> bool:
    """Return whether a file is named as a video and does not begin as an image does."""
    if file.suffix.lower() not in video.ENDINGS:
        return False
    with file.open("rb") as content:
        return not formats.kind(content.read(formats.HEAD))


def _image(work: _Work, file: Path, target: Path) -> None:
    picture = images.load(file, work.max_pixels)
    for note in picture.notes:
        log.info("%s: %s", printable(file.name), note)
    config, (width, height) = work.model.config, picture.colour.size
    if work.halved:
        alpha = picture.alpha and left_half(picture.alpha, config)
        picture = picture._replace(colour=left_half(picture.colour, config), alpha=alpha)
    elif is_side_by_side(config, (height, width)):
        name = printable(file.name)
        log.warning("%s has the shape of pictures that hold A and B: --left_half translates A alone", name)
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
    inside = out.resolve().is_relative_to(folder.resolve())
    for name in sorted(names_below(folder)):
        if inside and (folder / name).resolve().is_relative_to(out.resolve()):
            continue
        try:
            image = formats.is_image(folder / name)
        except OSError:  # reading it will say why
            image = True
        (names if image else others).append(name)
    if not names:
        videos = sum(name.lower().endswith(video.ENDINGS) for name in others)
        way = f"; give each of its {_count(videos, 'video')} itself" if videos else ""
        raise UserError(f"--input: {printable(str(folder))} holds no image ({', '.join(formats.EXTENSIONS)}){way}")
    if others:
        log.info("left out, being no images: %s, as %s", _count(len(others), "file"), printable(others[0]))
    return [(name, folder / name, out / target) for name, target in zip(names, writer.targets(names), strict=True)]


def _single_target(file: Path, out: Path) -> Path:
    """Return where the result of one file goes: into the folder `out`, or to `out` itself if it is named as a file."""
    moving = _is_video(file)
    named = out.suffix.lower() in video.ENDINGS if moving else writer.format_of(out.name)
    place = printable(str(out))
    if named and not out.is_dir():
        target = out
    elif out.exists() and not out.is_dir():
        raise UserError(f"--out={place} is a file, and no {'video' if moving else 'image'} by its name: give a folder")
    elif not out.is_dir() and (formats.promises(out.name) or out.suffix.lower() in video.ENDINGS):
        known = video.ENDINGS if moving else [endings[0] for endings in map(formats.ENDINGS.get, writer.SETTINGS)]
        raise UserError(f"--out={place} cannot be written; what can: {', '.join(known)}, or give a folder")
    else:
        target = out / (file.name if moving else writer.targets([file.name])[0])
    if target.exists() and target.samefile(file):
        raise UserError(f"--out={place} is the input itself: choose another")
    return target
