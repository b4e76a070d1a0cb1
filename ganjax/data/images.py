"""Images in: the one reader of training, translating and measuring; and arrays to 8 bits and to a size.

What is settled here: an image is upright, 8 bits, sRGB, with its alpha apart, of the first frame, within limits of
pixels, memory and time. What goes out is `ganjax.data.writer`'s.
"""

import contextlib
import io
import os
import re
import time
import warnings
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from ganjax.data import colour, formats, metadata
from ganjax.errors import ImageError

__all__ = ["ImageError", "Picture", "fit", "from_pil", "load", "read", "size", "to_uint8"]
MAX_PIXELS = 200_000_000  # of a file, by default: data.max_pixels
BYTES = 8  # for each of max_pixels, at most, while a file is decoded: 1.6 GB by default
SECONDS = 3.0, 4e-8  # of this thread's processor to decode a file, and more for each of its pixels
ORIENTATION = 0x0112  # the EXIF tag
XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:\s*=\s*["\']|>)\s*([1-8])')
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
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

    ImageError with the reason for an empty, damaged or foreign file, and for one that would take too many pixels, too
    much memory or too long. OSError where the file cannot be opened.
    """
    with _opened(file) as (data, head):
        data = _Timed(data)
        try:
            trailer = _png_trailer(data) if formats.kind(head) == "PNG" else {}
            with Image.open(data, formats=formats.readable()) as image:
                _check_cost(image, trailer, max_pixels)
                data.pixels = image.width * image.height
                packing = image.tile[0][3] if image.tile else None
                image.load()
                return _picture(image, trailer, packing)
        except ImageError:
            raise
        except UnidentifiedImageError:
            raise ImageError(_foreign(head)) from None
        except MemoryError as error:
            raise ImageError("there is not enough memory to decode it") from error
        except Exception as error:  # plugins raise OSError, SyntaxError, ValueError, struct.error, ... on bad bytes
            if isinstance(error.__context__, ImageError):  # of `_Timed`, which a plugin took for bad bytes
                raise error.__context__ from None
            raise ImageError(f"damaged: {error or type(error).__name__}") from error


def from_pil(image: Image.Image) -> Picture:
    """Return a PIL image of any mode as a `Picture`: its orientation, profile and alpha are applied as a file's are.

    ImageError for values that are no picture's.
    """
    own = image.copy()
    own.format = image.format
    return _picture(own, {})


def size(file: str | Path | bytes | BinaryIO) -> tuple[int, int]:
    """Return the (height, width) of what `load` returns, by the file's header alone. ImageError for no image."""
    with _opened(file) as (data, head):
        data = _Timed(data)
        try:
            trailer = _png_trailer(data) if formats.kind(head) == "PNG" else {}
            with Image.open(data, formats=formats.readable()) as image:
                turned = orientation(image, trailer) >= 5
                return (image.width, image.height) if turned else (image.height, image.width)
        except UnidentifiedImageError:
            raise ImageError(_foreign(head)) from None
        except Exception as error:  # see `load`
            raise ImageError(f"damaged: {error or type(error).__name__}") from error


def orientation(image: Image.Image, trailer: dict | None = None) -> int:
    """Return how an image lies, 1 to 8 as EXIF counts, without decoding it: by EXIF, else by XMP; 1 where unsaid.

    trailer: {"exif", "xmp"} that come after a PNG's pixels. Of a TIFF: what Pillow's size leaves out. It swaps the
    sides for the tag, and turns the pixels for XMP, too.
    """
    trailer = trailer or {}
    xmp = XMP_ORIENTATION.search(metadata.xmp_bytes(image.info) or trailer.get("xmp", b""))
    by_xmp = int(xmp[1]) if xmp else 1
    if image.format == "TIFF":
        return by_xmp if ORIENTATION not in getattr(image, "tag_v2", {}) else 1
    exif = Image.Exif()
    with contextlib.suppress(Exception):  # plugins raise anything on bad bytes; see `load`
        exif.load(metadata.exif_bytes(image.info) or trailer.get("exif", b""))
    number = by_xmp
    with contextlib.suppress(Exception):
        number = exif.get(ORIENTATION, by_xmp)
    return number if isinstance(number, int) and 1 <= number <= 8 else 1


def _picture(image: Image.Image, trailer: dict, packing=None) -> Picture:
    notes = ["only the first of its frames or pages is used"] if _has_frames(image) else []
    turn = TURNS.get(1 if image.format == "TIFF" else orientation(image, trailer))
    info = {**image.info}
    info["exif"] = metadata.exif_bytes(info) or trailer.get("exif", b"")
    info["xmp"] = metadata.xmp_bytes(info) or trailer.get("xmp", b"")
    if hasattr(image, "tag_v2"):
        info |= metadata.of_tiff(image)
    pixels, alpha = colour.separate(image, packing)
    pixels, note = colour.to_srgb(colour.eight_bits(pixels, info.get("tags")), info.get("icc_profile"))
    if turn is not None:
        pixels, alpha = pixels.transpose(turn), alpha and alpha.transpose(turn)
    if image.format == "PNG":
        info["text"] = dict(getattr(image, "text", {}))
    pixels.info = {}
    return Picture(pixels, alpha, image.format or "", info, (*notes, *([note] if note else [])))


def _has_frames(image: Image.Image) -> bool:
    try:
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    except Exception:  # a damaged second frame; see `load`
        return True


def _check_cost(image: Image.Image, trailer: dict, max_pixels: int) -> None:
    """ImageError where decoding would take more pixels or memory than `max_pixels` allows for."""
    pixels, shape = image.width * image.height, f"{image.width}x{image.height}"
    if not pixels:
        raise ImageError("it has no pixels")
    if pixels > max_pixels:
        raise ImageError(f"{shape} is over data.max_pixels = {max_pixels}")
    needed = pixels * (_decoding_bytes(image) + (4 if orientation(image, trailer) > 1 else 0))
    if needed > BYTES * max_pixels:
        raise ImageError(f"{shape} would take {needed / 1e9:.1f} GB to decode: more than data.max_pixels allows for")


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
def _opened(file):
    """Yield (a binary file, its first bytes). ImageError for an empty one."""
    with contextlib.ExitStack() as stack:
        if isinstance(file, str | os.PathLike):
            file = stack.enter_context(Path(file).open("rb"))
        elif isinstance(file, bytes):
            file = io.BytesIO(file)
        head = file.read(formats.HEAD)
        file.seek(0)
        if not head:
            raise ImageError("empty file")
        yield file, head


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
        """Leave the file to who opened it."""


def _png_trailer(file) -> dict[str, bytes]:
    """Return {"exif", "xmp"} of a PNG's chunks behind its pixels, which Pillow sees only once it has decoded those."""
    found, behind = {}, False
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        if name == b"IEND":
            break
        wanted = behind and name in (b"eXIf", b"iTXt") and length <= TEXT_LIMIT
        body = file.read(length) if wanted else b""
        if name == b"eXIf" and body:
            found.setdefault("exif", body)
        elif body.startswith(b"XML:com.adobe.xmp\0\0\0"):
            found.setdefault("xmp", body.split(b"\0", 5)[-1])
        behind |= name == b"IDAT"
        file.seek(4 if wanted else length + 4, os.SEEK_CUR)
    file.seek(0)
    return found


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
