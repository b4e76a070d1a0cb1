"""Two domains: every layout is recognised, or refused with a question; pairs stay pairs; orders are reproducible."""

import numpy as np
import pytest
from folders import levels, opened, write
from PIL import Image

from ganjax.configs.translate import pix2pix
from ganjax.data.loader import Loader
from ganjax.errors import UserError


def test_two_folders(tmp_path):
    write(tmp_path / "x", ["1.png", "2.png", "3.png"])
    write(tmp_path / "y", ["a.png", "b.png"], 100)
    both = opened(a=str(tmp_path / "x"), b=str(tmp_path / "y"), paired="no")
    assert (levels(both.tables["a"]), levels(both.tables["b"]), both.aligned) == ([0, 1, 2], [100, 101], False)
    assert not opened(a=str(tmp_path / "x"), b=str(tmp_path / "y"), paired="auto").aligned
    assert len(both.content) == 129 and both.target is both.tables["b"]


@pytest.mark.parametrize("names", [("trainA", "trainB"), ("A", "B")])
def test_a_folder_of_both(tmp_path, names):
    for i, name in enumerate(names):
        write(tmp_path / name, ["1.png"], 100 * i)
    both = opened(path=str(tmp_path), name="folder")
    assert (levels(both.tables["a"]), levels(both.tables["b"])) == ([0], [100])


def test_pairs_are_matched_by_name_whatever_the_ending_and_what_is_damaged_leaves_with_its_partner(tmp_path):
    write(tmp_path / "x", ["1.png", "2.png", "3.png"])
    write(tmp_path / "y", ["3.bmp", "2.bmp", "1.bmp"], 100)
    folders = {"a": str(tmp_path / "x"), "b": str(tmp_path / "y")}
    both = opened(pix2pix, **folders, paired="auto")
    assert both.aligned and (levels(both.tables["a"]), levels(both.tables["b"])) == ([0, 1, 2], [102, 101, 100])
    (tmp_path / "x" / "2.png").write_bytes(b"no picture")
    both = opened(pix2pix, **folders)
    assert (levels(both.tables["a"]), levels(both.tables["b"])) == ([0, 2], [102, 100])
    assert both.skipped[0][0] == "2.png"


def test_pairs_side_by_side(tmp_path):
    for i in range(2):
        picture = Image.new("RGB", (32, 16), (i, 0, 0))
        picture.paste((100 + i, 0, 0), (16, 0, 32, 16))
        picture.save(tmp_path / f"{i}.png")
    both = opened(pix2pix, path=str(tmp_path), name="folder")
    assert both.aligned and (levels(both.tables["a"]), levels(both.tables["b"])) == ([0, 1], [100, 101])
    write(tmp_path, ["square.png"])
    with pytest.raises(UserError, match=r"how does .* hold two domains\? .*data.a=DIR.*trainA.*\(2 of 3 are\)"):
        opened(pix2pix, path=str(tmp_path), name="folder")


def test_what_is_not_clear_is_asked(tmp_path):
    write(tmp_path / "x", ["1.png", "2.png"])
    write(tmp_path / "y", ["1.png", "9.png"])
    folders = {"a": str(tmp_path / "x"), "b": str(tmp_path / "y")}
    with pytest.raises(UserError, match=r"are .* pairs\? 1 names are in both, but '2' is in one;.*paired=no"):
        opened(pix2pix, **folders, paired="auto")
    assert len(opened(pix2pix, **folders, paired="yes").tables["a"].images) == 1
    with pytest.raises(UserError, match="config.data.b: there is no folder .*nowhere"):
        opened(a=str(tmp_path / "x"), b=str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="config.data.b is empty"):
        opened(a=str(tmp_path / "x"))
    write(tmp_path / "z", ["7.png"])
    with pytest.raises(UserError, match="0 names are in both"):
        opened(pix2pix, a=folders["a"], b=str(tmp_path / "z"))


@pytest.mark.slow
def test_the_ateliers_pairs_show_one_scene(tmp_path):
    both = opened(pix2pix)
    assert both.aligned and len(both.tables["a"].images) == len(both.tables["b"].images) == 64
    flat = [side.images.reshape(64, -1).astype(float) for side in (both.tables["a"], both.tables["b"])]
    match = np.corrcoef(*flat)[:64, 64:]
    assert np.diag(match).mean() > match.mean() + 0.3


def test_each_domain_has_an_order_of_its_own_and_pairs_have_one(tmp_path):
    both = opened(paired="no")
    loader = Loader(both, 8, seed=3)
    first, again = loader.index(5), Loader(both, 8, seed=3).index(5)
    assert (first["a"]["index"] == again["a"]["index"]).all() and (first["b"]["index"] == again["b"]["index"]).all()
    assert (first["a"]["index"] != first["b"]["index"]).any()
    paired = Loader(both._replace(aligned=True), 8, seed=3).index(5)
    assert (paired["a"]["index"] == paired["b"]["index"]).all()
    np.testing.assert_array_equal(loader.batch(5)["b"]["image"], both.tables["b"].images[first["b"]["index"]])
    halves = [Loader(both, 8, 3, process=i, processes=2).index(5)["b"]["index"] for i in range(2)]
    assert np.concatenate(halves).tolist() == first["b"]["index"].tolist()
