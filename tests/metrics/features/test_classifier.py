from pathlib import Path

import numpy as np
import pytest

from ganjax.data import cache, folder
from ganjax.errors import UserError
from ganjax.metrics.features import classifier, classifier_file

SEEN = 640  # images: ten steps


def stripes(labels, side=8, seed=0):
    """Return images of noise whose brightness tells the label: 0 dark, 1 bright, 2 in between."""
    rng = np.random.default_rng(seed)
    level = np.array([40, 210, 125])[np.maximum(labels, 0)]
    pixels = level[:, None, None, None] + rng.integers(-30, 31, (len(labels), side, side, 3))
    return pixels.astype(np.uint8)


@pytest.fixture(scope="module")
def labels():
    return np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [60, 30, 10])).astype(np.int32)


@pytest.fixture(scope="module")
def trained(labels):
    return classifier.train(stripes(labels), labels, 3, seed=1, images_seen=SEEN)


def test_split_holds_out_a_fifth_of_each_class(labels):
    training, held_out = classifier.split(labels, 0)
    assert np.bincount(labels[held_out]).tolist() == [12, 6, 2]
    assert sorted([*training, *held_out]) == list(range(100))
    assert (held_out == classifier.split(labels, 0)[1]).all()
    assert (held_out != classifier.split(labels, 1)[1]).any()
    few = np.repeat([0, 1], [10, 4])
    assert np.bincount(few[classifier.split(few)[1]]).tolist() == [2]


def test_it_learns_classes_that_can_be_separated(trained, labels):
    assert (trained.accuracy, trained.balanced_accuracy) == (1, 1)
    assert (trained.majority, trained.n_train, trained.n_held_out) == (0.6, 80, 20)
    fresh = stripes(labels, seed=5)
    result = classifier.label_accuracy(trained, fresh, labels)
    assert (result["value"], result["balanced"], result["real"]) == (1, 1, 1)
    assert result["chance"] == pytest.approx(1 / 3)


def test_labels_that_are_not_the_images_are_not_recognised(trained, labels):
    assert classifier.label_accuracy(trained, stripes(labels), (labels + 1) % 3)["value"] == 0
    half = np.where(np.arange(100) < 50, labels, (labels + 1) % 3)
    assert classifier.label_accuracy(trained, stripes(labels), half)["value"] == 0.5
    unknown = np.where(np.arange(100) < 50, labels, -1)
    result = classifier.label_accuracy(trained, stripes(labels), unknown)
    assert (result["value"], result["n_fake"]) == (1, 50)


def test_probabilities_and_features_are_those_of_the_answer(trained, labels):
    images = stripes(labels, seed=2)
    shares, hidden = classifier.probabilities(trained, images), classifier.features(trained, images)
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-5)
    np.testing.assert_array_equal(shares.argmax(1), classifier.predict(trained, images))
    assert (hidden.shape, hidden.dtype) == ((100, 128), np.float32)
    head = trained.variables["params"]["head"]
    powers = np.exp(hidden @ head["kernel"] + head["bias"])
    np.testing.assert_allclose(shares, powers / powers.sum(1, keepdims=True), rtol=1e-4)


def test_chunks_change_nothing(monkeypatch, trained, labels):
    images = stripes(labels)
    whole = classifier.features(trained, images)
    monkeypatch.setattr(classifier, "CHUNK", 32)
    np.testing.assert_allclose(classifier.features(trained, images), whole, atol=1e-5)


def test_the_same_seed_gives_the_same_bits(trained, labels):
    again = classifier.train(stripes(labels), labels, 3, seed=1, images_seen=SEEN)
    assert again.hash == trained.hash
    assert classifier.train(stripes(labels), labels, 3, seed=2, images_seen=SEEN).hash != trained.hash


def test_unlabelled_images_change_nothing(trained, labels):
    more = np.concatenate([stripes(labels), stripes(labels, seed=9)])
    both = np.concatenate([labels, np.full(100, -1, np.int32)])
    assert classifier.train(more, both, 3, seed=1, images_seen=SEEN).hash == trained.hash


def test_a_class_of_one_image_is_trained_on_and_not_measured(labels):
    lonely = np.append(np.minimum(labels, 1), 2).astype(np.int32)
    result = classifier.train(stripes(lonely), lonely, 3, images_seen=64)
    assert (result.n_train, result.n_held_out) == (81, 20)


def test_larger_images_are_reduced_in_their_aspect():
    images = np.zeros((3, 128, 192, 3), np.uint8)
    images[..., ::2, :] = 200
    reduced = classifier._resize(images)
    assert reduced.shape == (3, 64, 96, 3)
    assert (reduced == 100).all()


def test_saved_and_loaded_is_the_same(trained, tmp_path):
    path = tmp_path / "deep" / "net.safetensors"
    classifier_file.save(trained, path)
    loaded = classifier_file.load(path)
    assert loaded._replace(variables=None) == trained._replace(variables=None)
    assert classifier.variables_hash(loaded.variables) == trained.hash
    assert [file.name for file in path.parent.iterdir()] == ["net.safetensors"]


def other_accuracy(data):
    place = data.index(b"accuracy") + len(b'accuracy\\": 0.')
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize(
    "harm",
    [lambda d: d[:-9], lambda d: d[:-4] + b"\0\0\0\1", lambda d: b"", lambda d: d[:100], other_accuracy],
)
def test_a_damaged_file_is_refused(trained, tmp_path, harm):
    path = tmp_path / "net.safetensors"
    classifier_file.save(trained, path)
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(UserError, match="remove it"):
        classifier_file.load(path)


def test_it_is_trained_once_for_each_data_set(trained, labels, tmp_path, monkeypatch):
    arguments = (tmp_path, "content", stripes(labels), labels, 3)
    first = classifier_file.load_or_train(*arguments, seed=1, images_seen=SEEN)
    assert first.hash == trained.hash
    monkeypatch.setattr(classifier_file, "train", lambda *_, **__: pytest.fail("trained again"))
    assert classifier_file.load_or_train(*arguments, seed=1, images_seen=SEEN, progress=True).hash == first.hash
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(pytest.fail.Exception):
        classifier_file.load_or_train(*arguments, seed=1, images_seen=SEEN)
    for changed in ({"seed": 2, "images_seen": SEEN}, {"seed": 1, "images_seen": 64}):
        with pytest.raises(pytest.fail.Exception):
            classifier_file.load_or_train(*arguments, **changed)


def test_cas_of_good_fakes_is_the_reals_and_of_wrong_labels_is_below_chance(labels):
    real, fake = stripes(labels), stripes(labels, seed=7)
    trained = classifier.train(real, labels, 3, images_seen=SEEN)
    good = classifier.cas(real, labels, fake, labels, trained)
    assert (good["value"], good["real"], good["n_test"], good["n_fake"]) == (1, 1, 20, 100)
    wrong = classifier.cas(real, labels, fake, (labels + 1) % 3, trained)
    assert wrong["value"] < wrong["chance"]


def test_labels_and_images_that_do_not_fit_are_named(trained, labels):
    images = stripes(labels)
    with pytest.raises(UserError, match="not in"):
        classifier.train(images, labels, 2)
    with pytest.raises(UserError, match="one integer per image"):
        classifier.train(images, labels[:5], 3)
    with pytest.raises(UserError, match="two classes"):
        classifier.train(images, labels * 0, 3)
    with pytest.raises(UserError, match="no image has a label"):
        classifier.train(images, labels * 0 - 1, 3)
    with pytest.raises(UserError, match="unseen"):
        classifier.train(images[:4], np.arange(4) % 2, 3)
    with pytest.raises(UserError, match="channels"):
        classifier.predict(trained, images[..., :1])
    with pytest.raises(UserError, match="8 pixels"):
        classifier.predict(trained, images.astype(np.float32))


@pytest.mark.slow
def test_faces_of_kaokore_are_recognised_far_above_chance(monkeypatch):
    path = Path(__file__).parents[3] / "shared" / "data" / "kaokore"
    if not path.is_dir():
        pytest.skip(f"{path} is not there")
    monkeypatch.delenv("GANJAX_ONEDNN", raising=False)
    faces = cache.load(folder.Folder(path, labels=True), 64, 64, 3)
    result = classifier.train(faces.images, faces.labels, 8)
    assert result.accuracy > 0.6 > 0.38 > result.majority
    assert result.balanced_accuracy > 0.55
