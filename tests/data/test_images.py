import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from ganjax.data import images


@pytest.fixture
def picture() -> Image.Image:
    y, x = np.mgrid[:40, :60]
    return Image.fromarray(np.stack([x * 4, y * 6, (x + y) * 2], -1).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_return_the_same_pixels(picture, kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    np.testing.assert_array_equal(images.read(encoded(picture, kind, **options)), picture)


def test_exif_rotation_is_applied(picture):
    exif = Image.Exif()
    exif[274] = 6  # the camera was rotated: rotate by 270 degrees to make the image upright
    read = images.read(encoded(picture, "PNG", exif=exif))
    np.testing.assert_array_equal(read, picture.transpose(Image.Transpose.ROTATE_270))


def test_alpha_is_composited_on_white(picture):
    picture.putalpha(Image.new("L", picture.size, 64))
    colour = np.asarray(picture.convert("RGB"), float)
    expected = colour * 64 / 255 + 255 * (1 - 64 / 255)
    np.testing.assert_allclose(images.read(encoded(picture, "PNG")), expected, atol=1)


def test_a_transparent_palette_is_composited_too():
    image = Image.new("P", (4, 4), 0)
    image.putpalette([200, 0, 0, 0, 0, 200])
    read = images.read(encoded(image, "PNG", transparency=0))
    np.testing.assert_array_equal(read, np.full((4, 4, 3), 255))


def test_16_bit_gray_keeps_its_full_range():
    values = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    read = np.asarray(images.read(encoded(Image.fromarray(values), "PNG"), channels=1))
    np.testing.assert_array_equal(read, np.arange(256).reshape(16, 16))
    assert images.read(encoded(Image.fromarray(values), "PNG")).mode == "RGB"


def test_float_gray_in_0_to_1_is_scaled():
    values = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    read = np.asarray(images.read(encoded(Image.fromarray(values), "TIFF"), channels=1))
    np.testing.assert_array_equal(read, np.arange(256).reshape(16, 16))


def test_cmyk_becomes_rgb_and_gray_on_request(picture):
    cmyk = encoded(picture.convert("CMYK"), "JPEG", quality=100, subsampling=0)
    assert np.abs(np.asarray(images.read(cmyk), float) - np.asarray(picture)).mean() < 3
    np.testing.assert_array_equal(images.read(encoded(picture, "PNG"), channels=1), picture.convert("L"))


def test_an_animation_gives_its_first_frame(picture):
    first = picture.quantize(64)
    data = encoded(first, "GIF", save_all=True, append_images=[ImageOps.invert(picture).quantize(64)])
    np.testing.assert_array_equal(images.read(data), first.convert("RGB"))


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"hello", "not an image"), (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image")],
)
def test_what_is_no_image_is_refused_with_the_reason(data, reason):
    with pytest.raises(images.ImageError, match=reason):
        images.read(data)


def test_empty_and_truncated_and_huge_files_are_refused(picture, tmp_path):
    (tmp_path / "empty.png").touch()
    with pytest.raises(images.ImageError, match="empty file"):
        images.read(tmp_path / "empty.png")
    data = encoded(picture, "JPEG")
    with pytest.raises(images.ImageError, match="(?i)truncated"):
        images.read(data[: len(data) // 2])
    with pytest.raises(images.ImageError, match="60x40 is over data.max_pixels = 100"):
        images.read(encoded(picture, "PNG"), max_pixels=100)


def test_a_png_that_claims_a_huge_size_is_refused_before_it_is_decoded():
    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 2**17, 2**17, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    with pytest.raises(images.ImageError, match="max_pixels"):
        images.read(bomb)


def test_crop_takes_the_centre_of_the_long_side():
    strip = np.zeros((10, 30, 3), np.uint8)
    strip[:, 10:20] = 255
    np.testing.assert_array_equal(images.fit(Image.fromarray(strip), 10, 10), np.full((10, 10, 3), 255))


def test_pad_keeps_everything_on_white():
    padded = images.fit(Image.new("RGB", (30, 10)), 30, 30, "pad")
    assert padded.shape == (30, 30, 3)
    np.testing.assert_array_equal(padded[:10], 255)
    np.testing.assert_array_equal(padded[10:20], 0)


def test_every_size_fits():
    for side in range(1, 1001):  # at 225 px, for example, 28 * (225 / 28) exceeds 225
        assert images.fit(Image.new("L", (side, side + 3)), 28, 28).shape == (28, 28, 1)


def test_a_line_of_pixels_becomes_a_square_without_a_huge_detour():
    assert images.fit(Image.new("RGB", (1, 4000)), 64, 64).shape == (64, 64, 3)


@pytest.mark.parametrize(("value", "byte"), [(-1.0, 0), (1.0, 255), (0.0, 128), (-2.0, 0), (3.0, 255), (0.5, 191)])
def test_to_uint8(value, byte):
    assert images.to_uint8(np.full((1, 1, 1, 3), value))[0, 0, 0, 0] == byte  # round(127.5 (x + 1)), ties to even


def test_old_forms_of_exif_behind_the_pixels_turn_the_header_too(picture):
    exif = Image.Exif()
    exif[274] = 6
    block = exif.tobytes()
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n{len(block)}\n{block.hex()}\n", zip=True)
    data = encoded(picture, "PNG", pnginfo=text)
    start, end = data.index(b"zTXt") - 4, data.index(b"IDAT") - 4
    late = data[:start] + data[end:-12] + data[start:end] + data[-12:]
    for form in (data, late):
        assert images.size(form) == images.read(form).size[::-1] == (60, 40)
