"""Translate image and video files with a trained model; names, sizes, alpha, formats and metadata are kept."""

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

LISTED = 10  # failed files that a report names, at most
# Write errors that would recur for every file, so that the translation of a folder stops at the first.
FATAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
log = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """Names of the files: written; skipped, since the target exists; stale, the skipped ones whose target another run,
    step or setting made; and failed, with the reason.
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
) -> Outcome:
    """Translate a file, or all images below a folder, into the folder `out`, under the same names.

    For a single file `out` may also be a file name with an image's ending. GIFs and HEICs become PNGs. A video must be
    given as the single file; all its frames are translated. Targets that exist in the folder `out` are skipped unless
    `overwrite`; a file that fails does not stop the others.

    max_pixels: replaces the run's limit. record: how the images are made, for their metadata. halved: translate the
    left half of pictures with A and B side by side, as the run was trained on. options: of the function of
    `tiles.translator`. Raises UserError if there is nothing to translate or, before any work, if the results cannot be
    written.
    """
    path, out = expanded(source, "--input"), expanded(out, "--out")
    if not path.exists():
        raise UserError(f"--input: there is no file or folder {printable(source)}")
    if packed.located(path):
        raise UserError(f"--input={printable(source)} is an archive: unpack it and give the folder")
    if path.is_dir():
        jobs = _folder_jobs(path, out)
    else:
        jobs = [(path.name, path, _single_target(path, out))]
        if jobs[0][2].exists() and not overwrite:
            raise UserError(f"{printable(str(jobs[0][2]))} exists already: set --overwrite or choose another --out")
    limit = max_pixels or model.config.data.max_pixels
    check_writable(jobs[0][2] if path.is_file() else out / "file", "--out")
    options["progress"] = len(jobs) == 1 and on_terminal()
    settings = _Settings(model, limit, record, halved, overwrite, options)
    outcome = Outcome([], [], [], [])
    with log_above_bars():
        for name, file, target in progress_bar(jobs, desc="translating", unit=" images", shown=len(jobs) > 1):
            try:
                _translate_file(settings, outcome, name, file, target)
            except Exception as error:
                outcome.failed.append((name, _reason(error, only_file=len(jobs) == 1)))
    return outcome


class _Settings(NamedTuple):
    """The arguments of `translate` that apply to each file."""

    model: Model
    max_pixels: int
    record: dict | None
    halved: bool
    overwrite: bool
    options: dict


def _translate_file(settings: _Settings, outcome: Outcome, name: str, file: Path, target: Path) -> None:
    """Translate a file, unless its target exists; add its name to `outcome`."""
    if target.exists() and not settings.overwrite:
        outcome.skipped.append(name)
        if metadata.record_in(target) not in (None, settings.record):
            outcome.stale.append(name)
        return
    if _is_video(file):
        options = {**settings.options, "progress": False}
        video.translate(settings.model, file, target, settings.max_pixels, settings.record, **options)
    else:
        _translate_image(settings, file, target)
    outcome.written.append(name)


def _reason(error: Exception, only_file: bool) -> str:
    """Return why a file failed.

    Raise the error itself if it would recur for every file, or if it is unexpected and this is the only file.
    """
    if isinstance(error, TooLarge):
        return f"{error}; --max_pixels=N sets another limit"
    if isinstance(error, ImageError):
        return str(error)
    if isinstance(error, UserError):
        cause = error.__cause__
        if not isinstance(cause, OSError) or cause.errno in FATAL:
            raise error
        return str(error)
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    if memory.is_exhausted(error):
        return "there is not enough memory: use --tile=fast or a smaller copy of the image"
    if only_file:
        raise error
    return f"a bug in ganjax, please report it: {type(error).__name__}: {error}"


def _is_video(file: Path) -> bool:
    """Return whether a file has a video's ending and does not begin with an image's signature."""
    if file.suffix.lower() not in video.ENDINGS:
        return False
    with file.open("rb") as content:
        return not formats.kind(content.read(formats.HEAD))


def _translate_image(settings: _Settings, file: Path, target: Path) -> None:
    picture = images.load(file, settings.max_pixels)
    for note in picture.notes:
        log.info("%s: %s", printable(file.name), note)
    config, (width, height) = settings.model.config, picture.colour.size
    if settings.halved:
        alpha = picture.alpha and left_half(picture.alpha, config)
        picture = picture._replace(colour=left_half(picture.colour, config), alpha=alpha)
    elif is_side_by_side(config, (height, width)):
        name = printable(file.name)
        log.warning("%s has the aspect ratio of A and B side by side: --left_half translates A only", name)
    writer.save(settings.model(picture, **settings.options), target, picture, settings.record)


def report(outcome: Outcome, out: str) -> str:
    """Return a summary in one sentence. Raises UserError, with the summary and the failed files, if files failed."""
    text = f"{_count(len(outcome.written), 'image')} in {printable(out)}"
    if outcome.skipped:
        stale = f", {len(outcome.stale)} of them from another run, step or setting" if outcome.stale else ""
        text += f"; {_count(len(outcome.skipped), 'existing image')} skipped{stale} (--overwrite replaces them)"
    if not outcome.failed:
        return text
    listed = "; ".join(f"{printable(name)}: {reason}" for name, reason in outcome.failed[:LISTED])
    more = f"; and {len(outcome.failed) - LISTED} more" if len(outcome.failed) > LISTED else ""
    raise UserError(f"{text}; {_count(len(outcome.failed), 'file')} failed: {listed}{more}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _folder_jobs(folder: Path, out: Path) -> list[tuple[str, Path, Path]]:
    """Return (name, file, target) of every image below a folder, except for those below `out`.

    Raises UserError if the folder has no image, or if `out` is the same folder or a file.
    """
    if out.resolve() == folder.resolve():
        raise UserError(f"--out={printable(str(out))} is the folder --input: choose another folder for the results")
    if out.exists() and not out.is_dir():
        raise UserError(f"--out={printable(str(out))} is a file: give a folder for the results")
    names, others = [], []
    inside = out.resolve().is_relative_to(folder.resolve())
    for name in sorted(names_below(folder)):
        if inside and (folder / name).resolve().is_relative_to(out.resolve()):
            continue
        try:
            image = formats.is_image(folder / name)
        except OSError:  # the translation of this file will report the reason
            image = True
        (names if image else others).append(name)
    if not names:
        videos = sum(name.lower().endswith(video.ENDINGS) for name in others)
        way = f"; give each of its {_count(videos, 'video')} as --input" if videos else ""
        raise UserError(f"--input={printable(str(folder))} holds no image ({', '.join(formats.EXTENSIONS)}){way}")
    if others:
        log.info("skipped %s without an image, such as %s", _count(len(others), "file"), printable(others[0]))
    return [(name, folder / name, out / target) for name, target in zip(names, writer.targets(names), strict=True)]


def _single_target(file: Path, out: Path) -> Path:
    """Return the target of a single file: `out` itself if it has the ending of a file, else a file in the folder `out`.

    Raises UserError if `out` is a file without such an ending, has an ending that cannot be written, or is the input.
    """
    is_video = _is_video(file)
    is_file_name = out.suffix.lower() in video.ENDINGS if is_video else writer.format_of(out.name)
    place = printable(str(out))
    if is_file_name and not out.is_dir():
        target = out
    elif out.exists() and not out.is_dir():
        kind = "a video's" if is_video else "an image's"
        raise UserError(f"--out={place} is a file without {kind} ending: give a folder")
    elif not out.is_dir() and (formats.promises(out.name) or out.suffix.lower() in video.ENDINGS):
        endings = video.ENDINGS if is_video else [formats.ENDINGS[kind][0] for kind in writer.SETTINGS]
        raise UserError(f"--out={place} cannot be written: give a folder, or end in {', '.join(endings)}")
    else:
        target = out / (file.name if is_video else writer.targets([file.name])[0])
    if target.exists() and target.samefile(file):
        raise UserError(f"--out={place} is the input file: choose another")
    return target
