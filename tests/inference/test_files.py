"""Translation of files with a model that inverts images: names, formats, alpha, metadata, folders."""

import io
import itertools
import os

import inverting
import jax
import numpy as np
import profiles
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from ganjax.data import images, metadata, writer
from ganjax.errors import UserError
from ganjax.inference import files, tiles

ORIENTATIONS = range(1, 9)
LOSSLESS = ("PNG", "TIFF", "WEBP", "BMP")
MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "TIFF": ("1", "L", "P", "RGB", "RGBA", "CMYK", "I;16", "F", "LAB"),
    "WEBP": ("RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB"),
    "JPEG": ("L", "RGB", "CMYK"),
    "AVIF": ("RGB", "RGBA"),
}
PROFILES = {"L": profiles.gray(1.8), "RGB": profiles.display(), "CMYK": profiles.press()}
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" dc:rights="Museum" tiff:Orientation="%d"/>'
    b"</rdf:RDF></x:xmpmeta>"
)


@pytest.fixture(scope="module")
def model():
    return inverting.model()


def scene(mode: str) -> Image.Image:
    """Return a small smooth picture of a mode, with a soft edge if the mode has alpha."""
    y, x = np.mgrid[:16, :24]
    colours = np.stack([60 + 5 * x, 80 + 6 * y, 160 - 3 * x + 2 * y], -1).astype(np.uint8)
    alpha = np.clip(20 * (y - 3), 0, 255).astype(np.uint8)
    if mode in ("RGBA", "LA"):
        image = Image.fromarray(np.dstack([colours, alpha]))
        return image if mode == "RGBA" else Image.merge("LA", (image.convert("L"), image.getchannel("A")))
    if mode == "I;16":
        return Image.fromarray(colours[..., 0].astype(np.uint16) * 257)
    if mode == "F":
        return Image.fromarray(colours[..., 0] / np.float32(255))
    image = Image.fromarray(colours)
    if mode == "P":
        return image.quantize(32)
    if mode == "LAB":
        to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
        return to_lab.apply(image)
    return image.convert(mode)


def lying(image: Image.Image, orientation: int) -> Image.Image:
    """Return the image as a camera stores it with this EXIF orientation."""
    back = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90",
            7: "TRANSVERSE", 8: "ROTATE_270"}  # fmt: skip
    return image.transpose(Image.Transpose[back[orientation]]) if orientation > 1 else image


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Invert `lying`."""
    return lying(image, {6: 8, 8: 6}.get(orientation, orientation))


def truth(image: Image.Image, profile: bytes | None) -> np.ndarray:
    """Return the upright image in sRGB as RGBA, computed by ImageCms and NumPy only."""
    alpha = image.getchannel("A") if image.mode in ("RGBA", "LA") else Image.new("L", image.size, 255)
    if image.mode in ("I;16", "F"):
        image = Image.fromarray(
            np.round(np.asarray(image) / (257 if image.mode == "I;16" else 1 / 255)).astype(np.uint8)
        )
    if image.mode == "LAB":
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    elif image.mode in ("1", "L", "LA"):
        image = image.convert("L")
    elif image.mode != "CMYK":
        image = image.convert("RGB")
    if profile:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        image = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), 1, "RGB")
    return np.dstack([np.asarray(image.convert("RGB")), np.asarray(alpha)])


def save(image: Image.Image, path, kind: str, orientation: int, profile: bytes | None) -> None:
    options = {"icc_profile": profile} if profile else {}
    options |= {"lossless": True, "exact": True} if kind == "WEBP" else {}
    options |= {"quality": 100, "subsampling": 0} if kind == "JPEG" and image.mode != "L" else {}
    options |= {"quality": 100, "subsampling": "4:4:4"} if kind == "AVIF" else {}
    exif = Image.Exif()
    exif[274], exif[315] = orientation, "Monet"
    options |= {"tiffinfo": exif} if kind == "TIFF" else {"exif": exif} if kind != "BMP" else {}
    image.save(path, kind, **options)


@pytest.mark.parametrize("kind", MODES)
def test_strength_zero_gives_the_upright_image_back_in_srgb(kind, model, tmp_path):
    """Every mode in every orientation, with and without a profile; equal, except for the loss of lossy formats."""
    expected = {}
    for mode, orientation, profiled in itertools.product(MODES[kind], ORIENTATIONS, (False, True)):
        profile = PROFILES.get({"1": "", "LA": "L", "I;16": "L", "RGBA": "RGB", "P": "RGB"}.get(mode, mode))
        if (kind == "BMP" and (profiled or orientation > 1)) or (profiled and not profile):
            continue
        image = scene(mode)
        name = f"{mode.replace(';', '')}-{orientation}-{profiled}.{kind.lower()}"
        save(lying(image, orientation), tmp_path / name, kind, orientation, profile if profiled else None)
        if kind not in LOSSLESS:
            with Image.open(tmp_path / name) as stored:
                image = upright(stored.copy(), orientation)
        expected[name] = truth(image, profile if profiled else None)
    done = files.translate(model, str(tmp_path), str(tmp_path / "out"), strength=0.0)
    assert set(done.written) == set(expected) and not done.failed
    for name, pixels in expected.items():
        with Image.open(tmp_path / "out" / name) as made:
            assert made.format == kind and made.getexif().get(274, 1) == 1, name
            if kind != "BMP":
                assert made.getexif().get(315) == "Monet", name
            made = np.asarray(made.convert("RGBA"), int)
        tolerance = 1 if "I16" in name else 0 if kind in LOSSLESS else 4
        assert made.shape == pixels.shape, name
        assert np.abs(made - pixels).max() <= tolerance, name


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("by", ["exif", "xmp"])
def test_the_header_gives_the_readers_size(kind, by, tmp_path):
    for orientation in ORIENTATIONS:
        exif, options = Image.Exif(), {}
        if by == "exif":
            exif[274] = orientation
            options = {"tiffinfo": exif} if kind == "TIFF" else {"exif": exif}
        elif kind == "PNG":
            options = {"pnginfo": PngImagePlugin.PngInfo()}
            options["pnginfo"].add_itxt("XML:com.adobe.xmp", (XMP % orientation).decode())
        else:
            options = {"tiffinfo": {700: XMP % orientation}} if kind == "TIFF" else {"xmp": XMP % orientation}
        path = tmp_path / f"{orientation}.{kind.lower()}"
        lying(scene("RGB"), orientation).save(path, kind, **options)
        assert images.size(path) == images.load(path).colour.size[::-1] == (16, 24), orientation


def test_what_a_png_says_behind_its_pixels_counts(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    lying(scene("RGB"), 6).save(tmp_path / "a.png", exif=exif)
    data = (tmp_path / "a.png").read_bytes()
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    moved = data[:start] + data[end:-12] + data[start:end] + data[-12:]
    (tmp_path / "a.png").write_bytes(moved)
    assert images.size(tmp_path / "a.png") == (16, 24)
    np.testing.assert_array_equal(images.read(tmp_path / "a.png"), scene("RGB"))


def test_a_png_header_is_no_reason_to_decode_it(monkeypatch, tmp_path):
    scene("RGB").save(tmp_path / "a.png")
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda self: pytest.fail("it was decoded"))
    assert images.size(tmp_path / "a.png") == (16, 24)


def test_metadata_stays_and_says_how_the_image_was_made(model, tmp_path):
    exif, text = Image.Exif(), PngImagePlugin.PngInfo()
    exif[274], exif[315], exif[270] = 6, "Müller".encode(), "of a boat"
    exif.get_ifd(0x8769).update({0x9003: "2024:01:01 10:00:00", 0xA002: 24, 0xA003: 16})
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 24.0)})
    text.add_text("Description", "inventory 42")
    text.add_itxt("Title", "浮世絵")
    picture, packet = lying(scene("RGB"), 6), XMP % 6
    picture.save(tmp_path / "a.jpg", dpi=(300, 300), exif=exif, xmp=packet, comment=b"inventory 42")
    picture.save(tmp_path / "b.png", dpi=(300, 300), exif=exif, pnginfo=text)
    picture.save(tmp_path / "c.tif", dpi=(300, 300), tiffinfo={274: 6, 315: "Monet", 270: "of a boat", 700: packet})
    picture.save(tmp_path / "d.webp", exif=exif, xmp=packet)
    files.translate(model, str(tmp_path), str(tmp_path / "out"), record={"seed": 0, "step": 7})
    made = {path.name: Image.open(path) for path in (tmp_path / "out").iterdir()}
    for name, image in made.items():
        tags = image.getexif()
        assert image.size == (24, 16) and tags.get(274, 1) == 1, name
        assert tags[270] == "of a boat", name
        if name != "c.tif":
            assert tags[315] == "Müller".encode().decode("latin-1"), name
            assert tags.get_ifd(0x8769)[0x9003] == "2024:01:01 10:00:00", name
            assert [tags.get_ifd(0x8769)[tag] for tag in (0xA002, 0xA003)] == [24, 16], name
            assert tags.get_ifd(0x8825)[1] == "N", name
        if name != "d.webp":
            np.testing.assert_allclose([float(x) for x in image.info["dpi"]], 300, atol=0.1, err_msg=name)
        if name != "b.png":
            xmp = metadata.xmp_bytes(image.info)
            assert b'dc:rights="Museum"' in xmp and b'Orientation="6"' not in xmp, name
        assert metadata.record_of(image.info) == {"seed": 0, "step": 7}, name
    assert made["a.jpg"].info["comment"] == b"inventory 42"
    assert made["b.png"].text["Description"] == "inventory 42" and made["b.png"].text["Title"] == "浮世絵"
    files.translate(model, str(tmp_path / "out"), str(tmp_path / "again"), record={"seed": 1})
    for path in (tmp_path / "again").iterdir():
        with Image.open(path) as image:
            assert metadata.record_of(image.info) == {"seed": 1}, path.name
            assert metadata.xmp_bytes(image.info).count(b"urn:ganjax") <= 1, path.name


@pytest.mark.parametrize(
    "odd",
    [b"not a TIFF header", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x04abc\0\0\0\0\0"],
)
def test_odd_exif_costs_neither_the_image_nor_its_neighbours(odd, model, tmp_path):
    for name in "abc":
        scene("RGB").save(tmp_path / f"{name}.jpg", exif=b"Exif\0\0" + odd if name == "b" else b"")
    done = files.translate(model, str(tmp_path), str(tmp_path / "out"), strength=0.0)
    assert done.written == ["a.jpg", "b.jpg", "c.jpg"] and not done.failed
    assert images.read(tmp_path / "b.jpg").size == (24, 16)  # as training reads it


def test_metadata_that_a_format_cannot_hold_is_left_out(model, tmp_path):
    exif = Image.Exif()
    exif[315] = "Monet"
    exif.get_ifd(0x8769)[0x927C] = bytes(100_000)  # a maker's note: WebP holds it, JPEG cannot
    scene("RGB").save(tmp_path / "a.webp", exif=exif, xmp=(XMP % 1)[:-20] + b" " * 90_000 + (XMP % 1)[-20:])
    (tmp_path / "a.webp").rename(tmp_path / "a.jpg")
    files.translate(model, str(tmp_path), str(tmp_path / "out"))
    with Image.open(tmp_path / "out" / "a.jpg") as made:
        assert made.format == "JPEG" and made.getexif()[315] == "Monet"


def test_soft_edges_are_painted_once(model, tmp_path):
    """The net's input has the disc's colour at its edge and beyond; the output has the file's alpha."""
    y, x = np.mgrid[:48, :48]
    alpha = np.clip((20 - np.hypot(x - 24, y - 24)) / 6, 0, 1) * 255
    pixels = np.zeros((48, 48, 4), np.uint8)
    pixels[..., :3] = np.where(alpha[..., None] > 0, (160, 20, 20), 0)
    pixels[..., 3] = alpha
    made = np.asarray(model(Image.fromarray(pixels)))
    np.testing.assert_array_equal(made[..., 3], pixels[..., 3])
    np.testing.assert_array_equal(made[..., :3], np.broadcast_to([95, 235, 235], (48, 48, 3)))
    np.testing.assert_array_equal(model(Image.fromarray(pixels), strength=0.0), pixels)


def test_an_image_in_python_is_read_as_a_file_is(model):
    image = lying(scene("RGB"), 6)
    image.getexif()[274] = 6
    image.info["exif"] = image.getexif().tobytes()
    np.testing.assert_array_equal(model(image, strength=0.0), scene("RGB"))
    wide = scene("RGB")
    wide.info["icc_profile"] = PROFILES["RGB"]
    np.testing.assert_array_equal(model(wide, strength=0.0), truth(scene("RGB"), PROFILES["RGB"])[..., :3])


def test_a_folder_as_people_have_it(model, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    data = io.BytesIO()
    scene("RGB").save(data, "JPEG")
    for name in ("a.jfif", "b.jpe", "no ending", "c.png", "new\nline.jpg", "-dash.jpg", "x" * 251 + ".jpg", "v1.2"):
        (source / name).write_bytes(data.getvalue())
    with open(os.fsencode(source) + b"/M\xfcller.jpg", "wb") as file:
        file.write(data.getvalue())
    scene("P").save(source / "d.gif")
    scene("P").save(source / "d.png")
    (source / "note.txt").write_text("a caption")
    (source / "half.jpg").write_bytes(data.getvalue()[:300])
    (source / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    done = files.translate(model, str(source), str(tmp_path / "out"))
    made = {path.name: Image.open(path).format for path in (tmp_path / "out").iterdir()}
    expected = dict.fromkeys(("a.jfif", "b.jpe", "no ending", "new\nline.jpg", "-dash.jpg", "v1.2"), "JPEG")
    expected |= {"x" * 251 + ".jpg": "JPEG", os.fsdecode(b"M\xfcller.jpg"): "JPEG", "c.png": "PNG"}
    assert made == {**expected, "d.png": "PNG", "d.gif.png": "PNG"}
    assert [name for name, _ in done.failed] == ["half.jpg"]
    with pytest.raises(UserError, match=r"11 images in OUT; 1 file failed: half.jpg: damaged: "):
        files.report(done, "OUT")


def test_a_second_run_makes_what_is_missing(model, tmp_path):
    for name in "ab":
        scene("RGB").save(tmp_path / f"{name}.png")
    out = tmp_path / "out"
    assert files.translate(model, str(tmp_path), str(out)).written == ["a.png", "b.png"]
    before = (out / "a.png").read_bytes()
    (out / "b.png").unlink()
    done = files.translate(model, str(tmp_path), str(out), strength=0.0)
    assert (done.written, done.skipped) == (["b.png"], ["a.png"])
    assert (out / "a.png").read_bytes() == before
    assert files.report(done, "OUT") == "1 image in OUT; 1 existing image skipped (--overwrite replaces them)"
    assert files.translate(model, str(tmp_path), str(out), overwrite=True, strength=0.0).written == ["a.png", "b.png"]
    assert (out / "a.png").read_bytes() != before


def test_what_other_settings_made_is_said(model, tmp_path):
    for name in "ab":
        scene("RGB").save(tmp_path / f"{name}.png")
    files.translate(model, str(tmp_path), str(tmp_path / "out"), record={"strength": 1.0})
    done = files.translate(model, str(tmp_path), str(tmp_path / "out"), record={"strength": 0.5}, strength=0.5)
    assert done.stale == done.skipped == ["a.png", "b.png"]
    assert "2 existing images skipped, 2 of them from another run, step or setting" in files.report(done, "OUT")


def test_of_a_picture_that_holds_both_sides_one_can_be_taken(model, tmp_path, caplog):
    side = scene("RGBA")
    both = Image.new("RGBA", (2 * side.width, side.height))
    both.paste(side, (0, 0))
    both.save(tmp_path / "ab.png")
    model.config.data.side_by_side = both.width / both.height
    try:
        files.translate(model, str(tmp_path / "ab.png"), str(tmp_path / "whole"))
        assert "ab.png has the aspect ratio of A and B side by side: --left_half translates A only" in caplog.text
        files.translate(model, str(tmp_path / "ab.png"), str(tmp_path / "half"), halved=True, strength=0.0)
        np.testing.assert_array_equal(Image.open(tmp_path / "half" / "ab.png"), side)
    finally:
        model.config.data.side_by_side = 0.0


def test_where_one_image_goes(model, tmp_path):
    scene("RGB").save(tmp_path / "a.png")
    one = str(tmp_path / "a.png")
    for out, target in (("b.png", "b.png"), ("new", "new/a.png"), ("c.jpg", "c.jpg")):
        files.translate(model, one, str(tmp_path / out))
        assert (tmp_path / target).is_file()
    for out, message in (("b.png", "b.png exists already: set --overwrite"), (".", "is the input file"),
                         ("a.png", "is the input file"), ("b.png/x.png", "cannot be written")):  # fmt: skip
        with pytest.raises(UserError, match=message):
            files.translate(model, one, str(tmp_path / out))
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file without an image's ending: give a folder"):
        files.translate(model, one, str(tmp_path / "file"))


def test_results_inside_the_input_are_no_input(model, tmp_path):
    scene("RGB").save(tmp_path / "a.png")
    for _ in range(2):
        files.translate(model, str(tmp_path), str(tmp_path / "out"), overwrite=True)
    assert not (tmp_path / "out" / "out").exists()
    with pytest.raises(UserError, match="is the folder --input"):
        files.translate(model, str(tmp_path), f"{tmp_path}/.")


def test_results_may_go_beside_the_input_folder(model, tmp_path):
    (tmp_path / "in").mkdir()
    scene("RGB").save(tmp_path / "in" / "a.png")
    assert files.translate(model, str(tmp_path / "in"), str(tmp_path)).written == ["a.png"]
    assert (tmp_path / "a.png").exists()


def test_what_nobody_foresaw_costs_one_file_of_a_folder(tmp_path):
    def model(picture, **_):
        return picture.colour if picture.colour.width > 3 else [][0]

    model.config = inverting.model().config
    for name, width in (("a.png", 3), ("b.png", 4)):
        Image.new("RGB", (width, 3)).save(tmp_path / name)
    done = files.translate(model, str(tmp_path), str(tmp_path / "out"))
    assert done.written == ["b.png"] and "please report it: IndexError" in done.failed[0][1]
    with pytest.raises(IndexError):
        files.translate(model, str(tmp_path / "a.png"), str(tmp_path / "alone"))


def test_nothing_to_translate_is_said(model, tmp_path):
    for missing in ("b.png", "none"):
        with pytest.raises(UserError, match="no file or folder"):
            files.translate(model, str(tmp_path / missing), str(tmp_path / "out"))
    with pytest.raises(UserError, match="holds no image"):
        files.translate(model, str(tmp_path), str(tmp_path / "out"))


def test_limits_are_the_runs_and_can_be_set(model, tmp_path):
    scene("RGB").save(tmp_path / "a.png")
    model.config.data.max_pixels = 100
    try:
        done = files.translate(model, str(tmp_path), str(tmp_path / "out"))
        assert done.failed == [("a.png", "24x16 is over data.max_pixels = 100; --max_pixels=N sets another limit")]
        assert files.translate(model, str(tmp_path), str(tmp_path / "out"), max_pixels=1000).written == ["a.png"]
    finally:
        model.config.data.max_pixels = images.MAX_PIXELS


@pytest.mark.parametrize("broken", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_breaks_off_leaves_whole_files_alone(model, tmp_path, monkeypatch, broken):
    for name in "abc":
        scene("RGB").save(tmp_path / f"{name}.png")
    save, count = Image.Image.save, []

    def saves(image, path, **options):
        save(image, path, **options)
        count.append(path)
        if len(count) == 2:
            raise broken

    monkeypatch.setattr(Image.Image, "save", saves)
    expected = UserError if isinstance(broken, OSError) else type(broken)
    with pytest.raises(expected, match="b.png cannot be written: No space" if expected is UserError else None):
        files.translate(model, str(tmp_path), str(tmp_path / "out"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]
    monkeypatch.undo()
    assert files.translate(model, str(tmp_path), str(tmp_path / "out")).written == ["b.png", "c.png"]


def test_a_gray_model_gives_gray(tmp_path):
    for mode in ("L", "LA", "RGB", "RGBA"):
        scene(mode).save(tmp_path / f"{mode}.png")
    files.translate(inverting.model(1), str(tmp_path), str(tmp_path / "out"), strength=0.0)
    modes = {path.stem: Image.open(path).mode for path in (tmp_path / "out").iterdir()}
    assert modes == {"L": "L", "LA": "LA", "RGB": "L", "RGBA": "LA"}
    np.testing.assert_array_equal(Image.open(tmp_path / "out" / "LA.png"), scene("LA"))


@pytest.mark.parametrize(("name", "size"), [("a.webp", (17_000, 1)), ("a.jpg", (1, 66_000)), ("a.avif", (1, 66_000))])
def test_a_picture_that_its_format_cannot_hold_costs_no_other(name, size, tmp_path):
    exif = Image.Exif()
    exif[315] = "Monet"
    Image.new("RGB", size).save(tmp_path / name, "PNG", exif=exif)
    scene("RGB").save(tmp_path / "b.png")
    done = files.translate(lightweight(), str(tmp_path), str(tmp_path / "out"))
    assert done.written == ["b.png"]
    ((failed, reason),) = done.failed
    assert failed == name and reason.startswith("it cannot be written as ")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.png"]


def lightweight():
    """Return a model that returns every picture unchanged, without computing anything."""

    def model(picture, **_):
        return tiles._picture(picture, 3, 0.0, lambda pixels: pixels)

    model.config = inverting.model().config
    return model


@pytest.mark.parametrize("error", [MemoryError(), jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 9 GB")])
def test_want_of_memory_costs_one_image(error, tmp_path):
    def model(picture, **_):
        if picture.colour.width == 3:
            raise error
        return picture.colour

    model.config = inverting.model().config
    for name, width in (("a.png", 3), ("b.png", 4)):
        Image.new("RGB", (width, 3)).save(tmp_path / name)
    done = files.translate(model, str(tmp_path), str(tmp_path / "out"))
    assert done.written == ["b.png"] and "not enough memory" in done.failed[0][1]


def test_an_image_may_be_named_as_a_video(model, tmp_path):
    scene("RGB").save(tmp_path / "a.mp4", "JPEG")
    scene("RGB").save(tmp_path / "b.png")
    assert files.translate(model, str(tmp_path), str(tmp_path / "out")).written == ["a.mp4", "b.png"]


@pytest.mark.parametrize(
    ("names", "targets"),
    [
        (["a.gif", "a.png"], ["a.gif.png", "a.png"]),
        (["a.gif", "a.gif.png", "a.png"], ["a-2.png", "a.gif.png", "a.png"]),
        (["a.PNG", "a.gif"], ["a.PNG", "a.gif.png"]),
        (["A.gif", "a.gif"], ["A.png", "a.gif.png"]),
        (["deep/a.heic", "a.heic"], ["deep/a.png", "a.png"]),
    ],
)
def test_every_file_has_a_target_of_its_own(names, targets):
    assert writer.targets(names) == targets
    (long,) = writer.targets(["x" * 251 + ".gif"])
    assert len(long) < 150 and long.endswith(".png")


@pytest.mark.parametrize("out", ["a.gif", "a.heic", "a.mp4"])
def test_an_output_that_cannot_be_written_becomes_no_folder(model, out, tmp_path):
    scene("RGB").save(tmp_path / "b.png")
    with pytest.raises(UserError, match=f"--out=.*{out} cannot be written: give a folder, or end in .jpg, .png"):
        files.translate(model, str(tmp_path / "b.png"), str(tmp_path / out))
    assert not (tmp_path / out).exists()


def test_what_must_be_unpacked_or_given_itself_is_said(model, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK")
    with pytest.raises(UserError, match="is an archive: unpack it"):
        files.translate(model, str(tmp_path / "a.zip"), str(tmp_path / "out"))
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").write_bytes(b"0" * 64)
    with pytest.raises(UserError, match="give each of its 1 video as --input"):
        files.translate(model, str(tmp_path / "clips"), str(tmp_path / "out"))
