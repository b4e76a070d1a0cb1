"""Files of A and B are matched by name, number, or name without a common affix; pairs of any shapes overlay."""

import logging
import unicodedata

import numpy as np
import pytest
from folders import levels, opened, write
from PIL import Image

from ganjax.configs.translate import pix2pix
from ganjax.data import frames, halves, pairs
from ganjax.data.domains import is_side_by_side, left_half
from ganjax.errors import UserError

ATELIER = {"atelier": {"num_images": 2}}


def matched(a, b):
    pairing = pairs.match(a, b, ("A", "B"))
    return sorted((x, y) for x, i in pairing.a.items() for y, j in pairing.b.items() if i == j)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("1.png 2.png 10.png", "1.jpg 2.jpg 10.jpg"),
        ("1.png 2.png 10.png", "001.png 002.png 010.png"),
        ("IMG_1.JPG IMG_2.JPG IMG_10.JPG", "img_1.png img_2.png img_10.png"),
        ("1_A.png 2_A.png 10_A.png", "1_B.png 2_B.png 10_B.png"),
        ("A1.png A2.png A10.png", "B1.png B2.png B10.png"),
        ("photo-1-real.png photo-2-real.png photo-10-real.png", "sketch-001.png sketch-002.png sketch-010.png"),
        ("1.png 2.png 10.png", "1_mask.png 2_mask.png 10_mask.png"),
        ("x/1_A.png x/2_A.png y/1_A.png", "x/1_B.png x/2_B.png y/1_B.png"),
        ("scan.1.png scan.2.png scan.3.png", "scan.1.tif scan.2.tif scan.3.tif"),
        ("cat_A.png bat_A.png", "cat_B.png bat_B.png"),
        ("11.png 21.png", "11.png 21.png"),
        ("é_1.png", unicodedata.normalize("NFD", "é_1.png")),
    ],
)
def test_files_meet(a, b):
    a, b = a.split(), b.split()
    assert matched(a, b) == sorted(zip(a, b, strict=True))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("1.png 2.png", "3.png 4.png"),
        ("cat.png dog.png", "sun.png moon.png"),
        ("10.png 20.png", "1.png 2.png"),  # an equal last digit is no suffix
        ("a/1.png", "b/1.png"),
        ("IMG_1.png IMG_2.png IMG_3.png", "DSC_2.png DSC_3.png DSC_4.png"),  # equal by chance
    ],
)
def test_others_do_not_meet(a, b):
    assert matched(a.split(), b.split()) == []


def test_a_few_may_be_without_a_partner():
    a, b = ([f"{i}_{side}.png" for i in range(first, first + 20)] for side, first in (("A", 0), ("B", 1)))
    assert len(matched(a, b)) == 19


def test_names_are_preferred_to_numbers():
    assert matched(["1.png", "01.png"], ["1.png", "01.png"]) == [("01.png", "01.png"), ("1.png", "1.png")]


def test_doubles_are_refused_by_name(tmp_path):
    for names in (["a.png", "a.jpg"], [unicodedata.normalize(form, "é.png") for form in ("NFC", "NFD")]):
        with pytest.raises(UserError, match=r"A holds '.*' and '.*', which differ only in .*paired=no"):
            pairs.match(names, ["a.png"], ("A", "B"))
    write(tmp_path / "x", ["a.png", "a.bmp"])
    write(tmp_path / "y", ["a.png"])
    with pytest.raises(UserError, match=r"x holds 'a.bmp' and 'a.png'"):
        opened(pix2pix, a=str(tmp_path / "x"), b=str(tmp_path / "y"))


def test_suffixes_pair_two_folders_and_the_files_of_one(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    write(tmp_path / "x", [f"{i}_A.png" for i in range(3)])
    write(tmp_path / "y", [f"{i}_B.png" for i in range(3)], 100)
    for paired in ("yes", "auto"):
        both = opened(pix2pix, a=str(tmp_path / "x"), b=str(tmp_path / "y"), paired=paired)
        assert both.aligned and (levels(both.tables["a"]), levels(both.tables["b"])) == ([0, 1, 2], [100, 101, 102])
    assert "3 pairs with equal names without '_A' and '_B'" in caplog.text
    for side in "xy":
        for path in (tmp_path / side).iterdir():
            path.rename(tmp_path / path.name)
        (tmp_path / side).rmdir()
    both = opened(pix2pix, path=str(tmp_path), name="folder")
    assert both.aligned and (levels(both.tables["a"]), levels(both.tables["b"])) == ([0, 1, 2], [100, 101, 102])
    assert opened(path=str(tmp_path), name="folder", paired="no").tables["a"].names == ["0_A.png", "1_A.png", "2_A.png"]
    (tmp_path / "2_B.png").unlink()
    assert len(opened(pix2pix, path=str(tmp_path), name="folder").tables["a"].images) == 2
    assert "unmatched files of A are left out: 1 ('2_A.png')" in caplog.text
    with pytest.raises(UserError, match=r"2 names are in both, but '2_A' is in one;.* A: 1 \('2_A.png'\), in B: 0"):
        opened(pix2pix, path=str(tmp_path), name="folder", paired="auto")


def test_partly_unzeroed_numbers_ask_where_auto_could_guess(tmp_path):
    write(tmp_path / "x", ["1.png", "02.png", "7.png"])
    write(tmp_path / "y", ["1.png", "2.png", "8.png"])
    folders = {"a": str(tmp_path / "x"), "b": str(tmp_path / "y")}
    with pytest.raises(UserError, match=r"2 names are in both.* in A: 1 \('7.png'\), in B: 1 \('8.png'\)"):
        opened(pix2pix, **folders, paired="auto")
    assert opened(pix2pix, **folders).tables["a"].names == ["02.png", "1.png"]


def scene():
    """Return a 30x20 image with a red stripe, two thirds from the left."""
    picture = Image.new("RGB", (30, 20), "white")
    picture.paste("red", (18, 0, 22, 20))
    return picture


@pytest.fixture
def squeezed(tmp_path):
    for side, picture in (("x", scene()), ("y", scene().resize((20, 20)))):
        (tmp_path / side).mkdir()
        picture.save(tmp_path / side / "1.png")
        scene().resize((15, 10) if side == "y" else (30, 20)).save(tmp_path / side / "2.png")  # of equal shape
    return {"a": str(tmp_path / "x"), "b": str(tmp_path / "y"), "resolution": 16}


def test_pairs_of_two_shapes_are_asked_about_by_their_headers(squeezed):
    message = r"1 of 2 pairs differ in shape .*, such as 1.png \(30x20\) and 1.png \(20x20\): set --config"
    with pytest.raises(UserError, match=message):
        opened(pix2pix, **squeezed)
    with pytest.raises(UserError, match=message):
        opened(pix2pix, **squeezed, fit="pad")


def test_stretched_pairs_overlay(squeezed):
    both = opened(pix2pix, **squeezed, pairs_fit="stretch")
    for row in range(2):
        a, b = (side.images[row].astype(int) for side in (both.tables["a"], both.tables["b"]))
        assert np.abs(a - b).mean() < 12  # they differ only in sharpness: one was smaller
    off = opened(pix2pix, **squeezed, pairs_fit="crop")
    assert np.abs(off.tables["a"].images[0].astype(int) - off.tables["b"].images[0]).mean() > 25


def test_one_channel_everywhere(squeezed, tmp_path):
    settings = halved(tmp_path, [(64, 16)], 0.25)
    for layout in ({**squeezed, "pairs_fit": "stretch"}, {**settings, "split_at": 0.25, "pairs_fit": "crop"}, ATELIER):
        both = opened(pix2pix, **layout, channels=1)
        assert both.tables["a"].images.shape[3] == both.tables["b"].images.shape[3] == 1


def test_cropped_pairs_overlay_pixel_on_pixel(tmp_path):
    for side, picture in (("x", scene()), ("y", scene().crop((5, 5, 25, 15)))):
        (tmp_path / side).mkdir()
        picture.save(tmp_path / side / "1.png")
    folders = {"a": str(tmp_path / "x"), "b": str(tmp_path / "y"), "resolution": 8}
    one = opened(pix2pix, **folders, pairs_fit="crop")
    np.testing.assert_array_equal(one.tables["a"].images, one.tables["b"].images)


@pytest.mark.parametrize(
    ("a", "b", "alike"),
    [
        ((300, 200), (150, 100), True),
        ((301, 200), (150, 100), True),
        ((1000, 667), (300, 200), True),
        ((129, 64), (128, 64), True),
        ((300, 200), (200, 200), False),
        ((3000, 2000), (2900, 2000), False),
        ((200, 300), (300, 200), False),
    ],
)
def test_shapes_are_alike_but_for_rounding(a, b, alike):
    assert frames._same_aspect(a, b) is frames._same_aspect(b, a) is alike


def halved(tmp_path, sizes, split=0.5):
    """Write images whose left part has level 10 and whose right part has level 200."""
    for i, (width, height) in enumerate(sizes):
        picture = Image.new("RGB", (width, height), (200,) * 3)
        picture.paste((10,) * 3, (0, 0, int(width * split), height))
        picture.save(tmp_path / f"{i}.png")
    return {"path": str(tmp_path), "name": "folder"}


def test_side_by_side_of_any_shape_is_asked_and_can_be_cut(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    settings = halved(tmp_path, [(48, 16)] * 2)
    message = r"how does .* \(0 of 2 are\).*split_at=0.5.*Not twice as wide: 0.png \(48x16\), 1.png \(48x16\)"
    with pytest.raises(UserError, match=message):
        opened(pix2pix, **settings)
    for split_at in (0.5, 24.0):
        both = opened(pix2pix, **settings, split_at=split_at)
        assert both.aligned and both.side_by_side == 3
        assert (both.tables["a"].images == 10).all() and (both.tables["b"].images == 200).all()


def test_an_odd_width_is_named_and_its_last_column_dropped(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    settings = halved(tmp_path, [(32, 16), (33, 16)])
    with pytest.raises(UserError, match=r"\(1 of 2 are\).*Not twice as wide: 1.png \(33x16\)"):
        opened(pix2pix, **settings)
    both = opened(pix2pix, **settings, split_at=0.5)
    assert (both.tables["a"].images == 10).all() and (both.tables["b"].images == 200).all()
    assert "1 have an odd width and lose their last column" in caplog.text


def test_unequal_halves_are_pairs_of_two_shapes(tmp_path):
    settings = halved(tmp_path, [(64, 16)], 0.25)
    with pytest.raises(UserError, match="1 of 1 pairs differ in shape"):
        opened(pix2pix, **settings, split_at=0.25)
    both = opened(pix2pix, **settings, split_at=0.25, pairs_fit="stretch")
    assert (both.tables["a"].images == 10).all() and (both.tables["b"].images == 200).all()
    with pytest.raises(UserError, match="too narrow to hold two images: 64 pixels, cut at 64"):
        opened(pix2pix, **settings, split_at=64.0)


def test_a_runs_pictures_are_told_from_their_left_halves():
    config = pix2pix.get_config()
    assert not is_side_by_side(config, (100, 200))  # two folders
    config.data.side_by_side, config.data.split_at = 3.0, 0.5
    assert is_side_by_side(config, (128, 384)) and is_side_by_side(config, (127, 384))
    assert not is_side_by_side(config, (128, 192))
    picture = Image.new("RGB", (384, 128), "white")
    picture.paste("red", (0, 0, 192, 128))
    assert left_half(picture, config).getcolors() == [(192 * 128, (255, 0, 0))]
    assert [halves.cut(129, at) for at in (0.0, 0.5, 0.25, 100.0)] == [64, 64, 32, 100]
