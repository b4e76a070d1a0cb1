"""Images out: the one writer of what is made from a file, under its name, in its format, with its metadata."""

from collections.abc import Iterable
from pathlib import Path, PurePath

from PIL import Image

from ganjax.data import colour, formats, metadata
from ganjax.data.images import Picture
from ganjax.errors import UserError
from ganjax.whole import replacing

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


def format_of(name: str) -> str:
    """Return the format that a name's ending asks for and that can be written, or ""."""
    ending = PurePath(name).suffix.lower()
    return next((kind for kind in SETTINGS if ending in formats.ENDINGS[kind]), "")


def targets(names: Iterable[str]) -> list[str]:
    """Return the name under which the result of each file goes: its own where that is no ending of a format that is
    only read; else with .png in its place, or behind it where another file has that name.
    """
    names = list(names)
    taken = {name for name in names if not _only_read(name)}
    result = []
    for name in names:
        if _only_read(name):
            other = str(PurePath(name).with_suffix(".png"))
            name = f"{name}.png" if other in taken else other
            taken.add(name)
        result.append(name)
    return result


def _only_read(name: str) -> bool:
    return formats.promises(name) and not format_of(name)


def save(image: Image.Image, path: Path, like: Picture, record: dict | None = None) -> None:
    """Write an image, mode L, LA, RGB or RGBA, whole or not at all, with the metadata of the one that it came from.

    The format is that of the path's ending; without one, that of `like`, or PNG. record: see `metadata.options`.
    UserError, that names the path, where it cannot be written.
    """
    kind = format_of(path.name) or (like.format if like.format in SETTINGS else "PNG")
    if kind in OPAQUE and image.mode in ("LA", "RGBA"):
        alpha = image.getchannel("A")
        image = colour.on_white(image.convert("L" if image.mode == "LA" else "RGB"), alpha)
    kept = metadata.options(kind, image.mode, image.size, like.info, record)
    image.info = {}
    with replacing(path) as temporary:
        try:
            image.save(temporary, format=kind, **SETTINGS[kind], **kept)
        except OSError:
            raise
        except (ValueError, TypeError, KeyError, OverflowError, SyntaxError, ArithmeticError) as error:
            if not kept:
                raise UserError(f"{path} cannot be written as {kind}: {error}") from error
            image.save(temporary, format=kind, **SETTINGS[kind])  # what a plugin does not take costs no image
