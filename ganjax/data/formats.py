"""The image formats that training, translation and metrics read, recognised by content first, then by file name."""

import functools
from pathlib import Path

from PIL import features

# An explicit list, so that Pillow never passes a file to an external program (EPS goes to Ghostscript). JPEG includes
# MPO, the format of phones and stereo cameras.
BASE = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
ENDINGS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
    "AVIF": (".avif",),
    "HEIF": (".heic", ".heif", ".hif"),
}
EXTENSIONS = tuple(ending for endings in ENDINGS.values() for ending in endings)
SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),  # BigTIFF
    (b"MM\0+", "TIFF"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
)
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
HEAD = 32  # bytes that `kind` looks at
NO_HEIF = "HEIC needs pillow-heif: pip install 'ganjax[heif]'"
# Files that file servers, archivers and desktops add to folders; names that begin with a dot are hidden, too.
HIDDEN = {"@eadir", "__macosx", "#recycle", "@recycle", "$recycle.bin", "system volume information", "lost+found"}
HIDDEN |= {"thumbs.db", "ehthumbs.db", "desktop.ini"}


@functools.cache
def readable() -> tuple[str, ...]:
    """Return Pillow's names of the readable formats; AVIF and HEIF only if their libraries are installed."""
    names = list(BASE)
    if features.check("avif"):
        names.append("AVIF")
    try:
        import pillow_heif
    except ImportError:
        return tuple(names)
    pillow_heif.register_heif_opener()
    return (*names, "HEIF")


def kind(head: bytes) -> str:
    """Return the format of a file that begins with `head` (HEAD bytes suffice), or "" if it is no image."""
    for signature, name in SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        brands = {head[i : i + 4] for i in (8, *range(16, len(head) - 3, 4))}
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        if brands & set(HEIF_BRANDS):
            return "HEIF"
    return ""


def promises(name: str) -> bool:
    """Return whether a name has the ending of an image file, so that the file counts as damaged if it is unreadable."""
    return name.lower().endswith(EXTENSIONS)


def hidden(name: str) -> bool:
    """Return whether a name is skipped without a message: no user put such a file there as an image."""
    return name.startswith(".") or name.lower() in HIDDEN


def is_image(path: Path) -> bool:
    """Return whether a file's first bytes, or else the ending of its name, are those of an image.

    Raises OSError if the file is unreadable.
    """
    with path.open("rb") as file:
        return bool(kind(file.read(HEAD))) or promises(path.name)
