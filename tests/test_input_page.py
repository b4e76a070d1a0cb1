"""Each row of docs/input.md is true."""

import io
import os
import re
import struct
import sys
import tarfile
import unicodedata
import zipfile
import zlib
from pathlib import Path

import inverting
import numpy as np
import profiles
import pytest
from PIL import Image, PngImagePlugin

from ganjax.data import cache, colour, folder, formats, images, metadata, windows
from ganjax.errors import ImageError
from ganjax.inference import files

PAGE = (Path(__file__).parent.parent / "docs" / "input.md").read_text()
ROWS = re.findall(r"^\| (.*?) \|", PAGE, re.MULTILINE)
HEADS = re.findall(r"^\| (.*?) \|.*\n\|---", PAGE, re.MULTILINE)
CHECKS = {}
COLOURS = np.stack(np.meshgrid(np.arange(40, 200, 10), np.arange(60, 220, 20), indexing="ij"), -1)
COLOURS = np.concatenate([COLOURS, 255 - COLOURS[..., :1]], -1).astype(np.uint8)  # (16, 8, 3)


def row(text: str):
    """Register the check of the row that begins so."""

    def register(check):
        assert CHECKS.setdefault(text, check) is check, text
        return check

    return register


def picture(mode: str = "RGB") -> Image.Image:
    return Image.fromarray(COLOURS).convert(mode)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def painted(folder: Path, files_: dict[str, bytes], **options) -> dict[str, Image.Image]:
    """Translate files of these bytes by strength 0; return the results, loaded, by their names."""
    source = folder / "in"
    source.mkdir()
    for name, data in files_.items():
        (source / name).write_bytes(data)
    files.translate(inverting.model(), str(source), str(folder / "out"), strength=0.0, **options)
    results = {}
    for path in (folder / "out").iterdir():
        with Image.open(path) as image:
            image.load()
            results[path.name] = image
    return results


def levels(image: Image.Image, mode: str = "RGB") -> np.ndarray:
    return np.asarray(image.convert(mode), int)


def close(image: Image.Image, expected, tolerance: int) -> None:
    np.testing.assert_allclose(levels(image), np.broadcast_to(expected, COLOURS.shape), atol=tolerance)


@pytest.mark.parametrize("text", [row for row in ROWS if row not in HEADS])
def test_row(text, tmp_path):
    assert text in CHECKS, "this row has no check"
    CHECKS[text](tmp_path)


def test_every_check_has_its_row():
    assert set(CHECKS) == set(ROWS) - set(HEADS)


def kept(kind: str, ending: str, written: str, tolerance: int = 0, **options):
    """Return the check that a format is read, and written as another under a name of the same stem."""

    def check(tmp_path):
        data = encoded(picture(), kind, **options)
        assert images.load(data).format == kind
        (result,) = painted(tmp_path, {f"a{ending}": data}).values()
        assert result.format == written
        close(result, levels(images.load(data).colour), tolerance)

    return check


row("WebP")(kept("WEBP", ".webp", "WEBP", lossless=True))
row("TIFF")(kept("TIFF", ".tif", "TIFF", compression="tiff_lzw"))
row("BMP")(kept("BMP", ".bmp", "BMP"))
row("GIF")(kept("GIF", ".gif", "PNG"))
row("AVIF")(kept("AVIF", ".avif", "AVIF", 4, quality=90))


@row("JPEG")
def _(tmp_path):
    kept("JPEG", ".jpeg", "JPEG", 4, quality=90)(tmp_path)
    stereo = encoded(picture(), "MPO", save_all=True, append_images=[picture("L").convert("RGB")])
    close(images.read(stereo), COLOURS, 20)


@row("PNG")
def _(tmp_path):
    kept("PNG", ".png", "PNG")(tmp_path)


@row("HEIC")
def _(tmp_path, monkeypatch=None):
    heif = pytest.importorskip("pillow_heif")
    formats.readable()
    data = encoded(picture(), "HEIF", quality=-1, chroma=444)
    (result,) = painted(tmp_path, {"a.heic": data}).values()
    assert result.format == "PNG"
    close(result, COLOURS, 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, heif.__name__, None)
        formats.readable.cache_clear()
        with pytest.raises(ImageError, match=r"HEIC needs pillow-heif: pip install 'ganjax\[heif\]'"):
            images.read(data)
    formats.readable.cache_clear()


@row("another ending, or none")
def _(tmp_path):
    data = encoded(picture(), "TIFF")
    results = painted(tmp_path, {"scan": data, "scan.v2": data})
    assert {name: image.format for name, image in results.items()} == {"scan": "TIFF", "scan.v2": "TIFF"}


@row("a wrong ending")
def _(tmp_path):
    (result,) = painted(tmp_path, {"a.png": encoded(picture(), "BMP")}).values()
    assert result.format == "PNG"
    close(result, COLOURS, 0)


@row("no image")
def _(tmp_path):
    results = painted(tmp_path, {"a.png": encoded(picture(), "PNG"), "a.txt": b"a caption", "b.jpg": b"<html>"})
    assert list(results) == ["a.png"]
    found = dataset(tmp_path / "in")
    assert found.names == ["a.png"] and [name for name, _ in found.skipped] == ["b.jpg"]


@row("gray of 1, 2, 4 or 8 bits")
def _(tmp_path):
    for bits in (1, 2, 4, 8):
        top = 2**bits - 1
        data = gray_png(bits, np.array([[0, top]]))
        assert images.load(data).colour.mode == "L"
        np.testing.assert_array_equal(images.load(data).colour, [[0, 255]])


@row("palette")
def _(tmp_path):
    few = picture().quantize(16)
    np.testing.assert_array_equal(images.read(encoded(few, "PNG")), few.convert("RGB"))


@row("gray of 16 bits")
def _(tmp_path):
    for kind in ("PNG", "TIFF"):
        data = encoded(Image.fromarray(np.array([[0, 32896, 65535]], np.uint16)), kind)
        np.testing.assert_array_equal(images.load(data).colour, [[0, 128, 255]])


@row("gray of 12 bits (TIFF)")
def _(tmp_path):
    packed = bytes([0x00, 0x0F, 0xFF])  # two pixels, 0 and 4,095
    data = tiff({256: 2, 257: 1, 258: 12, 259: 1, 262: 1, 277: 1, 278: 1}, packed)
    np.testing.assert_array_equal(images.load(data).colour, [[0, 255]])


@row("colours of 16 bits")
def _(tmp_path):
    raw = b"\0" + np.array([0x12FF, 0x34FF, 0x56FF], ">u2").tobytes()
    np.testing.assert_allclose(images.read(png(1, 1, 16, 2, raw)), [[[0x12, 0x34, 0x56]]], atol=1)


@row("32 bits and floats")
def _(tmp_path):
    values = np.tile(np.linspace(0, 1, 256, dtype=np.float32), (4, 1))
    for scale, dtype in (
        (1, np.float32),
        (255, np.float32),
        (65535, np.float32),
        (65535, np.int32),
        (2**31 - 1, np.int32),
    ):
        read = np.asarray(
            images.load(encoded(Image.fromarray((values * np.float64(scale)).astype(dtype)), "TIFF")).colour
        )
        np.testing.assert_allclose(read, values * 255, atol=1)
    values[0, 200] = np.nan
    assert np.asarray(images.load(encoded(Image.fromarray(values), "TIFF")).colour)[0, 200] == 0


@row("values that are mostly negative or beyond all of these")
def _(tmp_path):
    for values in (np.linspace(-1, 1, 64), np.linspace(0, 1e13, 64)):
        with pytest.raises(ImageError, match="most of its values lie from"):
            images.read(encoded(Image.fromarray(values[None].astype(np.float32)), "TIFF"))


@row("white is zero (TIFF)")
def _(tmp_path):
    for dtype, top in ((np.uint8, 255), (np.uint16, 65535)):
        raw = np.array([[0, top]], dtype).tobytes()
        data = tiff({256: 2, 257: 1, 258: 8 * np.dtype(dtype).itemsize, 259: 1, 262: 0, 277: 1, 278: 1}, raw)
        np.testing.assert_array_equal(images.load(data).colour, [[255, 0]])


@row("CMYK")
def _(tmp_path):
    close(images.read(encoded(picture("CMYK"), "TIFF")), levels(picture("CMYK")), 1)


@row("YCbCr and Lab (TIFF)")
def _(tmp_path):
    close(images.read(encoded(picture("YCbCr"), "TIFF", compression="jpeg", quality=100)), COLOURS, 12)
    lab = Image.frombytes("LAB", (1, 1), bytes([255, 0, 0]))  # L* = 100: white
    np.testing.assert_allclose(images.read(encoded(lab, "TIFF")), 255, atol=1)


def profiled(profile: bytes | None, mode: str = "RGB", kind: str = "TIFF"):
    """Return (the picture as it is read, the profile that `translate` would write)."""
    loaded = images.load(encoded(picture(mode), kind, **({"icc_profile": profile} if profile else {})))
    return loaded, metadata.options("PNG", loaded.colour.mode, (8, 16), loaded.info).get("icc_profile")


@row("none")
def _(tmp_path):
    loaded, written = profiled(None)
    close(loaded.colour, COLOURS, 0)
    assert written is None and not loaded.notes


@row("of a display or a camera")
def _(tmp_path):
    loaded, written = profiled(profiles.display())
    assert np.abs(levels(loaded.colour) - COLOURS).max() > 10 and written == colour.srgb_profile()


@row("of a press")
def _(tmp_path):
    loaded, written = profiled(profiles.press(), "CMYK")
    assert loaded.colour.mode == "RGB" and written == colour.srgb_profile()
    assert np.abs(levels(loaded.colour) - levels(picture("CMYK"))).max() > 10


@row("of gray")
def _(tmp_path):
    loaded, written = profiled(profiles.gray(1.0), "L")
    assert loaded.colour.mode == "L" and written is None
    expected = 255 * (1.055 * (levels(picture("L"), "L") / 255) ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(np.asarray(loaded.colour), expected, atol=2)


@row("of sRGB")
def _(tmp_path):
    loaded, written = profiled(colour.srgb_profile())
    close(loaded.colour, COLOURS, 0)
    assert written == colour.srgb_profile()


@row("damaged, or of another mode")
def _(tmp_path):
    for profile in (b"junk", profiles.gray()):
        loaded, _ = profiled(profile)
        close(loaded.colour, COLOURS, 0)
        assert "profile is not used" in loaded.notes[0]


def veiled(alpha: np.ndarray) -> Image.Image:
    return Image.fromarray(np.dstack([COLOURS, alpha.astype(np.uint8)]))


@row("soft edges")
def _(tmp_path):
    alpha = np.tile(np.linspace(10, 255, 8), (16, 1)).round()
    data = encoded(veiled(alpha), "PNG")
    share = alpha[..., None] / 255
    close(images.read(data), COLOURS * share + 255 * (1 - share), 1)
    np.testing.assert_array_equal(inverting.model()(veiled(alpha)), np.dstack([255 - COLOURS, alpha]).astype(np.uint8))


@row("fully transparent pixels")
def _(tmp_path):
    alpha = np.where(np.arange(8) < 4, 255, 0) * np.ones((16, 1))
    np.testing.assert_array_equal(np.asarray(images.read(encoded(veiled(alpha), "PNG")))[:, 4:], 255)
    made = np.asarray(inverting.model()(veiled(alpha)))
    np.testing.assert_array_equal(made[:, 4:, :3], np.repeat(255 - COLOURS[:, 3:4], 4, 1))


@row("one transparent colour, or palette entries")
def _(tmp_path):
    one = tuple(int(value) for value in COLOURS[0, 0])
    for image, key in ((picture(), one), (picture().quantize(64), 0)):
        data = encoded(image, "PNG", transparency=key)
        alpha = np.asarray(images.load(data).alpha)
        np.testing.assert_array_equal(np.asarray(images.read(data))[alpha == 0], 255)
        assert 0 < (alpha == 0).sum() < alpha.size
        assert inverting.model()(Image.open(io.BytesIO(data))).mode == "RGBA"


@row("a BMP's fourth byte, 0 everywhere")
def _(tmp_path):
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, 2, 2, 1, 32, 3, 16, 2835, 2835, 0, 0) + masks + b"sRGB" + bytes(48)
    data = struct.pack("<2sIHHI", b"BM", 138, 0, 0, 122) + header + bytes([30, 60, 90, 0]) * 4
    np.testing.assert_array_equal(images.read(data), np.broadcast_to([90, 60, 30], (2, 2, 3)))
    assert images.load(data).alpha is None


def turned(orientation: int, kind: str = "JPEG", **options) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    return encoded(picture(), kind, **({"tiffinfo": exif} if kind == "TIFF" else {"exif": exif}), **options)


XMP = b'<x:xmpmeta><rdf:RDF><rdf:Description tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'


@row("EXIF, XMP or a TIFF tag, 1 to 8")
def _(tmp_path):
    data = {"a.webp": turned(6, "WEBP", lossless=True), "b.tif": turned(6, "TIFF"),
            "c.webp": encoded(picture(), "WEBP", lossless=True, xmp=XMP)}  # fmt: skip
    for name, result in painted(tmp_path, data).items():
        assert result.getexif().get(274, 1) == 1 and b'n="6"' not in metadata.xmp_bytes(result.info), name
        np.testing.assert_array_equal(levels(result), np.rot90(COLOURS, -1), err_msg=name)


@row("chunks behind a PNG's pixels")
def _(tmp_path):
    data = turned(6, "PNG")
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    late = data[:start] + data[end:-12] + data[start:end] + data[-12:]
    np.testing.assert_array_equal(images.read(late), np.rot90(COLOURS, -1))


@row("EXIF and XMP that differ")
def _(tmp_path):
    np.testing.assert_array_equal(images.read(turned(3, "WEBP", lossless=True, xmp=XMP)), COLOURS[::-1, ::-1])


@row("damaged EXIF, or no number from 1 to 8")
def _(tmp_path):
    for exif in (b"junk", b"II*\0\xff\xff\xff\xff"):
        close(images.read(encoded(picture(), "WEBP", lossless=True, exif=b"Exif\0\0" + exif)), COLOURS, 0)
    close(images.read(turned(9, "WEBP", lossless=True)), COLOURS, 0)


@row("animated GIF, WebP, PNG")
def _(tmp_path):
    second = Image.fromarray(255 - COLOURS)
    for kind, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {})):
        loaded = images.load(encoded(picture(), kind, save_all=True, append_images=[second], **options))
        close(loaded.colour, COLOURS, 0 if kind != "GIF" else 40)
        assert loaded.notes == ("only the first of its frames or pages is used",)


@row("TIFF of several pages")
def _(tmp_path):
    loaded = images.load(encoded(picture(), "TIFF", save_all=True, append_images=[Image.fromarray(255 - COLOURS)]))
    close(loaded.colour, COLOURS, 0)
    assert loaded.notes == ("only the first of its frames or pages is used",)


def described(kind: str, folder: Path, record=None, **options) -> Image.Image:
    ending = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "AVIF": "avif", "TIFF": "tif", "BMP": "bmp"}[kind]
    (folder / kind).mkdir()
    (result,) = painted(folder / kind, {f"a.{ending}": encoded(picture(), kind, **options)}, record=record).values()
    return result


@row("EXIF's descriptions (artist, title, copyright, camera, times, exposure), GPS")
def _(tmp_path):
    exif = Image.Exif()
    exif[315], exif[33432], exif[271], exif[306] = "Monet", "none", "camera", "2024:01:01 10:00:00"
    exif.get_ifd(0x8769)[0x829A] = 0.5
    exif.get_ifd(0x8825)[1] = "N"
    exif[0x8769] = exif[0x8825] = 0  # where they lie, which Pillow's TIFF writer asks for
    for kind in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF"):
        found = described(kind, tmp_path, exif=exif).getexif()
        assert [found[tag] for tag in (315, 33432, 271, 306)] == ["Monet", "none", "camera", "2024:01:01 10:00:00"], (
            kind
        )
        assert found.get_ifd(0x8769)[0x829A] == 0.5 and found.get_ifd(0x8825)[1] == "N", kind


@row("dots per inch")
def _(tmp_path):
    for kind in ("JPEG", "PNG", "TIFF", "BMP"):
        np.testing.assert_allclose(
            np.array(described(kind, tmp_path, dpi=(300, 150)).info["dpi"], float), [300, 150], atol=0.1
        )


@row("XMP")
def _(tmp_path):
    packet = XMP.replace(b"tiff:Orientation", b"dc:rights").replace(b"6", b"Museum")
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", packet.decode())
    for kind in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF"):
        options = {"TIFF": {"tiffinfo": {700: packet}}, "PNG": {"pnginfo": text}}.get(kind, {"xmp": packet})
        assert b'dc:rights="Museum"' in metadata.xmp_bytes(described(kind, tmp_path, **options).info), kind


@row("text of a PNG, comment of a JPEG")
def _(tmp_path):
    text = PngImagePlugin.PngInfo()
    text.add_text("Source", "inventory 42")
    assert described("PNG", tmp_path, pnginfo=text).text["Source"] == "inventory 42"
    assert described("JPEG", tmp_path, comment=b"inventory 42").info["comment"] == b"inventory 42"


@row("thumbnails, sizes, compression, colour space")
def _(tmp_path):
    exif = Image.Exif()
    exif[274], exif[256], exif[259] = 6, 999, 6
    exif.get_ifd(0x8769).update({0xA001: 65535, 0xA002: 999, 0xA003: 999})
    found = described("WEBP", tmp_path, exif=exif).getexif()
    assert not {256, 259} & set(found)
    assert [found.get_ifd(0x8769)[tag] for tag in (0xA001, 0xA002, 0xA003)] == [1, 16, 8]


@row("a tag that cannot be written")
def _(tmp_path):
    entries = struct.pack("<HHIHH", 0x011A, 2, 4, 0x3237, 0) + struct.pack("<HHI4s", 0x013B, 2, 4, b"Me\0\0")
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 2) + entries + bytes(4)  # a resolution in letters
    found = described("JPEG", tmp_path, exif=exif).getexif()
    assert found[315].rstrip("\0") == "Me" and not isinstance(found.get(282), str)


@row("how the image was made, a JSON object under the key `ganjax`")
def _(tmp_path):
    for kind in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF"):
        assert metadata.record_of(described(kind, tmp_path, {"seed": 1}).info) == {"seed": 1}, kind


def dataset(path: Path, **options):
    """Decode a folder as training does, at 8 x 8."""
    return cache.load(folder.Folder(str(path), **options), 8, 8, 3)


@row("not UTF-8")
def _(tmp_path):
    with open(os.fsencode(tmp_path) + b"/M\xfcller.png", "wb") as file:
        file.write(encoded(picture(), "PNG"))
    assert dataset(tmp_path).names == [r"M\xfcller.png"]
    files.translate(inverting.model(), str(tmp_path), str(tmp_path / "out"))
    assert os.listdir(os.fsencode(tmp_path / "out")) == [b"M\xfcller.png"]


@row("up to 255 bytes")
def _(tmp_path):
    name = "x" * 251 + ".png"
    assert list(painted(tmp_path, {name: encoded(picture(), "PNG")})) == [name]
    assert dataset(tmp_path / "in").names == [name]


@row("the same in NFC and in NFD")
def _(tmp_path):
    for form in ("NFC", "NFD"):
        place = tmp_path / unicodedata.normalize(form, "Müller")
        place.mkdir()
        picture().save(place / "a.png")
    found = dataset(tmp_path, labels=True)
    assert found.classes == ("Müller",) and found.labels.tolist() == [0, 0]


@row("`.name`, `@eaDir`, `__MACOSX`, `Thumbs.db`, `desktop.ini`, ...")
def _(tmp_path):
    for name in (".hidden.png", "@eaDir/a.png", "__MACOSX/a.png", "Thumbs.db", "desktop.ini", "a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        picture().save(tmp_path / name, "PNG")
    assert dataset(tmp_path).names == ["a.png"]
    assert files.translate(inverting.model(), str(tmp_path), str(tmp_path / "out")).written == ["a.png"]


@row("a link to a folder, to itself or to nowhere")
def _(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "other").mkdir()
    picture().save(tmp_path / "other" / "a.png")
    for name, target in (("loop", "."), ("nowhere.png", "missing"), ("self", "self"), ("linked", "../other")):
        (tmp_path / "in" / name).symlink_to(target)
    assert dataset(tmp_path / "in").names == ["linked/a.png"]


@row("a folder without a usable image")
def _(tmp_path):
    for name in ("monet", "captions", "damaged", "empty"):
        (tmp_path / name).mkdir()
    picture().save(tmp_path / "monet" / "a.png")
    (tmp_path / "captions" / "a.txt").write_text("a boat")
    (tmp_path / "damaged" / "a.png").write_bytes(b"no")
    assert dataset(tmp_path, labels=True).classes == ("monet",)


@row("`a.gif` beside `a.png`")
def _(tmp_path):
    data = {"a.gif": encoded(picture(), "GIF"), "a.png": encoded(picture(), "PNG")}
    assert sorted(painted(tmp_path, data)) == ["a.gif.png", "a.png"]


@row("a `.zip` or `.tar`, or a folder in one")
def _(tmp_path):
    with zipfile.ZipFile(tmp_path / "art.zip", "w") as archive:
        archive.writestr("set/monet/a.png", encoded(picture(), "PNG"))
        archive.writestr("set/manet/b.png", encoded(picture(), "PNG"))
    with tarfile.open(tmp_path / "art.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "art.zip", "nested.zip")
        data = encoded(picture(), "PNG")
        entry = tarfile.TarInfo("a.png")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    found = dataset(tmp_path / "art.zip", labels=True)
    assert found.classes == ("manet", "monet") and len(found.images) == 2
    assert len(dataset(tmp_path / "art.zip" / "monet").images) == 1
    assert dataset(tmp_path / "art.tar.gz").names == ["a.png"]


@row("`data.max_pixels`, 200 million")
def _(tmp_path):
    assert images.MAX_PIXELS == 200_000_000
    with pytest.raises(ImageError, match="8x16 is over data.max_pixels = 127"):
        images.read(encoded(picture(), "PNG"), max_pixels=127)
    assert painted(tmp_path, {"a.png": encoded(picture(), "PNG")}, max_pixels=127) == {}


@row("8 bytes for each of max_pixels")
def _(tmp_path):
    data = png(13_000, 13_000, 8, 6, b"")
    with pytest.raises(ImageError, match="13000x13000 would take 1.7 GB to decode"):
        images.read(data)


@row("processor time, 3 s and 40 ns a pixel")
def _(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "SECONDS", (-1.0, 0.0))
        with pytest.raises(ImageError, match="to decode, more than its size explains"):
            images.read(encoded(picture(), "PNG"))


@row("empty, cut or foreign files")
def _(tmp_path):
    data = encoded(picture(), "PNG")
    for part, reason in ((b"", "empty file"), (data[: len(data) // 2], "damaged: "), (b"hello", "not an image")):
        with pytest.raises(ImageError, match=reason):
            images.read(part)


@row("a line of pixels")
def _(tmp_path):
    Image.new("RGB", (1, 100_000)).save(tmp_path / "a.png")
    assert images.fit(images.read(tmp_path / "a.png"), 32, 32, "pad").shape == (32, 32, 3)
    cut = windows.Windows(folder.Folder(str(tmp_path)), 64, 64, 1024)
    with pytest.raises(ImageError, match="1x100000 is too thin for windows of 64x64"):
        cut.read(0)


def png(width: int, height: int, bits: int, kind: int, raw: bytes) -> bytes:
    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def gray_png(bits: int, values: np.ndarray) -> bytes:
    rows = (values[..., None] >> np.arange(bits - 1, -1, -1) & 1).reshape(len(values), -1).astype(np.uint8)
    return png(values.shape[1], len(values), bits, 0, b"".join(b"\0" + np.packbits(line).tobytes() for line in rows))


def tiff(tags: dict[int, int], raw: bytes) -> bytes:
    """A little-endian TIFF of one strip."""
    tags = {**tags, 273: 8 + 2 + 12 * (len(tags) + 2) + 4, 279: len(raw)}
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in sorted(tags.items()))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + raw
