"""Metrics that need the labels of a dataset: (real side, generated side, options) -> {"value": ..., ...}."""

import numpy as np

from ganjax.errors import UserError
from ganjax.metrics import modes as stacked_mnist
from ganjax.metrics.features import classifier
from ganjax.metrics.sets import OTHER_SCALE, Options, Side
from ganjax.metrics.statistics import frechet


def clf_fd(real: Side, fake: Side, options: Options) -> dict:
    """Return the Frechet distance of the features of a classifier that is trained on the real images' labels."""
    net = real.classifier(options.seed)
    if ("classifier", net.hash) not in real.memo:
        real.memo["classifier", net.hash] = classifier.features(net, real.images)
    value = frechet.of_features(real.memo["classifier", net.hash], classifier.features(net, fake.images))
    accuracy = {"accuracy": net.accuracy, "balanced_accuracy": net.balanced_accuracy}
    identity = {"extractor": f"classifier@sha256:{net.hash[:16]}", "resizer": "area to 64 px", **accuracy}
    note = f"{OTHER_SCALE}; the classifier is trained on four fifths of the real images"
    return {"value": value, **identity, "ddof": 1, "note": note}


def modes(real: Side, fake: Side, options: Options) -> dict:
    """Return the number of Stacked MNIST's modes that the generated images fall into; see `metrics.modes`."""
    return stacked_mnist.compute(real, fake, options.seed)


def label_acc(real: Side, fake: Side, options: Options) -> dict:
    """Return the accuracy on generated images of the classifier of the real images; see `classifier`."""
    labels = _fake_labels(real, fake)
    return classifier.label_accuracy(real.classifier(options.seed), fake.images, labels)


def cas(real: Side, fake: Side, options: Options) -> dict:
    """Return the classification accuracy score of a small net trained on the generated images; see `classifier`."""
    labels, training = _fake_labels(real, fake), real.training_set
    sides = training.images, training.labels, fake.images, labels
    return classifier.cas(*sides, real.classifier(options.seed), progress=real.progress)


def _fake_labels(real: Side, fake: Side) -> np.ndarray:
    """Return the labels of the generated images, numbered by the real side's classes.

    Raises UserError if there are none, or if a class is not among the real ones.
    """
    if fake.labels is None or not len(fake.classes):
        raise UserError("this metric needs labels of the generated images: a sub-folder for each class")
    unknown = sorted(set(fake.classes) - set(real.classes))
    if unknown:
        raise UserError(
            f"the generated images have the class {unknown[0]!r}, and the real ones have only {list(real.classes)}"
        )
    numbers = np.array([*(real.classes.index(name) for name in fake.classes), -1])
    return numbers[fake.labels].astype(np.int32)
