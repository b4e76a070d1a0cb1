import contextlib
import itertools

import numpy as np
import pytest

from ganjax import rng
from ganjax.configs.generate import dcgan
from ganjax.data.loader import Loader
from ganjax.data.table import Dataset, Table
from ganjax.tasks import generate


def dataset(n: int, labels: np.ndarray | None = None) -> Dataset:
    """Return n images; image i has level i, and label i unless `labels` are given."""
    images = np.arange(n, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
    labels = np.arange(n, dtype=np.int32) if labels is None else labels
    return Dataset({"image": Table({"image": images, "label": labels}, [str(i) for i in range(n)])})


def levels(batch: dict) -> list[int]:
    return batch["image"]["image"][:, 0, 0, 0].tolist()


def labels_of(batch: dict) -> np.ndarray:
    return batch["image"]["label"]


def rows(loader: Loader, step: int) -> np.ndarray:
    return loader.index(step)["image"]["index"]


def levels_at(loader: Loader, steps) -> list[list[int]]:
    return [levels(loader.batch(step)) for step in steps]


def test_an_epoch_shows_each_image_once_and_the_next_in_another_order():
    epochs = np.array(levels_at(Loader(dataset(12), 4, seed=0), range(6))).reshape(2, 12)
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(12))
    assert epochs[0].tolist() != epochs[1].tolist()


def test_batches_are_a_function_of_seed_and_step():
    a, b = Loader(dataset(10), 4, seed=3), Loader(dataset(10), 4, seed=3, threads=5)
    assert levels_at(a, [7, 2, 7]) == levels_at(b, [7, 2, 7])
    assert levels_at(a, range(5)) != levels_at(Loader(dataset(10), 4, seed=4), range(5))


def test_reading_ahead_from_any_step_gives_the_same_batches():
    loader = Loader(dataset(10), 4, seed=0)
    for start in (0, 5, 10**6):
        with contextlib.closing(loader.batches(start)) as batches:
            ahead = [levels(batch) for batch in itertools.islice(batches, 3)]
        assert ahead == levels_at(loader, range(start, start + 3))


@pytest.mark.parametrize("hosts", [2, 4])
def test_the_hosts_slices_together_are_the_global_batch(hosts):
    whole = levels_at(Loader(dataset(10), 8, seed=0), range(3))
    slices = [levels_at(Loader(dataset(10), 8, seed=0, process=i, processes=hosts), range(3)) for i in range(hosts)]
    assert [sum((part[step] for part in slices), []) for step in range(3)] == whole


def test_a_set_smaller_than_a_batch_repeats_within_it():
    batch = levels_at(Loader(dataset(3), 8, seed=0), [0])[0]
    assert len(batch) == 8
    assert set(batch) == {0, 1, 2}


def test_labels_are_unknown_unless_asked_for():
    def key_of(stream):
        return rng.key(0, stream)

    config, batch = dcgan.get_config("debug"), Loader(dataset(4), 4, seed=0).batch(0)
    config.data.resolution = 2
    assert set(generate.prepare(config, batch, key_of)["label"].tolist()) == {-1}
    config.data.labels = True
    assert generate.prepare(config, batch, key_of)["label"].tolist() == labels_of(batch).tolist() == levels(batch)
    assert labels_of(batch).dtype == np.int32
    assert batch["image"]["image"].dtype == np.uint8


def test_balance_draws_classes_as_it_says():
    labels = np.repeat([0, 1, -1], [80, 15, 5]).astype(np.int32)
    data = dataset(100, labels)
    for balance, expected in ((1.0, [1 / 3] * 3), (0.5, np.sqrt([80, 15, 5]) / np.sqrt([80, 15, 5]).sum())):
        loader = Loader(data, 1000, seed=1, balance=balance)
        sampled_labels = np.concatenate([labels_of(loader.batch(step)) for step in range(20)])
        shares = [(sampled_labels == label).mean() for label in (0, 1, -1)]
        np.testing.assert_allclose(shares, expected, atol=0.015)
    # Within a class all images are equally likely, and batches are still a function of seed and step.
    index = np.concatenate([rows(loader, step) for step in range(50)])
    counts = np.bincount(index, minlength=100)[:80]
    assert counts.min() > 0.6 * counts.mean()
    assert sampled_labels.tolist() == np.concatenate([labels_of(loader.batch(step)) for step in range(20)]).tolist()
    whole = Loader(data, 8, seed=1, balance=1.0)
    parts = [Loader(data, 8, seed=1, process=i, processes=2, balance=1.0) for i in range(2)]
    np.testing.assert_array_equal(rows(whole, 3), np.concatenate([rows(part, 3) for part in parts]))
