"""Images out: the one writer of what is made from a file, under its name, in its format, with its metadata."""

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

# JPEG: above that a file grows fast; its colours keep their full resolution.
SETTINGS = {
    "JPEG": {"quality": 100, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True, "exact": True},
    "BMP": {},
    "TIFF": {},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
}
OPAQUE = ("JPEG", "BMP")
LONGEST = 240  # bytes of a name that another ending may make longer: file systems allow 255


def format_of(name: str) -> str:
    """Return the format that a name's ending asks for and that can be written, or ""."""
    ending = PurePath(name).suffix.lower()
    return next((kind for kind in SETTINGS if ending in formats.ENDINGS[kind]), "")


def targets(names: Iterable[str]) -> list[str]:
    """Return the name under which the result of each file goes: its own, unless its format is only read.

    Then it ends in .png, with a number where another has that name; "a.PNG" has that of "a.png".
    """
    names = list(names)
    names_in_use = {_key(name) for name in names if not _only_read(name)}
    return [_unique(name, names_in_use) if _only_read(name) else name for name in names]


def _unique(name: str, names_in_use: set[str]) -> str:
    """Return a name ending in .png that is not taken, and take it."""
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
    """Write an image, mode L, LA, RGB or RGBA, whole or not at all, with the metadata of the one that it came from.

    The format is that of the path's ending; without one, that of `like`, or PNG. record: see `metadata.options`.
    Raises UserError, which names the path, if the disk refuses it; ImageError where the format cannot hold the image.
    """
    kind = format_of(path.name) or (like.format if like.format in SETTINGS else "PNG")
    if kind in OPAQUE and image.mode in ("LA", "RGBA"):
        alpha = image.getchannel("A")
        image = colour.on_white(image.convert("L" if image.mode == "LA" else "RGB"), alpha)
    options = metadata.options(kind, image.mode, image.size, like.info, record)
    image.info = {}
    with replacing(path) as temporary:
        for extras in (options, {}):  # metadata that a plugin does not take costs no image
            try:
                image.save(temporary, format=kind, **SETTINGS[kind], **extras)
                return
            except OSError as error:
                if error.errno is not None:  # the disk's; an encoder's has none
                    raise
                failure = error
            except Exception as error:  # plugins raise ValueError, RuntimeError, struct.error, ...
                failure = error
        raise ImageError(f"it cannot be written as {kind}: {failure}") from failure
