"""Images in, images out: the one function that every reader uses, and the one that every writer uses."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# Named, so that Pillow never hands a file to an outside program (EPS goes to Ghostscript).
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")  # JPEG serves MPO, of phones and cameras, too
ORIENTATION = 0x0112  # the EXIF tag
EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
Image.MAX_IMAGE_PIXELS = None  # `read` has its own limit, which a config can set


class ImageError(ValueError):
    """A file that cannot be used; the message is the reason alone."""


def read(file: str | Path | bytes | BinaryIO, channels: int = 3, max_pixels: int = 200_000_000) -> Image.Image:
    """Return an upright 8-bit image, mode RGB (channels 3) or L (1), of the first frame.

    EXIF rotation is applied; alpha is composited on white; gray, palette, CMYK, 1-, 16- and 32-bit are converted.
    ImageError with the reason for an empty, damaged, foreign or too large file.
    """
    return _read(file, lambda image: convert(image, channels), max_pixels)


def upright(file: str | Path, max_pixels: int = 200_000_000) -> Image.Image:
    """Return the first frame as it is, but turned as its EXIF says, which is cleared; ImageError as for `read`."""
    return _read(file, lambda image: image, max_pixels)


def _read(file, finish: Callable, max_pixels: int) -> Image.Image:
    if isinstance(file, bytes):
        file = io.BytesIO(file)
    if isinstance(file, str | Path) and Path(file).stat().st_size == 0:
        raise ImageError("empty file")
    try:
        with Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise ImageError(f"{image.width}x{image.height} is over data.max_pixels = {max_pixels}")
            image.load()
            return finish(ImageOps.exif_transpose(image))
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError("not an image that Pillow can read") from None
    except (
        Exception
    ) as error:  # Pillow's plugins raise OSError, SyntaxError, ValueError, struct.error, ... on bad bytes
        raise ImageError(f"damaged: {error or type(error).__name__}") from error


def size(file: str | Path) -> tuple[int, int]:
    """Return the upright (height, width) by the file's header alone; ImageError for what is no image."""
    try:
        with Image.open(file, formats=FORMATS) as image:
            turned = image.getexif().get(ORIENTATION, 1) >= 5  # a quarter turn, perhaps mirrored
            return (image.width, image.height) if turned else (image.height, image.width)
    except Exception as error:  # see `read`
        raise ImageError(str(error) or type(error).__name__) from error


def convert(image: Image.Image, channels: int = 3) -> Image.Image:
    """Return an image of any mode as 8-bit RGB (channels 3) or L (1), alpha on white."""
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(_to_8_bit(np.asarray(image, np.float64), image.mode))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if channels == 1 else "RGB")


def _to_8_bit(values: np.ndarray, mode: str) -> np.ndarray:
    """Map 16-bit integers by their full range; 32-bit ones likewise if they fit; floats from [0, 1] if they fit."""
    top = values.max(initial=0.0)
    if mode == "F":
        full = 1.0 if top <= 1 else 255.0 if top <= 255 else 65535.0
    else:
        full = 65535.0 if mode != "I" or top > 255 else 255.0
    return np.clip(np.round(values * (255 / full)), 0, 255).astype(np.uint8)


def fit(image: Image.Image, height: int, width: int, how: str = "crop") -> np.ndarray:
    """Return uint8 (height, width, C) by Lanczos: "crop" cuts the centre to the aspect, "pad" adds white instead."""
    if how == "pad":
        image = ImageOps.pad(image, (width, height), Image.Resampling.LANCZOS, color="white")
    else:
        # The cut comes first: a 1x4000 image never becomes a huge one on the way.
        scale = min(image.width / width, image.height / height)
        w, h = width * scale, height * scale
        left, top = max(0.0, (image.width - w) / 2), max(0.0, (image.height - h) / 2)  # w may pass by an ulp
        box = (left, top, min(left + w, image.width), min(top + h, image.height))
        image = image.resize((width, height), Image.Resampling.LANCZOS, box=box)
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Map floats in [-1, 1] to uint8 by clip(round(127.5 (x + 1)), 0, 255)."""
    return np.clip(np.round((np.asarray(images, np.float32) + 1) * 127.5), 0, 255).astype(np.uint8)
