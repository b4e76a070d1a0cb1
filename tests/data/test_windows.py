"""Windows of a large image: every pixel is in some window, and each window is a piece of the image."""

import numpy as np
import pytest
from PIL import Image

from ganjax import task
from ganjax.config.check import check
from ganjax.configs.generate import dcgan
from ganjax.configs.restore import restore
from ganjax.configs.translate import sincut
from ganjax.data import cache
from ganjax.data.folder import Folder
from ganjax.data.windows import SCALES, Windows
from ganjax.errors import UserError


@pytest.fixture
def picture(tmp_path):
    """Return the path of an image whose red channel is the column and whose green channel is the row."""
    y, x = np.mgrid[:100, :160]
    Image.fromarray(np.stack([x, y, 0 * x], -1).astype(np.uint8)).save(tmp_path / "art.png")
    return tmp_path / "art.png"


def test_the_windows_of_full_size_are_pieces_and_cover_the_picture(picture):
    windows = Windows(Folder(str(picture)), 32, 48, 1000)
    whole, coverage = np.asarray(Image.open(picture)), np.zeros((100, 160), int)
    full = [i for i, place in enumerate(windows.places) if place[1] == 1.0]
    for i in full:
        _, _, top, left = windows.places[i]
        image, label = windows.read(i)
        np.testing.assert_array_equal(image, whole[top : top + 32, left : left + 48])
        assert label == -1
        coverage[top : top + 32, left : left + 48] += 1
    assert coverage.min() >= 1 and coverage[50, 80] >= 2  # windows overlap by half
    assert len({windows.name(i) for i in range(len(windows))}) == len(windows)


def test_scales_reduce_the_whole_picture_and_none_is_smaller_than_a_window(picture):
    windows = Windows(Folder(str(picture)), 32, 48, 1000)
    assert [scale for scale in SCALES if any(p[1] == scale for p in windows.places)] == list(SCALES)
    last = [i for i, place in enumerate(windows.places) if place[1] == 0.4]
    reach = max(np.asarray(windows.read(i)[0])[..., 0].max() for i in last)
    assert reach > 155  # at scale 0.4 (64 pixels wide), a window holds the right edge of the image
    assert windows._scaled_size((160, 100), 0.4) == (64, 40)
    assert windows._scaled_size((160, 100), 0.1) == (51, 32)
    assert Windows(Folder(str(picture)), 32, 48, 80)._scaled_size((160, 100), 1.0) == (80, 50)
    small = Windows(Folder(str(picture)), 200, 200, 1000)
    assert small._scaled_size((160, 100), 1.0) == (320, 200) and [p[2:] for p in small.places] == [
        (0, 0),
        (0, 60),
        (0, 120),
    ]
    assert small.read(0)[0].size == (200, 200)


def test_a_file_that_is_no_picture_is_skipped_by_its_name(picture):
    (picture.parent / "bad.png").write_bytes(b"none")
    table = cache.load(Windows(Folder(str(picture.parent)), 32, 32, 1000), 32, 32, 3)
    assert len(table.skipped) == 1 and table.skipped[0][0].startswith("bad.png")
    assert len(table.images) > 50


def test_a_damaged_file_counts_once_however_many_windows_it_would_have(picture):
    Image.effect_noise((400, 400), 90).save(picture.parent / "cut.jpg")
    whole = (picture.parent / "cut.jpg").read_bytes()
    (picture.parent / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    table = cache.load(Windows(Folder(str(picture.parent)), 32, 32, 1000), 32, 32, 3)
    assert len(table.skipped) > 500 > len(table.images) > 50


def opened(config, **changes):
    config = config.get_config("debug")
    config.data.resolution, config.data.load_size, config.data.windows = 24, 32, 1000
    config.data.update(changes)
    return task.of(config).open(config)


def test_a_photograph_and_a_painting_are_two_domains(picture):
    Image.new("RGB", (64, 64), (9, 9, 9)).save(picture.parent / "photo.png")
    both = opened(sincut, a=str(picture.parent / "photo.png"), b=str(picture))
    assert both.tables["a"].images.shape[1:] == (32, 32, 3) and len(both.tables["b"].images) > 50
    assert (both.tables["a"].images == 9).all() and not both.aligned
    with pytest.raises(UserError, match="windows are not paired"):
        opened(sincut, a=str(picture), b=str(picture), paired="yes")


def test_windows_serve_restoration_and_are_refused_where_there_are_no_files(picture):
    assert len(opened(restore, path=str(picture), name="folder").target.images) > 50
    for changes in ({"name": "mnist"}, {"name": "tfds:cycle_gan/monet2photo"}):
        with pytest.raises(UserError, match="windows cuts files: set it to 0 for"):
            config = dcgan.get_config("debug")
            config.data.update({"windows": 100, **changes})
            check(config)


def test_one_painting_serves_any_recipe(picture):
    assert len(opened(dcgan, path=str(picture), name="folder").target.images) > 50
