"""Read image files for training, translation and metrics; fit images to a size; convert floats to 8 bits.

Every image that is read is upright, 8-bit sRGB, with separate alpha; only the first frame is used; there are limits on
pixels, memory and decoding time. `ganjax.data.writer` writes images.
"""

import contextlib
import io
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from ganjax.data import colour, formats, metadata
from ganjax.errors import ImageError, TooLarge

__all__ = ["ImageError", "Picture", "TooLarge", "fit", "from_pil", "load", "read", "size", "to_uint8"]
MAX_PIXELS = 200_000_000  # of a file: the default of data.max_pixels
BYTES = 8  # memory limit while decoding, per pixel of max_pixels: 1.6 GB by default
SECONDS = 3.0, 4e-8  # limit on the thread's CPU time to decode a file: a constant, and more per pixel
ORIENTATION = 0x0112  # the EXIF tag
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # Pillow's, by the number of channels
CLEAR = (255, 255, 255, 0)
NO_MEMORY = "there is not enough memory to decode it"
TEXT_LIMIT = 1 << 24  # bytes of a PNG's text: some programs store whole workflows, beyond Pillow's limit of 1 MB
Image.MAX_IMAGE_PIXELS = None  # `load` applies its own limit, which a config can set
PngImagePlugin.MAX_TEXT_CHUNK = TEXT_LIMIT
warnings.filterwarnings("ignore", module=r"PIL\.")  # Pillow warns of odd metadata; `Picture.notes` tells the user


class Picture(NamedTuple):
    """A decoded image file.

    colour: PIL image, upright, sRGB, mode RGB, or L if the file is gray. alpha: mode L, or None if all pixels are
    opaque. format: Pillow's name of the format. info: the file's metadata by Pillow's keys, with "exif" and "xmp" as
    bytes. notes: messages for the user about parts that were left out or could not be used.
    """

    colour: Image.Image
    alpha: Image.Image | None
    format: str
    info: dict
    notes: tuple[str, ...]


def read(file: str | Path | bytes | BinaryIO, channels: int = 3, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Return an image as training uses it: upright, sRGB, mode RGB (channels 3) or L (1), composited on white, or
    RGBA (4).

    Its `info` is {"notes": `Picture.notes`}. Raises the same errors as `load`.
    """
    picture = load(file, max_pixels)
    if channels == 4:
        flat = picture.colour.convert("RGBA")
        if picture.alpha is not None:
            flat.putalpha(picture.alpha)
    else:
        flat = colour.on_white(picture.colour, picture.alpha)
        flat = flat if flat.mode == MODES[channels] else flat.convert(MODES[channels])
    flat.info = {"notes": picture.notes}
    return flat


def load(file: str | Path | bytes | BinaryIO, max_pixels: int = MAX_PIXELS) -> Picture:
    """Return the first frame of an image file.

    Raises ImageError, with the reason, if the file is empty, damaged or no image; TooLarge if it has too many pixels or
    would take too much memory; OSError if it cannot be opened.
    """
    with _open(file) as image:
        _check_cost(image, max_pixels)
        packing = _packing(image)
        image.load()
        return _picture(image, image, packing)


def from_pil(image: Image.Image) -> Picture:
    """Return a PIL image of any mode as a `Picture`; orientation, profile and alpha are treated as in `load`.

    Raises ImageError if its values are not in any usual range of images.
    """
    packing = _packing(image)
    image.load()
    return _picture(image.copy(), image, packing)


def size(file: str | Path | bytes | BinaryIO) -> tuple[int, int]:
    """Return the (height, width) of what `load` would return, from the file's header. Raises ImageError if no image."""
    with _open(file) as image:
        return (image.width, image.height) if orientation(image) >= 5 else (image.height, image.width)


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8, without decoding the image: from EXIF, else from XMP, else 1.

    For a TIFF, return the orientation that Pillow's `size` ignores: Pillow swaps the sides for the TIFF tag only, but
    rotates the decoded pixels for the tag and for XMP.
    """
    xmp = metadata.XMP_ORIENTATION.search(metadata.xmp_bytes(image.info))
    from_xmp = int(xmp[2]) if xmp else 1
    if image.format == "TIFF":
        return from_xmp if ORIENTATION not in getattr(image, "tag_v2", {}) else 1
    exif, number = Image.Exif(), from_xmp
    with contextlib.suppress(Exception):  # Pillow raises exceptions of any type on damaged EXIF
        exif.load(metadata.exif_bytes(image.info))
    with contextlib.suppress(Exception):
        number = exif.get(ORIENTATION, from_xmp)
    return number if isinstance(number, int) and 1 <= number <= 8 else 1


def _packing(image: Image.Image) -> str:
    """Return Pillow's name for how a file that is not decoded yet stores its pixels, "" if Pillow gives none."""
    tiles = getattr(image, "tile", None)
    packing = tiles[0][3] if tiles else ""
    return packing if isinstance(packing, str) else ""


def _picture(image: Image.Image, file: Image.Image, packing: str) -> Picture:
    """Return the `Picture` of a decoded image, which may be changed in place. file: the image as Pillow opened it."""
    notes = ["only the first of its frames or pages is used"] if _has_frames(file) else []
    turn = TURNS.get(1 if file.format == "TIFF" else orientation(file))
    info = {**file.info, "exif": metadata.exif_bytes(file.info), "xmp": metadata.xmp_bytes(file.info)}
    if file.format == "TIFF":
        info |= metadata.of_tiff(file)
    if file.format == "PNG":
        info["text"] = dict(getattr(file, "text", {}))
    pixels, alpha = colour.separate(image, packing)
    if alpha is not None and file.format == "BMP" and alpha.getextrema() == (0, 0):
        alpha = None  # many writers leave the fourth byte unused
    pixels, scale = colour.eight_bits(pixels, info.get("tags"))
    pixels, profile = colour.to_srgb(pixels, info.get("icc_profile"))
    if turn is not None:
        pixels = pixels.transpose(turn)
        alpha = None if alpha is None else alpha.transpose(turn)
    pixels.info = {}
    kind = "JPEG" if file.format == "MPO" else file.format or ""
    return Picture(pixels, alpha, kind, info, (*notes, *filter(None, (scale, profile))))


def _has_frames(image: Image.Image) -> bool:
    try:
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    except Exception:  # the second frame is damaged, or takes too long to find
        return False


def _check_cost(image: Image.Image, max_pixels: int) -> None:
    """Raise TooLarge if decoding would take more pixels or memory than `max_pixels` allows."""
    pixels, shape = image.width * image.height, f"{image.width}x{image.height}"
    if not pixels:
        raise ImageError("it has no pixels")
    if pixels > max_pixels:
        raise TooLarge(f"{shape} is over data.max_pixels = {max_pixels}")
    needed = pixels * (_decoding_bytes(image) + (4 if orientation(image) > 1 else 0))
    if needed > BYTES * max_pixels:
        raise TooLarge(f"{shape} would take {needed / 1e9:.1f} GB to decode, more than data.max_pixels allows")


def _decoding_bytes(image: Image.Image) -> int:
    """Return the peak bytes per pixel while decoding: Pillow's image, its conversion, and the decoder's copies."""
    stored = {"1": 1, "L": 1, "P": 1, "I;16": 2}.get(image.mode, 4)
    if image.has_transparency_data:
        stored += 6  # separate images of colours and alpha
    elif image.mode != "RGB":
        stored += 5
    if image.format == "WEBP":
        return stored + 12
    if image.format in ("AVIF", "HEIF"):
        return stored + 8
    if image.format in ("JPEG", "MPO") and image.info.get("progressive"):
        return stored + 2 * len(image.getbands())  # all coefficients
    if image.format == "TIFF":
        bits = image.tag_v2.get(colour.BITS, (8,))
        return stored + sum(bits if isinstance(bits, tuple) else (bits,)) // 8  # a strip may be the whole image
    return stored


def _why_unidentified(head: bytes) -> str:
    """Return why Pillow cannot identify a file that begins with `head`."""
    kind = formats.kind(head)
    if kind and kind not in formats.readable():
        return formats.NO_HEIF if kind == "HEIF" else f"this installation of Pillow cannot read {kind}"
    if kind:
        return f"damaged, or a variant of {kind} that Pillow cannot read"
    return "not an image that Pillow can read"


@contextlib.contextmanager
def _open(file) -> Iterator[Image.Image]:
    """Yield the image of a file, not decoded; its `info` includes the PNG metadata that follows the pixels.

    Raises ImageError, with the reason, for any error of Pillow or of the `with` block; OSError if the file cannot be
    opened.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(file, str | os.PathLike):
            file = stack.enter_context(Path(file).open("rb"))
        elif isinstance(file, bytes):
            file = io.BytesIO(file)
        head = file.read(formats.HEAD)
        file.seek(0)
        if not head:
            raise ImageError("empty file")
        timed = _Timed(file)
        try:
            trailing = _trailing_info(timed) if formats.kind(head) == "PNG" else {}
            with Image.open(timed, formats=formats.readable()) as image:
                timed.pixels = image.width * image.height
                image.info.update({key: value for key, value in trailing.items() if key not in image.info})
                yield image
        except ImageError:
            raise
        except UnidentifiedImageError:
            raise ImageError(_why_unidentified(head)) from None
        except MemoryError as error:
            raise ImageError(NO_MEMORY) from error
        except Exception as error:  # plugins raise OSError, SyntaxError, ValueError, struct.error, ... on bad bytes
            if isinstance(error.__context__, ImageError):  # raised by `_Timed`; the plugin took it for bad bytes
                raise error.__context__ from None
            raise ImageError(f"damaged: {error or type(error).__name__}") from error


class _Timed:
    """A binary file whose `read` raises ImageError if the thread's CPU time exceeds what `pixels` explain.

    Decoders read in small pieces, so that this stops decompression bombs. Waiting for the disk does not count.
    """

    def __init__(self, file: BinaryIO):
        self._file, self._start, self.pixels = file, time.thread_time(), 0
        self.seek, self.tell = file.seek, file.tell

    def read(self, count: int = -1) -> bytes:
        seconds = SECONDS[0] + SECONDS[1] * self.pixels
        if time.thread_time() - self._start > seconds:
            raise ImageError(f"it takes over {seconds:.0f} s to decode, more than its size explains")
        return self._file.read(count)

    def close(self) -> None:
        """Do nothing: the caller that opened the file closes it."""


def _trailing_info(file) -> dict:
    """Return the `info` of a PNG's chunks after the pixels, which Pillow reads only after it has decoded the pixels."""
    file.seek(8)
    stream, after_pixels = PngImagePlugin.PngStream(file), False
    with contextlib.suppress(Exception):  # damaged: keep what came before the damage
        while len(head := file.read(8)) == 8:
            length, name = int.from_bytes(head[:4], "big"), head[4:]
            if name == b"IEND":
                break
            if after_pixels and name in (b"eXIf", b"tEXt", b"zTXt", b"iTXt") and length <= TEXT_LIMIT:
                stream.call(name, file.tell(), length)
                length = 0
            after_pixels |= name == b"IDAT"
            file.seek(length + 4, os.SEEK_CUR)
    file.seek(0)
    return {**stream.im_text, **stream.im_info}


def fit(image: Image.Image, height: int, width: int, how: str = "crop") -> np.ndarray:
    """Return uint8 (height, width, C), resized by Lanczos. how: "crop" to the centre, or "pad" with white, which is
    clear if there is alpha. Clear pixels are white.
    """
    if how == "pad":
        image = _pad(image, height, width)
    else:
        # Crop before resizing, so that a 1x4000 image never becomes a huge one.
        scale = min(image.width / width, image.height / height)
        w, h = width * scale, height * scale
        left, top = max(0.0, (image.width - w) / 2), max(0.0, (image.height - h) / 2)  # w may be an ulp too wide
        box = (left, top, min(left + w, image.width), min(top + h, image.height))
        image = image.resize((width, height), Image.Resampling.LANCZOS, box=box)
    pixels = np.asarray(image)
    if image.mode == "RGBA":  # a clear pixel's colour is whatever a program left there
        return np.where(pixels[..., 3:] == 0, np.array(CLEAR, np.uint8), pixels)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _pad(image: Image.Image, height: int, width: int) -> Image.Image:
    page = CLEAR if image.mode == "RGBA" else "white"
    inner = min(width, height * image.width / image.height), min(height, width * image.height / image.width)
    if min(inner) >= 1:
        return ImageOps.pad(image, (width, height), Image.Resampling.LANCZOS, color=page)
    inner = [max(1, round(side)) for side in inner]  # a line stays at least one pixel thick
    page = Image.new(image.mode, (width, height), page)
    page.paste(image.resize(inner, Image.Resampling.LANCZOS), ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return page


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Map floats in [-1, 1] to uint8 by clip(round(127.5 (x + 1)), 0, 255)."""
    return np.clip(np.round((np.asarray(images, np.float32) + 1) * 127.5), 0, 255).astype(np.uint8)
