"""Stacked MNIST: its images and labels, and the number of modes that a set of images covers."""

import gzip

import numpy as np
import pytest

from ganjax.data import mnist
from ganjax.errors import UserError
from ganjax.metrics import modes
from ganjax.metrics.features import classifier
from ganjax.metrics.sets import Side


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with 200 'digits' of 28x28 in idx files: noise, whose brightness tells the digit."""

    def header(array):
        return b"\x00\x00\x08" + bytes([array.ndim]) + np.array(array.shape, ">i4").tobytes()

    root, rng = tmp_path_factory.mktemp("mnist"), np.random.default_rng(0)
    labels = np.arange(200).astype(np.uint8) % 10
    images = rng.integers(0, 60, (200, 28, 28)).astype(np.uint8)
    images += 19 * labels[:, None, None]
    for name, array in (("images-idx3", images), ("labels-idx1", labels)):
        (root / f"t10k-{name}-ubyte.gz").write_bytes(gzip.compress(header(array) + array.tobytes()))
    return root


@pytest.fixture(scope="module")
def stacks(folder):
    source = mnist.Stacked(str(folder), "test")
    rows = [source.read(i) for i in range(6000)]
    return np.stack([np.asarray(image) for image, _ in rows]), np.array([label for _, label in rows])


def test_a_stack_is_three_digits_and_their_number(folder, stacks):
    source, (images, labels) = mnist.Stacked(str(folder), "test"), stacks
    assert (len(source), source.classes[7], images.shape) == (50_000, "007", (6000, 28, 28, 3))
    for channel, digit in enumerate(source.labels[source.rows[5]]):
        np.testing.assert_array_equal(images[5, ..., channel], source.images[source.rows[5, channel]])
        assert int(f"{labels[5]:03d}"[channel]) == digit
    assert len(set(labels.tolist())) > 950
    again = mnist.Stacked(str(folder), "test").rows
    np.testing.assert_array_equal(again, source.rows)


@pytest.mark.slow
def test_modes_and_kl_are_those_of_the_labels(stacks, monkeypatch):
    monkeypatch.setattr(classifier, "IMAGES_SEEN", 12_000)
    monkeypatch.setattr(classifier.train, "__defaults__", (0, 12_000, False, True))
    images, labels = stacks
    images = np.concatenate([images, images[:1]]).astype(np.uint8)
    labels = np.concatenate([labels, labels[:1]])
    real = Side(images, labels, mnist.Stacked.classes)
    missing = set(range(1000)) - set(labels.tolist())
    if missing:  # the few modes that 6,000 draws miss are stacked by hand
        single = {label: images[i, ..., 0] for i, label in enumerate(labels // 100)}
        extra = [np.stack([single[int(d)] for d in f"{mode:03d}"], -1) for mode in sorted(missing)]
        real = Side(np.concatenate([images, extra]), np.concatenate([labels, sorted(missing)]), mnist.Stacked.classes)
    whole = modes.compute(real, real)
    assert whole["accuracy"] > 0.99
    assert whole["value"] == 1000 and whole["kl"] == pytest.approx(0, abs=1e-3)
    few = labels < 50
    part = modes.compute(real, Side(images[few]))
    assert part["value"] == len(set(labels[few].tolist()))
    assert part["kl"] == pytest.approx(np.log(20), abs=0.15)  # a twentieth of the modes, about evenly


def test_other_data_is_refused(stacks):
    images, labels = stacks
    with pytest.raises(UserError, match="needs the dataset stacked_mnist"):
        modes.compute(Side(images, labels % 3, ("a", "b", "c")), Side(images))
