"""The one list of what counts as an image, for training, translating and measuring: by content first, then by name."""

import functools
from pathlib import Path

from PIL import features

# Named, so that Pillow never hands a file to an outside program (EPS goes to Ghostscript). JPEG serves MPO, of phones
# and stereo cameras, too.
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
# What file servers, archives and desktops put beside pictures; a name that begins with a dot is hidden too.
HIDDEN = {"@eadir", "__macosx", "#recycle", "@recycle", "$recycle.bin", "system volume information", "lost+found"}
HIDDEN |= {"thumbs.db", "ehthumbs.db", "desktop.ini"}


@functools.cache
def readable() -> tuple[str, ...]:
    """Return Pillow's names of the formats that are read here: AVIF and HEIF where their libraries are installed."""
    names = [*BASE, *(["AVIF"] if features.check("avif") else [])]
    try:
        import pillow_heif
    except ImportError:
        return tuple(names)
    pillow_heif.register_heif_opener()
    return (*names, "HEIF")


def kind(head: bytes) -> str:
    """Return the format that a file of these first bytes (HEAD of them suffice) is of, or "" where it is no image."""
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
    """Return whether the ending of a name promises an image, so that an unreadable file counts as damaged."""
    return name.lower().endswith(EXTENSIONS)


def hidden(name: str) -> bool:
    """Return True for names that are skipped in silence: no person put such a file there as a picture."""
    return name.startswith(".") or name.lower() in HIDDEN


def is_image(path: Path) -> bool:
    """Return whether a file is an image by its first bytes, or else promises one by its name.

    Raises OSError if unreadable.
    """
    with path.open("rb") as file:
        return bool(kind(file.read(HEAD))) or promises(path.name)
