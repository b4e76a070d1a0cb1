"""Class labels of a conditional network: attributes, sampling, requests."""

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from ganjax.data import labels
from ganjax.errors import UserError

CLASSES = ("female-noble", "male-noble", "male-warrior")


def make_labels(separator="-", classes=CLASSES, counts=(1, 6, 3)):
    data = {"classes": classes, "class_counts": counts, "attributes": separator}
    return labels.labels_from_config(ConfigDict({"data": data}))


def test_a_class_splits_into_attributes():
    label_set = make_labels()
    assert label_set.names == (("female", "male"), ("noble", "warrior"))
    assert label_set.table.tolist() == [[0, 0], [1, 0], [1, 1]]
    assert label_set.attributes(np.array([2, -1, 0])).tolist() == [[1, 1], [-1, -1], [0, 0]]
    assert label_set.classes_of(np.array([[1, 1], [0, 1]])).tolist() == [2, -1]
    assert make_labels("").sizes == (3,)
    assert make_labels("/", ("a/x", "b/y"), ()).names == (("a", "b"), ("x", "y"))


def test_any_combination_may_be_asked_for_and_any_value_left_open():
    label_set = make_labels()
    assert label_set.parse("female-warrior").tolist() == [0, 1]  # no class of the data set
    assert label_set.parse("*-warrior").tolist() == [labels.OPEN, 1]
    with pytest.raises(UserError, match="'warior' is not one of noble, warrior; did you mean 'warrior'"):
        label_set.parse("male-warior")
    with pytest.raises(UserError, match=r"must have the form \(female\|male\)-\(noble\|warrior\)"):
        label_set.parse("male")
    with pytest.raises(UserError, match="did you mean 'male-noble'"):
        make_labels("").parse("male-nobel")


def test_classes_are_drawn_by_their_frequency():
    samples = make_labels("").draw(jax.random.key(0), 20_000)
    share = np.bincount(np.asarray(samples)[:, 0]) / 20_000
    np.testing.assert_allclose(share, [0.1, 0.6, 0.3], atol=0.015)


def test_a_class_that_does_not_split_is_named():
    with pytest.raises(UserError, match="'monk' does not split into 2 values, as 'female-noble' does"):
        make_labels(classes=("female-noble", "monk"))


@pytest.mark.parametrize(
    ("classes", "counts", "message"),
    [
        (("a", 3), (1, 1), "must be strings"),
        (("a", None), (), "must be strings"),
        (("a", "b"), (1,), "a count for each of the 2 classes"),
        (("a", "b"), (1, -1), "a count for each"),
        (("a", "b"), (0, 0), "a count for each"),
        (("a", "b"), (1, 0.5), "a count for each"),
    ],
)
def test_classes_of_a_foreign_config_that_make_no_sense_are_refused(classes, counts, message):
    with pytest.raises(UserError, match=message):
        make_labels("", classes, counts)


def test_of_very_many_classes_a_message_names_a_few():
    many = make_labels("", tuple(f"artist {i}" for i in range(1000)), (1,) * 1000)
    with pytest.raises(UserError) as error:
        many.parse("nobody at all")
    assert len(str(error.value)) < 300
