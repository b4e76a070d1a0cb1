"""Arrange arrays of images in a captioned picture, and write pictures to files."""

import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ganjax.data import writer
from ganjax.data.images import Picture, to_uint8
from ganjax.errors import ImageError, UserError
from ganjax.ops.alpha import on_board
from ganjax.system.names import printable

CELL = 64  # pixels: smaller images are enlarged by an integer factor
GAP = 2  # pixels between images


def sheet(rows: list[tuple[str, np.ndarray]], columns: int) -> Image.Image:
    """Return a picture with a block of `columns` columns for each row (caption, images (N, H, W, C) in [-1, 1])."""
    blocks = [(caption, _block(images, columns)) for caption, images in rows]
    font = ImageFont.load_default(14)
    line = 22
    width = max(block.width for _, block in blocks)
    picture = Image.new("RGB", (width, sum(line + block.height for _, block in blocks)), "white")
    draw, top = ImageDraw.Draw(picture), 0
    for caption, block in blocks:
        draw.text((GAP + 2, top + 3), caption, "black", font)
        picture.paste(block, (0, top + line))
        top += line + block.height
    return picture


def save_sheet(rows: list[tuple[str, np.ndarray]], columns: int, path: Path, record: dict | None = None) -> Path:
    """Write `sheet`, with its `provenance.record`, in the format of the path's ending, or as PNG; return the path.

    Raises UserError if the file cannot be written.
    """
    _save(sheet(rows, columns), path, record)
    return path


def save_each(images: np.ndarray, paths: list[Path], record: dict | None = None) -> None:
    """Write images (N, H, W, C) in [-1, 1], with their `provenance.record`, in the formats of their paths' endings, or
    as PNG, each atomically. Raises UserError if one cannot be written.
    """
    for pixels, path in zip(to_uint8(images), paths, strict=True):
        _save(Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels), path, record)


def _save(image: Image.Image, path: Path, record: dict | None) -> None:
    try:
        writer.save(image, path, Picture(image, None, "PNG", {}, ()), record)
    except ImageError as error:  # more pixels than the format can hold
        raise UserError(f"{printable(str(path))}: {error}") from error


def columns(count: int) -> int:
    """Return the number of columns of an approximately square grid of `count` images."""
    return math.ceil(math.sqrt(count))


def _block(images: np.ndarray, columns: int) -> Image.Image:
    pixels = to_uint8(on_board(images))
    factor = max(1, math.ceil(CELL / min(pixels.shape[1:3])))
    pixels = pixels.repeat(factor, 1).repeat(factor, 2)
    n, h, w, _ = pixels.shape
    canvas = np.full((math.ceil(n / columns) * (h + GAP) + GAP, columns * (w + GAP) + GAP, 3), 255, np.uint8)
    for i, image in enumerate(pixels):
        top, left = GAP + i // columns * (h + GAP), GAP + i % columns * (w + GAP)
        canvas[top : top + h, left : left + w] = image
    return Image.fromarray(canvas)
