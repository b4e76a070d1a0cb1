"""Write what is inside a generator: strips and loops between codes, tables of mixed styles, strips along directions."""

import importlib.util
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ganjax.data import writer
from ganjax.data.images import to_uint8
from ganjax.errors import UserError
from ganjax.inference import codes_file, video_colour
from ganjax.inference.latents import Codes, Direction, Space, joined, moved
from ganjax.ops.alpha import on_board
from ganjax.report import grid
from ganjax.system import atomic
from ganjax.system.names import expanded, printable

FPS = 25
LARGE = 256  # pixels of the shorter side, up to which smaller frames are enlarged, by an integer factor
REACH = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)  # deviations along a direction, in its strip
ROWS = 100_000  # largest number of an image
ANIMATIONS = (".gif", ".mp4")


def picture(out: str, animated: bool, overwrite: bool) -> Path:
    """Return the path of the picture to write. Raises UserError if it is none, is not writable, or exists already, or
    for an MP4 without PyAV.
    """
    place, endings = Path(out), ANIMATIONS if animated else ()
    if not writer.format_of(place.name) and place.suffix.lower() not in endings:
        kinds = ".png, .jpg, ..." + ", or a loop, .gif or .mp4" * animated
        raise UserError(f"--out={printable(out)}: give the name of a picture, {kinds}")
    if place.exists() and not overwrite:
        raise UserError(f"{printable(out)} exists already: set --overwrite or choose another --out")
    if place.suffix.lower() == ".mp4" and not importlib.util.find_spec("av"):
        raise UserError(f"{place.name}: MP4 needs PyAV: pip install 'ganjax[video]', or write a .gif")
    atomic.check_writable(place, "--out")
    return place


def stops(space: Space, text: str, seed: int = 0, label: str = "", flag: str = "--interpolate") -> Codes:
    """Return the codes of a list such as "3,17,4" of images of a seed, for conditional runs also "3@CLASS,3@CLASS", or
    of files that `ganjax project` wrote. label: of those without a class of their own.

    Raises UserError for anything else.
    """
    parts = []
    for part in text.split(","):
        number, _, own = part.partition("@")
        if part.endswith(codes_file.SUFFIX):
            parts.append(_of_file(space, part, flag))
        elif number.isdecimal() and int(number) < ROWS:
            parts.append(space.at(int(number), seed, own or label))
        else:
            raise UserError(
                f"{flag}={printable(text[:80])}: write numbers, such as 3,17,4 or 3@CLASS, or .safetensors files of "
                "`project`, whose names hold no comma"
            )
    return joined(parts)


def of_files(space: Space, text: str) -> Codes:
    """Return the codes of files that `ganjax project` wrote, separated by commas."""
    return joined([_of_file(space, part, "--codes") for part in text.split(",")])


def _of_file(space: Space, name: str, flag: str) -> Codes:
    return space.edited(codes_file.read(expanded(name, flag), space))


def path(space: Space, codes: Codes, names: Sequence[str], frames: int, out: Path, record: dict) -> Path:
    """Write a path through codes: a loop as .gif or .mp4; else a strip from the first to the last, a row for each pair.
    Return the path of the file. names: of the codes.
    """
    if out.suffix.lower() in ANIMATIONS:
        return animation(space.rendered(space.between(codes, frames), progress=True), out, record)
    if len(codes) < 2:
        raise UserError("--interpolate: a strip needs at least two images")
    images = space.render(space.between(codes, frames, closed=False), progress=True)
    legs = [images[i * frames : (i + 1) * frames + 1] for i in range(len(codes) - 1)]
    short = [Path(name).stem if name.endswith(codes_file.SUFFIX) else name for name in names]
    captions = [printable(f"{a} to {b}")[:80] for a, b in itertools.pairwise(short)]
    rows = list(zip(captions, legs, strict=True))
    return grid.save_sheet(rows, frames + 1, out, record)


def pictures(space: Space, codes: Codes, out: Path, record: dict) -> Path:
    """Write the images of codes: one as it is, several as a sheet."""
    images = space.render(codes, progress=True)
    if len(images) == 1:
        grid.save_each(images, [out], record)
        return out
    return grid.save_sheet([("codes", images)], grid.columns(len(images)), out, record)


def animation(chunks: Iterator[np.ndarray], out: Path, record: dict) -> Path:
    """Write chunks of frames (N, H, W, C) in [-1, 1] as an endless GIF, or as MP4, with the record as a comment."""
    frames = (Image.fromarray(frame) for chunk in chunks for frame in enlarged(to_uint8(on_board(chunk))))
    comment, first = json.dumps(record, sort_keys=True), next(frames)
    with atomic.replacing(out) as temporary:
        if out.suffix.lower() == ".gif":
            loop = {"duration": 1000 // FPS, "loop": 0, "comment": comment}
            first.save(temporary, "GIF", save_all=True, append_images=frames, **loop)
        else:
            _write_mp4(temporary, itertools.chain([first], frames), first.size, comment)
    return out


def enlarged(frames: np.ndarray) -> np.ndarray:
    """Return frames (N, H, W, C), enlarged by an integer factor up to LARGE pixels on the shorter side."""
    factor = max(LARGE // min(frames.shape[1:3]), 1)
    return frames.repeat(factor, 1).repeat(factor, 2)


def _write_mp4(path: Path, frames: Iterator[Image.Image], size: tuple[int, int], comment: str) -> None:
    import av

    matrix = video_colour.BT709
    with av.open(str(path), "w", format="mp4") as container:
        container.metadata["comment"] = comment
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "14"})
        stream.width, stream.height = size
        even = size[0] % 2 == size[1] % 2 == 0
        stream.pix_fmt = "yuv420p" if even else "yuv444p"  # every player supports 4:2:0, but it needs even sides
        video_colour.tag(stream.codec_context, video_colour.Colours(matrix, True, matrix, matrix), matrix)
        for frame in frames:
            container.mux(stream.encode(video_colour.to_frame(frame, stream.pix_fmt, matrix)))
        container.mux(stream.encode())


def mixtures(space: Space, rows: Codes, columns: Codes, first: int, out: Path, record: dict) -> Path:
    """Write the table of styles: rows keep their layers below `first`, columns give the others."""
    if not 0 < first < space.layers and space.styled:
        raise UserError(f"--layer={first} must be from 1 to {space.layers - 1}")
    mixed = space.mixed(rows, columns, first)
    pictures = space.render(joined([rows, columns, mixed]), progress=True)
    of_rows, of_columns = pictures[: len(rows)], pictures[len(rows) : len(rows) + len(columns)]
    table = pictures[len(rows) + len(columns) :].reshape(len(rows), len(columns), *pictures.shape[1:])
    corner = np.ones((1, *pictures.shape[1:]), pictures.dtype)
    lines = [corner, of_columns] + [part for row, mix in zip(of_rows, table, strict=True) for part in (row[None], mix)]
    caption = f"layers from {first} on are those of the columns"
    return grid.save_sheet([(caption, np.concatenate(lines))], len(columns) + 1, out, record)


def strips(space: Space, codes: Codes, found: Sequence[Direction], out: Path, record: dict) -> Path:
    """Write a strip for each direction and code, from -3 to +3 deviations."""
    all_moves = joined([moved(codes[i : i + 1], d, x) for d in found for i in range(len(codes)) for x in REACH])
    pictures = np.split(space.render(all_moves, progress=True), len(found))
    names = [f"{i}: {printable(d.name)[:60]}" for i, d in enumerate(found)]
    return grid.save_sheet(list(zip(names, pictures, strict=True)), len(REACH), out, record)
