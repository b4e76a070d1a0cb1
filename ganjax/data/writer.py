"""Write the image that was made from a file: under the file's name, in its format, with its metadata."""

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePath

from PIL import Image

from ganjax.data import colour, formats, metadata
from ganjax.data.images import Picture
from ganjax.errors import ImageError
from ganjax.system.atomic import replacing
from ganjax.system.names import safe_name

# JPEG and AVIF: the best quality, and colours at full resolution.
SETTINGS = {
    "JPEG": {"quality": 100, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True, "exact": True},
    "BMP": {},
    "TIFF": {},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
}
OPAQUE = ("JPEG", "BMP")  # formats without alpha
LONGEST = 240  # limit on the bytes of a name that gets another ending: file systems allow 255


def format_of(name: str) -> str:
    """Return the writable format that a name's ending stands for, or ""."""
    ending = PurePath(name).suffix.lower()
    return next((kind for kind in SETTINGS if ending in formats.ENDINGS[kind]), "")


def targets(names: Iterable[str]) -> list[str]:
    """Return the output name of each file: the file's own name if its format can be written.

    Otherwise the ending becomes .png, with a number if that name is in use; "a.PNG" and "a.png" count as one name.
    """
    names = list(names)
    names_in_use = {_key(name) for name in names if not _only_read(name)}
    return [_unique(name, names_in_use) if _only_read(name) else name for name in names]


def _unique(name: str, names_in_use: set[str]) -> str:
    """Return a name that ends in .png and is not in use yet; add it to `names_in_use`."""
    path = PurePath(name)
    stem = path.stem if len(os.fsencode(path.name)) <= LONGEST else safe_name(path.stem)
    candidates = (f"{stem}.png", f"{stem}{path.suffix}.png", *(f"{stem}-{number}.png" for number in range(2, 10_000)))
    choice = next(str(path.with_name(c)) for c in candidates if _key(str(path.with_name(c))) not in names_in_use)
    names_in_use.add(_key(choice))
    return choice


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _only_read(name: str) -> bool:
    return formats.promises(name) and not format_of(name)


def save(image: Image.Image, path: Path, like: Picture, record: dict | None = None) -> None:
    """Write an image, mode L, LA, RGB or RGBA, atomically, with the metadata of `like`, the image it was made from.

    The path's ending selects the format; without one, it is the format of `like`, or PNG. record: see
    `metadata.options`. Raises UserError, which names the path, if the file cannot be written; ImageError if the format
    cannot hold the image.
    """
    kind = format_of(path.name) or (like.format if like.format in SETTINGS else "PNG")
    if kind in OPAQUE and image.mode in ("LA", "RGBA"):
        alpha = image.getchannel("A")
        image = colour.on_white(image.convert("L" if image.mode == "LA" else "RGB"), alpha)
    options = metadata.options(kind, image.mode, image.size, like.info, record)
    image.info = {}
    with replacing(path) as temporary:
        for extras in (options, {}):  # if the encoder rejects the metadata, write the image without it
            try:
                image.save(temporary, format=kind, **SETTINGS[kind], **extras)
                return
            except OSError as error:
                if error.errno is not None:  # an error of the disk; those of an encoder have no errno
                    raise
                failure = error
            except Exception as error:  # plugins raise ValueError, RuntimeError, struct.error, ...
                failure = error
        raise ImageError(f"it cannot be written as {kind}: {failure}") from failure
