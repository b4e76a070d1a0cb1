"""Metadata of image files: carried from the file that is read to the file that is written.

Bad metadata never fails an image: each tag is tried by itself, and tags that cannot be written are dropped. Metadata
of the stored pixels (orientation, size, compression, thumbnails, colour profile) is written anew.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape, unescape

from PIL import Image, PngImagePlugin

from ganjax.data import colour, formats

EXIF_IFD, GPS_IFD, INTEROP = 0x8769, 0x8825, 0xA005
MAKER_NOTE, COLOUR_SPACE, PIXELS_X, PIXELS_Y = 0x927C, 0xA001, 0xA002, 0xA003
# Tags of the first IFD that describe the picture, not its storage.
DESCRIPTIVE = {269, 270, 271, 272, 282, 283, 285, 296, 305, 306, 315, 316, 18246, 18249, 33432, 33723}
DESCRIPTIVE |= set(range(40091, 40096))  # Windows' title, comment, author, keywords, subject
SEGMENT = 65_000  # a JPEG's limit on the bytes of EXIF, and of XMP
KEY = "ganjax"  # text key of the record, a JSON object that says how the image was made
XMP_KEY = "XML:com.adobe.xmp"  # text key of a PNG's XMP
XMP_ORIENTATION = re.compile(rb'(tiff:Orientation(?:\s*=\s*["\']|>)\s*)([1-8])')
RECORD_START = b'<rdf:Description rdf:about="" xmlns:ganjax="urn:ganjax"><ganjax:ganjax>'
RECORD_END = b"</ganjax:ganjax></rdf:Description>"
PACKET = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b"</rdf:RDF></x:xmpmeta>"
)


def exif_bytes(info: Mapping) -> bytes:
    """Return the EXIF block in the `info` of a PIL image, b"" if there is none."""
    exif = info.get("exif")
    if isinstance(exif, bytes):
        return exif
    try:  # ImageMagick's hexadecimal form, in a PNG's text
        return bytes.fromhex("".join(info["Raw profile type exif"].split("\n")[3:]))
    except (KeyError, ValueError, AttributeError):
        return b""


def xmp_bytes(info: Mapping) -> bytes:
    """Return the XMP packet in the `info` of a PIL image, b"" if there is none."""
    xmp = info.get("xmp") or info.get(XMP_KEY) or b""
    if isinstance(xmp, tuple):  # from a TIFF
        xmp = b"".join(part for part in xmp if isinstance(part, bytes))
    return xmp.encode("utf-8", "surrogateescape") if isinstance(xmp, str) else bytes(xmp)


def of_tiff(image: Image.Image) -> dict:
    """Return a loaded TIFF's metadata for `clean_exif`: {"tags": ..., "directories": {EXIF or GPS IFD: its tags}}."""
    groups = (EXIF_IFD, GPS_IFD)
    directories = {group: _try(lambda group=group: dict(image.getexif().get_ifd(group))) for group in groups}
    return {"tags": dict(image.tag_v2), "directories": directories}


def options(kind: str, mode: str, size: tuple[int, int], info: Mapping, record: dict | None = None) -> dict:
    """Return the arguments of Pillow's `save` that write the metadata `info` into a file of format `kind`.

    mode, size: of the image to be written. info: `Picture.info`. record: how the image was made, a JSON object; it is
    written under the key "ganjax" into a PNG's text, or into the XMP of JPEG, TIFF, WebP and AVIF. BMP cannot hold it.
    """
    arguments = {}
    if info.get("icc_profile") and mode in ("RGB", "RGBA"):
        arguments["icc_profile"] = colour.srgb_profile()  # the pixels are sRGB now; the profile tells viewers
    exif = clean_exif(info, size)
    if kind in ("JPEG", "PNG", "TIFF", "BMP"):
        arguments["dpi"] = resolution(info)
    xmp = upright_xmp(info.get("xmp") or b"")
    if kind == "PNG":
        arguments["pnginfo"] = _png_text(info, xmp, record)
    elif kind != "BMP":
        xmp = _fitting(kind, [with_record(xmp, record), xmp])
        if xmp and kind == "TIFF":
            exif[700] = xmp
        elif xmp:
            arguments["xmp"] = xmp
    if kind == "JPEG" and isinstance(info.get("comment"), bytes):
        arguments["comment"] = info["comment"]
    if kind in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF") and len(exif):
        arguments["exif"] = exif if kind == "TIFF" else _fitting(kind, [exif.tobytes(), _without_note(exif)])
    return {name: value for name, value in arguments.items() if value}


def _fitting(kind: str, candidates: list[bytes]) -> bytes:
    """Return the first candidate that fits into the format, or b""."""
    return next((data for data in candidates if kind != "JPEG" or len(data) <= SEGMENT), b"")


def resolution(info: Mapping) -> tuple[float, float] | None:
    """Return (horizontal, vertical) dots per inch, or None if they are missing or make no sense."""
    try:
        x, y = (float(value) for value in info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if 1 < x <= 60_000 and 1 < y <= 60_000 else None  # Pillow reports 1 for a TIFF without them


def clean_exif(info: Mapping, size: tuple[int, int]) -> Image.Exif:
    """Return the writable EXIF tags that describe the picture, from a file's EXIF block or a TIFF's tags."""
    source, clean = Image.Exif(), Image.Exif()
    _try(lambda: source.load(info.get("exif") or b""))
    first = {**info.get("tags", {}), **{tag: _try(lambda tag=tag: source[tag]) for tag in list(source)}}
    for tag, value in first.items():
        if tag in DESCRIPTIVE and _writable(tag, value):
            clean[tag] = _encode_text(value)
    for group in (EXIF_IFD, GPS_IFD):
        inner = _try(lambda group=group: source.get_ifd(group)) or info.get("directories", {}).get(group) or {}
        tags = {
            tag: _encode_text(value) for tag, value in inner.items() if tag != INTEROP and _writable(tag, value, group)
        }
        if group == EXIF_IFD:
            new = {COLOUR_SPACE: 1, PIXELS_X: size[0], PIXELS_Y: size[1]}  # 1: sRGB
            tags |= {tag: value for tag, value in new.items() if tag in tags}
        if tags:
            clean.get_ifd(group).update(tags)
            clean[group] = 0  # Pillow sets the offset when it writes the block
    try:
        clean.tobytes()
    except Exception:  # any, see `_try`: tags that can be written one by one, but not together
        return Image.Exif()
    return clean


def _try(action):
    """Return the action's result, or None if it raises: Pillow raises exceptions of any type on damaged EXIF."""
    try:
        return action()
    except Exception:
        return None


def _writable(tag: int, value, group: int | None = None) -> bool:
    trial = Image.Exif()
    if group:
        trial.get_ifd(group)[tag] = _encode_text(value)
    else:
        trial[tag] = _encode_text(value)
    return value is not None and _try(trial.tobytes) is not None


def _encode_text(value):
    """Return non-ASCII text as its Latin-1 bytes (Pillow reads Latin-1 but would write "?"), other values unchanged."""
    return value.encode("latin-1", "replace") if isinstance(value, str) and not value.isascii() else value


def _without_note(exif: Image.Exif) -> bytes:
    """Return the EXIF block without the maker note, which can be large."""
    exif.get_ifd(EXIF_IFD).pop(MAKER_NOTE, None)
    return exif.tobytes()


def upright_xmp(xmp: bytes) -> bytes:
    """Return the XMP packet without thumbnails, and with an orientation, if any, of 1 (upright)."""
    before, start, rest = xmp.partition(b"<xmp:Thumbnails>")
    if start:
        xmp = before + rest.partition(b"</xmp:Thumbnails>")[2]
    return XMP_ORIENTATION.sub(rb"\g<1>1", xmp)


def with_record(xmp: bytes, record: dict | None) -> bytes:
    """Return the XMP packet without an earlier record, and with `record` unless it is None or </rdf:RDF> is missing."""
    before, start, rest = xmp.partition(RECORD_START)
    if start:
        xmp = before + rest.partition(RECORD_END)[2]
    if record is None or (xmp and b"</rdf:RDF>" not in xmp):
        return xmp
    before, end, after = (xmp or PACKET).rpartition(b"</rdf:RDF>")
    return before + RECORD_START + escape(json.dumps(record)).encode() + RECORD_END + end + after


def _png_text(info: Mapping, xmp: bytes, record: dict | None) -> PngImagePlugin.PngInfo:
    chunks = PngImagePlugin.PngInfo()
    text = dict(info.get("text") or {})
    if isinstance(info.get("comment"), bytes):  # from a GIF
        text.setdefault("Comment", _decode(info["comment"]))
    for key, value in text.items():
        if key not in (XMP_KEY, KEY) and not key.startswith("Raw profile type"):
            _try(lambda key=key, value=value: chunks.add_text(key, value))
    if xmp:
        chunks.add_itxt(XMP_KEY, xmp.decode("utf-8", "replace"))
    if record is not None:
        chunks.add_itxt(KEY, json.dumps(record))
    return chunks


def _decode(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


def record_in(file: Path) -> dict | None:
    """Return the record that `options` put into an image file, or None if it holds none or is no image."""
    try:
        with Image.open(file, formats=formats.readable()) as image:
            return record_of(image.info)
    except Exception:  # Pillow raises exceptions of any type on damaged files
        return None


def record_of(info: Mapping) -> dict | None:
    """Return the record that `options` put into a file, from its image's `info`; None if it is missing or cut short."""
    text = info.get(KEY)
    if text is None:
        text = unescape(xmp_bytes(info).partition(RECORD_START)[2].partition(RECORD_END)[0].decode("utf-8", "replace"))
    try:
        record = json.loads(text or "null")
    except (ValueError, TypeError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
