"""The meaning of the numbers in a file: profiles, alpha, ranges."""

import io
import struct
import zlib

import numpy as np
import profiles
import pytest
from PIL import Image

from ganjax.data import colour, images
from ganjax.errors import ImageError

BLOCKS = np.array(
    [[200, 40, 40], [40, 200, 40], [220, 200, 60], [128, 128, 128], [230, 180, 150], [90, 60, 30]], np.uint8
)
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def srgb_levels(linear: np.ndarray) -> np.ndarray:
    """Return the sRGB transfer function of IEC 61966-2-1, in levels of 255."""
    linear = np.clip(linear, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def test_a_wide_gamut_becomes_srgb_as_the_matrices_say():
    linear = (BLOCKS / 255.0) ** 2.2 @ profiles.matrix(profiles.P3).T @ np.linalg.inv(profiles.matrix(SRGB)).T
    image = Image.fromarray(BLOCKS.reshape(2, 3, 3))
    for kind in ("PNG", "TIFF"):
        read = np.asarray(images.read(encoded(image, kind, icc_profile=profiles.display())))
        np.testing.assert_allclose(read.reshape(-1, 3), srgb_levels(linear), atol=2)


def test_gray_levels_of_a_gray_profile_become_srgbs():
    levels = np.arange(40, 256, 5, dtype=np.uint8)[None]
    for values in (levels, levels.astype(np.uint16) * 257):
        read = images.read(encoded(Image.fromarray(values), "PNG", icc_profile=profiles.gray()), channels=1)
        np.testing.assert_allclose(np.asarray(read), srgb_levels(levels / 255), atol=2)


def test_a_press_profile_decides_what_ink_looks_like():
    inks = Image.frombytes("CMYK", (2, 1), bytes([255, 255, 255, 0, 0, 0, 0, 255]))
    read = np.asarray(images.read(encoded(inks, "TIFF", icc_profile=profiles.press())), int)[0]
    light = ((np.array([23, 16]) + 16) / 116) ** 3  # CIE L* to Y
    np.testing.assert_allclose(read, srgb_levels(light)[:, None].repeat(3, 1), atol=2)


def test_a_profile_of_srgb_leaves_every_level_alone():
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    data = encoded(Image.fromarray(pixels), "PNG", icc_profile=colour.srgb_profile())
    np.testing.assert_array_equal(images.read(data), pixels)


@pytest.mark.parametrize("profile", [b"no profile", profiles.gray(), profiles.display()[:200]])
def test_a_profile_that_cannot_be_used_is_said_and_costs_nothing(profile):
    image = Image.fromarray(BLOCKS.reshape(2, 3, 3))
    picture = images.load(encoded(image, "PNG", icc_profile=profile))
    np.testing.assert_array_equal(picture.colour, image)
    assert len(picture.notes) == 1 and picture.notes[0].startswith("its colour profile is not used: ")


def ramp(top: float, dtype=np.float32) -> np.ndarray:
    return np.tile(np.linspace(0, top, 256), (16, 1)).astype(dtype)


@pytest.mark.parametrize("top", [1, 255, 65535])
@pytest.mark.parametrize("outlier", [None, 1.3, np.nan, np.inf, -np.inf])
def test_a_single_outlier_changes_no_other_float(top, outlier):
    values = ramp(top)
    if outlier is not None:
        values[0, 0] = outlier * top
    read = np.asarray(images.read(encoded(Image.fromarray(values), "TIFF"), channels=1))
    np.testing.assert_allclose(read[1:], ramp(255, float)[1:], atol=1)
    assert read[0, 0] == {None: 0, 1.3: 255, np.inf: 255}.get(outlier, 0)


@pytest.mark.parametrize("top", [255, 65535, 2**31 - 1])
def test_32_bit_integers_keep_their_range(top):
    read = images.read(encoded(Image.fromarray(ramp(top, np.int32)), "TIFF"), channels=1)
    np.testing.assert_allclose(np.asarray(read), ramp(255, float), atol=1)


def test_what_no_picture_holds_is_refused_with_its_range():
    for values, message in (
        (ramp(2) - 1, "from -0.98"),
        (ramp(1e12), "to 9.9"),
        (np.full((4, 4), np.nan, np.float32), "finite"),
    ):
        with pytest.raises(ImageError, match=message):
            images.read(encoded(Image.fromarray(values), "TIFF"))


def test_white_may_be_zero():
    values = ramp(65535, np.uint16)
    read = images.read(encoded(Image.fromarray(values), "TIFF", tiffinfo={262: 0}), channels=1)
    expected = 255 - ramp(255, float)
    np.testing.assert_allclose(np.asarray(read), expected, atol=1)


@pytest.mark.parametrize(("alpha", "read"), [(0, None), (128, 128)])
def test_a_bitmap_whose_alpha_was_never_set_is_opaque(alpha, read):
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, 4, 4, 1, 32, 3, 64, 2835, 2835, 0, 0) + masks + b"sRGB" + bytes(48)
    pixels = bytes([30, 60, 90, alpha]) * 16
    data = struct.pack("<2sIHHI", b"BM", 14 + 108 + 64, 0, 0, 14 + 108) + header + pixels
    picture = images.load(data)
    assert picture.colour.getpixel((0, 0)) == (90, 60, 30)
    assert (picture.alpha and picture.alpha.getpixel((0, 0))) == read


def png_gray(bits: int, key: int, values: np.ndarray) -> bytes:
    """Return a gray PNG of `bits` bits with one transparent level, assembled by hand."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    rows = (values[..., None] >> np.arange(bits - 1, -1, -1) & 1).reshape(len(values), -1).astype(np.uint8)
    raw = b"".join(b"\0" + np.packbits(row).tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", values.shape[1], len(values), bits, 0, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"tRNS", struct.pack(">H", key))
            + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))  # fmt: skip


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_transparent_gray_counts_in_the_files_own_bits(bits):
    top = 2**bits - 1
    values = np.array([[0, top, 1, 0]])
    picture = images.load(png_gray(bits, 1, values))
    np.testing.assert_array_equal(np.asarray(picture.alpha)[0], np.where(values[0] == 1, 0, 255))
    np.testing.assert_allclose(np.asarray(picture.colour)[0, :2], [0, 255])


def test_a_transparent_colour_of_16_bits_counts_in_16_bits():
    raw = b"\0" + np.array([[0x0505, 0x0505, 0x0505], [0x0605, 0x0505, 0x0505]], ">u2").tobytes()

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header, key = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0), struct.pack(">3H", 0x0505, 0x0505, 0x0505)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"tRNS", key)
    data += chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    np.testing.assert_array_equal(images.load(data).alpha, [[0, 255]])


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
def test_a_gray_profile_counts_where_gray_comes_as_colours(kind):
    gray = Image.fromarray(np.full((4, 4, 3), 100, np.uint8))
    gray.putalpha(Image.new("L", (4, 4), 128))
    data = encoded(gray, kind, icc_profile=profiles.gray(), **({"lossless": True} if kind == "WEBP" else {}))
    picture = images.load(data)
    np.testing.assert_allclose(np.asarray(picture.colour), srgb_levels(np.float64(100 / 255)), atol=2)
    assert picture.colour.mode == "L" and not picture.notes


@pytest.mark.parametrize(
    ("values", "tags"),
    [
        (np.array([[0, 65535]], np.uint16), {262: 0}),
        (np.array([[0, 32767]], np.int32), {}),
        (np.array([[0.0, 1.0]], np.float32), {}),
    ],
)
def test_an_image_of_pillow_is_read_as_its_file_is(values, tags, tmp_path):
    Image.fromarray(values).save(tmp_path / "a.tif", tiffinfo=tags)
    expected = images.load(tmp_path / "a.tif")
    with Image.open(tmp_path / "a.tif") as image:
        picture = images.from_pil(image)
    np.testing.assert_array_equal(picture.colour, expected.colour)
    assert picture.notes == expected.notes


def test_that_white_was_inferred_is_said():
    notes = [images.load(encoded(Image.fromarray(ramp(top)), "TIFF")).notes for top in (1, 255, 65535)]
    text = "the file does not declare its white level: {} is assumed"
    assert notes == [(), (text.format("255"),), (text.format("65,535"),)]


def test_signed_bytes_are_no_unsigned_ones():
    tags = {256: 3, 257: 1, 258: 8, 259: 1, 262: 1, 277: 1, 278: 1, 339: 2, 273: 134, 279: 3}
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in sorted(tags.items()))
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4)
    data += np.array([0, 127, 64], np.int8).tobytes()
    np.testing.assert_array_equal(images.load(data).colour, [[0, 255, 129]])


def test_a_transparent_colour_is_the_only_transparent_one():
    pixels = np.array([[[1, 2, 3], [1, 2, 4], [0, 2, 3]]], np.uint8)
    alpha = images.load(encoded(Image.fromarray(pixels), "PNG", transparency=(1, 2, 3))).alpha
    np.testing.assert_array_equal(alpha, [[0, 255, 255]])


def test_colours_go_on_under_transparency():
    pixels, alpha = np.zeros((8, 12, 3), np.uint8), np.zeros((8, 12), np.uint8)
    pixels[:, :3], pixels[:, 9:], alpha[:, 2], alpha[:, 9] = (200, 10, 10), (10, 10, 200), 1, 255
    filled = np.asarray(colour.extended(Image.fromarray(pixels), Image.fromarray(alpha)))
    np.testing.assert_array_equal(filled[:, :6], np.broadcast_to([200, 10, 10], (8, 6, 3)))
    np.testing.assert_array_equal(filled[:, 6:], np.broadcast_to([10, 10, 200], (8, 6, 3)))


def test_large_pictures_are_filled_from_a_coarser_grid(monkeypatch):
    monkeypatch.setattr(colour, "MAX_SEARCH", 100)
    pixels, alpha = np.zeros((40, 40, 3), np.uint8), np.zeros((40, 40), np.uint8)
    pixels[:20], alpha[:20] = 77, 255
    filled = np.asarray(colour.extended(Image.fromarray(pixels), Image.fromarray(alpha)))
    assert (filled == 77).all()
