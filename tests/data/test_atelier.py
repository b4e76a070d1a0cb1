import hashlib

import numpy as np
import pytest
from PIL import Image

from ganjax.data import atelier, cache, prepared
from ganjax.errors import UserError


@pytest.mark.parametrize("style", atelier.STYLES)
def test_a_picture_depends_on_its_index_alone(style):
    a, b = (np.asarray(atelier.paint(3, (32, 32), style)) for _ in range(2))
    np.testing.assert_array_equal(a, b)
    assert a.shape == (32, 32, 3)
    assert a.std() > 8  # not a blank canvas
    assert np.abs(a.astype(int) - np.asarray(atelier.paint(4, (32, 32), style))).mean() > 4


def test_one_scene_at_two_sizes_is_one_picture():
    small = np.asarray(atelier.photograph(5, (64, 64)), float)
    large = np.asarray(atelier.photograph(5, (128, 128)).reduce(2), float)
    assert np.abs(small - large).mean() < 6


def test_rectangles_and_splits():
    assert atelier.paint(0, (48, 64), "ukiyo_e").size == (64, 48)
    a, b = (np.asarray(atelier.paint(0, (32, 32), "de_stijl", split)) for split in ("train", "test"))
    assert (a != b).any()


def test_the_rules_of_two_styles_hold():
    """De Stijl has few flat colours. Op art has two colours, each on about half of the canvas."""
    for index in range(5):
        mondrian = np.asarray(atelier.paint(index, (128, 128), "de_stijl")).reshape(-1, 3)
        colours, counts = np.unique(mondrian, axis=0, return_counts=True)
        assert counts[np.argsort(counts)[-8:]].sum() > 0.9 * len(mondrian)
        riley = np.asarray(atelier.paint(index, (128, 128), "op_art"), float).mean(-1)
        middle = (riley.min() + riley.max()) / 2
        assert 0.3 < (riley > middle).mean() < 0.7


def test_styles_take_turns_and_label_the_pictures():
    source = atelier.Atelier(10, (32, 32), ("op_art", "de_stijl"))
    data = cache.load(source, 32, 32, 3)
    assert data.labels.tolist() == [0, 1] * 5
    assert data.classes == ("op_art", "de_stijl")
    np.testing.assert_array_equal(data.images[1], atelier.paint(1, (32, 32), "de_stijl"))


@pytest.mark.parametrize("kind", [atelier.Atelier, atelier.Photographs])
def test_one_channel_is_the_grey_of_three(kind):
    grey, coloured = (cache.load(kind(2, (32, 32), channels=n), 32, 32, n).images for n in (1, 3))
    assert grey.shape == (2, 32, 32, 1)
    np.testing.assert_array_equal(grey[0, ..., 0], np.asarray(Image.fromarray(coloured[0]).convert("L")))


def test_a_source_of_another_number_of_channels_is_named():
    with pytest.raises(UserError, match="Atelier gives images of 3 channels, but config.data.channels is 1"):
        cache.load(atelier.Atelier(2, (16, 16)), 16, 16, 1)


def test_misspelt_names_get_the_nearest():
    with pytest.raises(UserError, match="did you mean 'ukiyo_e'"):
        atelier.Atelier(10, (32, 32), ("ukiyoe",))
    with pytest.raises(UserError, match="'train' or 'test'"):
        atelier.Atelier(10, (32, 32), split="valid")


def test_as_a_tfds_data_set_without_tensorflow(tmp_path):
    from ganjax.data.atelier.builder import Atelier, AtelierConfig

    config = AtelierConfig(32, train=12, test=4)
    builder = Atelier(config=config, data_dir=tmp_path, file_format="array_record")
    builder.download_and_prepare()
    rows = builder.as_data_source("train")
    assert len(rows) == 12

    def digest(image):
        return hashlib.sha256(np.ascontiguousarray(image)).hexdigest()

    expected = {digest(np.asarray(atelier.Atelier(12, (32, 32)).read(i)[0])) for i in range(12)}
    # TFDS shuffles by a hash of the key, so compare as sets.
    assert {digest(row["image"]) for row in rows} == expected
    assert {digest(row["photo"]) for row in rows} == {
        digest(np.asarray(atelier.photograph(i, (32, 32)))) for i in range(12)
    }

    source = prepared.Prepared(f"atelier/{config.name}", "train[:50%]", str(tmp_path), 3, 10**6)
    assert len(source) == 6
    assert source.classes == tuple(atelier.STYLES)
    image, label = source.read(0)
    np.testing.assert_array_equal(image, rows[0]["image"])
    assert label == rows[0]["label"]
    with pytest.raises(UserError, match=r"trian.*the splits are: train, test"):
        prepared.Prepared(f"atelier/{config.name}", "trian", str(tmp_path), 3, 10**6)


def test_a_set_of_rows_that_cannot_be_read_in_any_order_prints_the_command(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    assert len(prepared.Prepared("atelier/16px-4-1", "train", str(tmp_path), 3, 10**6)) == 4
    monkeypatch.setattr(tfds.core.FileFormat, "with_random_access", lambda: set())
    with pytest.raises(UserError, match="is not in array_record format: prepare it once with"):
        prepared.Prepared("atelier/16px-4-1", "train", str(tmp_path), 3, 10**6)


def test_a_set_that_is_not_prepared_prints_the_command(tmp_path):
    with pytest.raises(UserError, match=r"(?s)tfds build cifar10 --file_format=array_record.*TensorFlow"):
        prepared.Prepared("cifar10", "train", str(tmp_path), 3, 10**6)
