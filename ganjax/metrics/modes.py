"""Count the modes of Stacked MNIST, of 1,000, that a generator covers (Metz et al. 2017, arXiv 1611.02163, 3.3.1).

Each channel of an image is a digit; the three digits are the mode. A classifier trained here predicts the digits.
"""

import hashlib

import numpy as np

from ganjax.errors import UserError
from ganjax.metrics.features import classifier, classifier_file
from ganjax.metrics.sets import Side
from ganjax.system import cache_dir

MODES = 1000


def compute(real: Side, fake: Side, seed: int = 0) -> dict:
    """Return {"value": number of modes with a sample, "kl": KL(generated || real) over the modes, in nats, "accuracy":
    the classifier's on held-out digits, "n_digits", "classifier": hash}.

    Raises UserError for any other dataset, or one that lacks a mode.
    """
    training_set = real.training_set
    if (
        training_set.labels is None
        or len(real.classes) != MODES
        or training_set.images.shape[3] != 3
        or fake.images.shape[3] != 3
    ):
        raise UserError("modes needs the dataset stacked_mnist, with --config.data.labels=true")
    reader = digit_classifier(training_set, seed)
    digits = np.stack([classifier.predict(reader, fake.images[..., c : c + 1]) for c in range(3)], 1)
    shares = np.bincount(digits @ [100, 10, 1], minlength=MODES) / len(digits)
    truth = np.bincount(training_set.labels, minlength=MODES) / len(training_set.labels)
    if not truth.all():
        raise UserError(f"the dataset has only {(truth > 0).sum()} of the {MODES} modes: make it larger")
    covered = shares > 0
    kl = float(np.sum(shares[covered] * np.log(shares[covered] / truth[covered])))
    facts = {"accuracy": reader.accuracy, "n_digits": reader.n_train + reader.n_held_out, "classifier": reader.hash}
    return {"value": float(covered.sum()), "kl": kl, **facts}


def digit_classifier(training_set: Side, seed: int = 0) -> classifier.Classifier:
    """Return a classifier of digits, trained on the distinct digits in the stacks, so that held-out ones are unseen."""
    if ("digits", seed) not in training_set.memo:
        count, height, width, _ = training_set.images.shape
        digits = np.moveaxis(np.asarray(training_set.images), 3, 1).reshape(3 * count, height * width)
        labels = np.stack(
            [training_set.labels // 100, training_set.labels // 10 % 10, training_set.labels % 10], 1
        ).ravel()
        _, rows = np.unique(np.ascontiguousarray(digits).view(f"V{height * width}"), return_index=True)
        digits, labels = digits[rows].reshape(-1, height, width, 1), labels[rows].astype(np.int32)
        content = hashlib.sha256(digits.tobytes() + labels.tobytes()).hexdigest()
        args = cache_dir.root() / "classifiers", content, digits, labels, 10
        training_set.memo["digits", seed] = classifier_file.load_or_train(
            *args, seed=seed, mirror=False, progress=training_set.progress
        )
    return training_set.memo["digits", seed]
