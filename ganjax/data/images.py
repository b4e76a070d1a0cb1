"""Images in: the one reader of training, translating and measuring; and arrays to 8 bits and to a size.

What is settled here: an image is upright, 8 bits, sRGB, with its alpha apart, of the first frame, within limits of
pixels, memory and time. What goes out is `ganjax.data.writer`'s.
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
MAX_PIXELS = 200_000_000  # of a file, by default: data.max_pixels
BYTES = 8  # for each of max_pixels, at most, while a file is decoded: 1.6 GB by default
SECONDS = 3.0, 4e-8  # of this thread's processor to decode a file, and more for each of its pixels
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
NO_MEMORY = "there is not enough memory to decode it"
TEXT_LIMIT = 1 << 24  # bytes of a PNG's text: programs keep whole workflows there, more than Pillow's 1 MB
Image.MAX_IMAGE_PIXELS = None  # `load` has limits of its own, which a config can set
PngImagePlugin.MAX_TEXT_CHUNK = TEXT_LIMIT
warnings.filterwarnings("ignore", module=r"PIL\.")  # on metadata that is odd; what matters is in a `Picture`'s notes


class Picture(NamedTuple):
    """An image as this package sees it.

    colour: PIL image, upright, sRGB, mode RGB, or L where the file is gray. alpha: mode L, None where all is opaque.
    format: Pillow's name. info: what the file says beside its pixels, as Pillow names it, with "exif" and "xmp" as
    bytes. notes: what was left out or could not be used, for people.
    """

    colour: Image.Image
    alpha: Image.Image | None
    format: str
    info: dict
    notes: tuple[str, ...]


def read(file: str | Path | bytes | BinaryIO, channels: int = 3, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Return an image as training sees it: upright, sRGB, mode RGB (channels 3) or L (1), alpha composited on white.

    Its `info` is {"notes": those of `load`}. ImageError as for `load`.
    """
    picture = load(file, max_pixels)
    flat = colour.on_white(picture.colour, picture.alpha)
    mode = "L" if channels == 1 else "RGB"
    flat = flat if flat.mode == mode else flat.convert(mode)
    flat.info = {"notes": picture.notes}
    return flat


def load(file: str | Path | bytes | BinaryIO, max_pixels: int = MAX_PIXELS) -> Picture:
    """Return the first frame of an image file.

    Raises ImageError with the reason for an empty, damaged or foreign file; TooLarge for one that would take too many
    pixels or too much memory. Raises OSError if the file cannot be opened.
    """
    with _opened(file) as image:
        _check_cost(image, max_pixels)
        packing = _packing(image)
        image.load()
        return _picture(image, image, packing)


def from_pil(image: Image.Image) -> Picture:
    """Return a PIL image of any mode as a `Picture`: its orientation, profile and alpha are applied as a file's are.

    Raises ImageError for values that are no picture's.
    """
    packing = _packing(image)
    image.load()
    return _picture(image.copy(), image, packing)


def size(file: str | Path | bytes | BinaryIO) -> tuple[int, int]:
    """Return the (height, width) of what `load` returns, by the file's header alone. Raises ImageError for no image."""
    with _opened(file) as image:
        return (image.width, image.height) if orientation(image) >= 5 else (image.height, image.width)


def orientation(image: Image.Image) -> int:
    """Return how an image lies, 1 to 8 as EXIF counts, without decoding it: by EXIF, else by XMP; 1 where unsaid.

    Of a TIFF: what Pillow's size leaves out. It swaps the sides for the tag, and turns the pixels for XMP, too.
    """
    xmp = metadata.XMP_ORIENTATION.search(metadata.xmp_bytes(image.info))
    by_xmp = int(xmp[2]) if xmp else 1
    if image.format == "TIFF":
        return by_xmp if ORIENTATION not in getattr(image, "tag_v2", {}) else 1
    exif, number = Image.Exif(), by_xmp
    with contextlib.suppress(Exception):  # Pillow raises anything on damaged EXIF
        exif.load(metadata.exif_bytes(image.info))
    with contextlib.suppress(Exception):
        number = exif.get(ORIENTATION, by_xmp)
    return number if isinstance(number, int) and 1 <= number <= 8 else 1


def _packing(image: Image.Image) -> str:
    """Return how a file that is not decoded yet stores its pixels, as Pillow names it; "" where it does not say."""
    tiles = getattr(image, "tile", None)
    packing = tiles[0][3] if tiles else ""
    return packing if isinstance(packing, str) else ""


def _picture(image: Image.Image, file: Image.Image, packing: str) -> Picture:
    """Return the picture of a decoded image, which may be changed in place; `file` is as Pillow opened it."""
    notes = ["only the first of its frames or pages is used"] if _has_frames(file) else []
    turn = TURNS.get(1 if file.format == "TIFF" else orientation(file))
    info = {**file.info, "exif": metadata.exif_bytes(file.info), "xmp": metadata.xmp_bytes(file.info)}
    if file.format == "TIFF":
        info |= metadata.of_tiff(file)
    if file.format == "PNG":
        info["text"] = dict(getattr(file, "text", {}))
    pixels, alpha = colour.separate(image, packing)
    if alpha is not None and file.format == "BMP" and alpha.getextrema() == (0, 0):
        alpha = None  # the unused fourth byte of many writers
    pixels, scale = colour.eight_bits(pixels, info.get("tags"))
    pixels, profile = colour.to_srgb(pixels, info.get("icc_profile"))
    if turn is not None:
        pixels, alpha = pixels.transpose(turn), alpha and alpha.transpose(turn)
    pixels.info = {}
    kind = "JPEG" if file.format == "MPO" else file.format or ""
    return Picture(pixels, alpha, kind, info, (*notes, *filter(None, (scale, profile))))


def _has_frames(image: Image.Image) -> bool:
    try:
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    except Exception:  # a damaged second frame, or one that takes too long to find
        return False


def _check_cost(image: Image.Image, max_pixels: int) -> None:
    """TooLarge where decoding would take more pixels or memory than `max_pixels` allows for."""
    pixels, shape = image.width * image.height, f"{image.width}x{image.height}"
    if not pixels:
        raise ImageError("it has no pixels")
    if pixels > max_pixels:
        raise TooLarge(f"{shape} is over data.max_pixels = {max_pixels}")
    needed = pixels * (_decoding_bytes(image) + (4 if orientation(image) > 1 else 0))
    if needed > BYTES * max_pixels:
        raise TooLarge(f"{shape} would take {needed / 1e9:.1f} GB to decode: more than data.max_pixels allows for")


def _decoding_bytes(image: Image.Image) -> int:
    """Return how many bytes a pixel takes at the peak: Pillow's image, what it is converted to, a decoder's copies."""
    stored = {"1": 1, "L": 1, "P": 1, "I;16": 2}.get(image.mode, 4)
    if image.has_transparency_data:
        stored += 6  # colours and alpha apart
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


def _foreign(head: bytes) -> str:
    """Return why Pillow does not know a file."""
    kind = formats.kind(head)
    if kind and kind not in formats.readable():
        return formats.NO_HEIF if kind == "HEIF" else f"this Pillow reads no {kind}"
    if kind:
        return f"damaged, or a {kind} of a kind that Pillow cannot read"
    return "not an image that Pillow can read"


@contextlib.contextmanager
def _opened(file) -> Iterator[Image.Image]:
    """Yield the image of a file, not decoded; its `info` holds what a PNG says behind its pixels, too.

    Raises ImageError, with the reason, for whatever opening it or the block raises; OSError where it cannot be opened.
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
            behind = _behind_pixels(timed) if formats.kind(head) == "PNG" else {}
            with Image.open(timed, formats=formats.readable()) as image:
                timed.pixels = image.width * image.height
                image.info.update({key: value for key, value in behind.items() if key not in image.info})
                yield image
        except ImageError:
            raise
        except UnidentifiedImageError:
            raise ImageError(_foreign(head)) from None
        except MemoryError as error:
            raise ImageError(NO_MEMORY) from error
        except Exception as error:  # plugins raise OSError, SyntaxError, ValueError, struct.error, ... on bad bytes
            if isinstance(error.__context__, ImageError):  # of `_Timed`, which a plugin took for bad bytes
                raise error.__context__ from None
            raise ImageError(f"damaged: {error or type(error).__name__}") from error


class _Timed:
    """A binary file that raises ImageError once this thread has computed for longer than `pixels` explain: decoders
    read bit by bit, so that no bomb goes on for ever. The disk's time does not count.
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
        """Do nothing: whoever opened the file closes it."""


def _behind_pixels(file) -> dict:
    """Return what a PNG's chunks behind its pixels add to `info`: Pillow sees them only once it has decoded those."""
    file.seek(8)
    stream, behind = PngImagePlugin.PngStream(file), False
    with contextlib.suppress(Exception):  # damaged: what comes before it counts
        while len(head := file.read(8)) == 8:
            length, name = int.from_bytes(head[:4], "big"), head[4:]
            if name == b"IEND":
                break
            if behind and name in (b"eXIf", b"tEXt", b"zTXt", b"iTXt") and length <= TEXT_LIMIT:
                stream.call(name, file.tell(), length)
                length = 0
            behind |= name == b"IDAT"
            file.seek(length + 4, os.SEEK_CUR)
    file.seek(0)
    return {**stream.im_text, **stream.im_info}


def fit(image: Image.Image, height: int, width: int, how: str = "crop") -> np.ndarray:
    """Return uint8 (height, width, C) by Lanczos: "crop" cuts the centre to the aspect, "pad" adds white instead."""
    if how == "pad":
        image = _padded(image, height, width)
    else:
        # The cut comes first: a 1x4000 image never becomes a huge one on the way.
        scale = min(image.width / width, image.height / height)
        w, h = width * scale, height * scale
        left, top = max(0.0, (image.width - w) / 2), max(0.0, (image.height - h) / 2)  # w may pass by an ulp
        box = (left, top, min(left + w, image.width), min(top + h, image.height))
        image = image.resize((width, height), Image.Resampling.LANCZOS, box=box)
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _padded(image: Image.Image, height: int, width: int) -> Image.Image:
    thin = min(width, height * image.width / image.height), min(height, width * image.height / image.width)
    if min(thin) >= 1:
        return ImageOps.pad(image, (width, height), Image.Resampling.LANCZOS, color="white")
    inner = [max(1, round(side)) for side in thin]  # a line of pixels stays one
    page = Image.new(image.mode, (width, height), "white")
    page.paste(image.resize(inner, Image.Resampling.LANCZOS), ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return page


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Map floats in [-1, 1] to uint8 by clip(round(127.5 (x + 1)), 0, 255)."""
    return np.clip(np.round((np.asarray(images, np.float32) + 1) * 127.5), 0, 255).astype(np.uint8)
