"""Write what is inside a generator: strips and loops between codes, tables of mixed styles, strips along directions."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ganjax.data import writer
from ganjax.data.images import to_uint8
from ganjax.errors import UserError
from ganjax.inference import codes_file
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
    """Return the path of the picture to write. Raises UserError if it is none, is not writable, or exists already."""
    place, endings = Path(out), ANIMATIONS if animated else ()
    if not writer.format_of(place.name) and place.suffix.lower() not in endings:
        kinds = ".png, .jpg, ..." + ", or a loop, .gif or .mp4" * animated
        raise UserError(f"--out={printable(out)}: give the name of a picture, {kinds}")
    if place.exists() and not overwrite:
        raise UserError(f"{printable(out)} exists already: set --overwrite or choose another --out")
    atomic.check_writable(place, "--out")
    return place


def stops(space: Space, text: str, seed: int = 0, flag: str = "--interpolate") -> Codes:
    """Return the codes of a list such as "3,17,4" of images of a seed, for conditional runs also "3@CLASS,3@CLASS", or
    of files that `ganjax project` wrote, which are moved, but not truncated.

    Raises UserError for anything else.
    """
    parts = []
    for part in text.split(","):
        if part.endswith(codes_file.SUFFIX):
            parts.append(space.moved(codes_file.read(expanded(part, flag), space)))
            continue
        number, _, label = part.partition("@")
        if not (number.isdecimal() and int(number) < ROWS):
            raise UserError(f"{flag}={printable(text[:80])}: write numbers, such as 3,17,4 or 3@CLASS, or files")
        row = int(number)
        parts.append(space.draw(row + 1, seed, label)[row : row + 1])
    return joined(parts)


def path(space: Space, text: str, frames: int, seed: int, out: Path, record: dict) -> Path:
    """Write a path through the codes of `stops`: a loop as .gif or .mp4, which needs `ganjax[video]`; else a strip from
    the first to the last, a row for each pair. Return the path of the file.
    """
    codes, names = stops(space, text, seed), text.split(",")
    if out.suffix.lower() in ANIMATIONS:
        images = space.render(space.between(codes, frames), progress=True)
        return animation(images, out)
    if len(codes) < 2:
        raise UserError("--interpolate: a strip needs at least two images")
    images = space.render(space.between(codes, frames, closed=False), progress=True)
    legs = [images[i * frames : (i + 1) * frames + 1] for i in range(len(codes) - 1)]
    captions = [printable(f"{a} to {b}")[:60] for a, b in itertools.pairwise(names)]
    rows = list(zip(captions, legs, strict=True))
    return grid.save_sheet(rows, frames + 1, out, record)


def pictures(space: Space, text: str, out: Path, record: dict) -> Path:
    """Write the images of the codes of files: one as it is, several as a sheet."""
    codes = stops(space, text, flag="--codes")
    images = space.render(codes, progress=True)
    if len(images) == 1:
        grid.save_each(images, [out], record)
        return out
    return grid.save_sheet([("codes", images)], grid.columns(len(images)), out, record)


def animation(images: np.ndarray, out: Path) -> Path:
    """Write frames (N, H, W, C) in [-1, 1] as an endless GIF, or as MP4. Raises UserError if PyAV is missing."""
    frames = to_uint8(on_board(images))
    factor = max(LARGE // min(frames.shape[1:3]), 1)
    frames = frames.repeat(factor, 1).repeat(factor, 2)
    if out.suffix.lower() == ".gif":
        first, *rest = [Image.fromarray(frame) for frame in frames]
        with atomic.replacing(out) as temporary:
            first.save(temporary, "GIF", save_all=True, append_images=rest, duration=1000 // FPS, loop=0)
        return out
    try:
        import av
    except ImportError as error:
        raise UserError(f"{out.name}: MP4 needs PyAV: pip install 'ganjax[video]', or write a .gif") from error
    with atomic.replacing(out) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "14"})
        stream.height, stream.width = frames.shape[1:3]
        even = frames.shape[1] % 2 == frames.shape[2] % 2 == 0
        stream.pix_fmt = "yuv420p" if even else "yuv444p"  # every player supports 4:2:0, but it needs even sides
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return out


def mixtures(space: Space, text: str, first: int, seed: int, out: Path, record: dict) -> Path:
    """Write the table of the styles of "A,B:C,D": rows keep their layers below `first`, columns give the others."""
    coarse, colon, fine = text.partition(":")
    if not colon:
        raise UserError(f"--mix={printable(text[:80])}: write ROWS:COLUMNS, such as 0,1,2:3,4,5")
    if not 0 < first < space.layers and space.styled:
        raise UserError(f"--layer={first} must be from 1 to {space.layers - 1}")
    rows, columns = (stops(space, part, seed, "--mix") for part in (coarse, fine))
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
