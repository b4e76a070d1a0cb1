"""A small classifier trained on a dataset's own labels, for the metrics label_acc, cas_small, clf_fd and modes."""

import functools
import hashlib
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict

from ganjax import rng
from ganjax.adversarial import optimisers
from ganjax.errors import UserError
from ganjax.metrics.statistics.copies import area_mean
from ganjax.nets.layers import Conv
from ganjax.system.progress import progress_bar

VERSION = 1  # of the training recipe: raise it with any change that alters the parameters
SIDE = 64  # pixels: images with a longer short side are reduced to it
BATCH, RATE, SMOOTHING, IMAGES_SEEN = 64, 2e-3, 0.1, 80_000
SHIFT = 4  # pixels
HELD_OUT = 5  # one image in five of each class
REPEAT = 10  # no image is drawn more than this many times as often as the average one
CHUNK = 256  # images per call outside training


class Classifier(NamedTuple):
    """A trained net. accuracy and balanced_accuracy (the mean over classes): on held-out images. hash: of variables."""

    variables: dict
    num_classes: int
    shape: tuple[int, int, int]
    accuracy: float
    balanced_accuracy: float
    majority: float  # accuracy of always answering the commonest held-out class
    n_train: int
    n_held_out: int
    seed: int
    images_seen: int
    hash: str


class Net(nn.Module):
    """Map floats (B, H, W, C) in [-1, 1] to (logits (B, num_classes), features (B, 128)).

    Convolutions at 1/2, 1/4, 1/8 and 1/16 of the size, the last two followed by a residual one, then the spatial mean.
    """

    num_classes: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, jax.Array]:
        def activate(x, name):
            return nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9, name=name)(x))

        x = Conv(32, (4, 4), (2, 2), name="stem")(x)
        for i, features in enumerate((64, 128, 128)):
            x = Conv(features, (3, 3), (2, 2), use_bias=False, name=f"down_{i}")(activate(x, f"norm_{i}"))
            if i > 0:
                x += Conv(features, (3, 3), use_bias=False, name=f"residual_{i}")(activate(x, f"inner_{i}"))
        features = activate(x, "norm").mean((1, 2))
        return nn.Dense(self.num_classes, name="head")(features), features


def train(
    images: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    seed: int = 0,
    images_seen: int = IMAGES_SEEN,
    progress: bool = False,
    mirror: bool = True,
) -> Classifier:
    """Train a classifier on four fifths of each class, measure its accuracy on the rest, and return it.

    images: uint8 (N, H, W, C); labels: int (N,) below num_classes, -1 for images to leave out. mirror: whether to
    augment by mirroring. A class of under five images has none held out. The same arguments give the same parameters on
    one kind of machine. Raises UserError for wrong labels, fewer than two classes, or no class of five images.
    """
    images, labels = _labelled(images, labels, num_classes)
    training, held_out = split(labels, seed)
    if not len(held_out):
        raise UserError(f"no class has {HELD_OUT} images, which measuring the classifier on unseen ones needs")
    variables = _fit(images[training], labels[training], num_classes, seed, images_seen, progress, mirror)
    untested = Classifier(
        variables, num_classes, images.shape[1:], 0, 0, 0, 0, 0, seed, images_seen, variables_hash(variables)
    )
    truth = labels[held_out]
    accuracy, balanced = _scores(predict(untested, images[held_out]), truth)
    return untested._replace(
        accuracy=accuracy,
        balanced_accuracy=balanced,
        majority=float(np.bincount(truth).max() / len(truth)),
        n_train=len(training),
        n_held_out=len(held_out),
    )


def split(labels: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return sorted rows (training, held out): of each class of n images, n // 5 random ones are held out."""
    generator = np.random.default_rng([seed, 1])
    held_out = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        held_out[generator.permutation(rows)[: len(rows) // HELD_OUT]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def features(classifier: Classifier, images: np.ndarray) -> np.ndarray:
    """Return the features, float32 (N, 128), the input of the last dense layer, of uint8 images (N, H, W, C)."""
    return _apply(classifier, images)[1]


def probabilities(classifier: Classifier, images: np.ndarray) -> np.ndarray:
    """Return the classes' probabilities, float32 (N, num_classes), of uint8 images (N, H, W, C)."""
    return np.asarray(jax.nn.softmax(_apply(classifier, images)[0]))


def predict(classifier: Classifier, images: np.ndarray) -> np.ndarray:
    """Return the most probable label, int32 (N,), of uint8 images (N, H, W, C)."""
    return _apply(classifier, images)[0].argmax(1).astype(np.int32)


def label_accuracy(classifier: Classifier, images: np.ndarray, labels: np.ndarray) -> dict:
    """Return {"value": accuracy on images (N, H, W, C), "balanced": the mean over the classes, "real": accuracy on
    held-out real images, "real_balanced", "chance", "n_fake", "classifier": hash}. Images of label -1 are left out.
    """
    images, labels = _labelled(images, labels, classifier.num_classes)
    value, balanced = _scores(predict(classifier, images), labels)
    return {
        "value": value,
        "balanced": balanced,
        "real": classifier.accuracy,
        "real_balanced": classifier.balanced_accuracy,
        "chance": 1 / classifier.num_classes,
        "n_fake": len(labels),
        "classifier": classifier.hash,
    }


def cas(
    real_images: np.ndarray,
    real_labels: np.ndarray,
    fake_images: np.ndarray,
    fake_labels: np.ndarray,
    real: Classifier,
    progress: bool = False,
) -> dict:
    """Return the classification accuracy score (Ravuri & Vinyals 2019, arXiv 1905.10887) by this net, not a ResNet-50.

    One net is trained on all generated images; `real` is what `train` returned for the real images, trained on four
    fifths of them. Both are tested on the held-out fifth. The result is {"value": the first net's accuracy, "real": the
    second's, "balanced" and "real_balanced": the means over the classes, "chance", "majority", "n_fake", "n_real",
    "n_test", "seed"}.
    """
    num_classes, seed = real.num_classes, real.seed
    fake_images, fake_labels = _labelled(fake_images, fake_labels, num_classes)
    variables = _fit(fake_images, fake_labels, num_classes, seed, real.images_seen, progress)
    real_images, real_labels = _labelled(real_images, real_labels, num_classes)
    test = split(real_labels, seed)[1]
    fake = real._replace(variables=variables, shape=fake_images.shape[1:])
    value, balanced = _scores(predict(fake, real_images[test]), real_labels[test])
    return {
        "value": value,
        "real": real.accuracy,
        "balanced": balanced,
        "real_balanced": real.balanced_accuracy,
        "chance": 1 / num_classes,
        "majority": real.majority,
        "n_fake": len(fake_labels),
        "n_real": real.n_train,
        "n_test": len(test),
        "seed": seed,
    }


def flat(variables: dict) -> dict[str, np.ndarray]:
    """Return {dotted name: float32 array} of the variables, sorted by name."""
    arrays = flatten_dict(variables, sep=".")
    return {name: np.ascontiguousarray(arrays[name], "<f4") for name in sorted(arrays)}


def variables_hash(variables: dict) -> str:
    """Return the sha256 of the variables."""
    digest = hashlib.sha256()
    for name, value in flat(variables).items():
        digest.update(f"{name}{value.shape}".encode() + value.tobytes())
    return digest.hexdigest()


def _labelled(images: np.ndarray, labels: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the images that have a label, at the net's size, and the labels as int32."""
    labels = np.asarray(labels)
    if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise UserError(f"labels must be one integer per image: {labels.dtype} {labels.shape} for {len(images)} images")
    if len(labels) and not -1 <= labels.min() <= labels.max() < num_classes:
        raise UserError(f"labels must lie in [-1, {num_classes - 1}], not in [{labels.min()}, {labels.max()}]")
    rows = np.flatnonzero(labels >= 0)
    if not len(rows):
        raise UserError("no image has a label")
    return _resize(images if len(rows) == len(labels) else images[rows]), labels[rows].astype(np.int32)


def _resize(images: np.ndarray, shape: tuple[int, int] | None = None) -> np.ndarray:
    """Reduce uint8 images by area means to `shape`, or else to a short side of 64 if it is longer, in their aspect."""
    if images.ndim != 4 or images.dtype != np.uint8 or min(images.shape[1:3]) < 8:
        raise UserError(f"images must be uint8 (N, H, W, C) of 8 pixels or more: {images.dtype} {images.shape}")
    if shape is None:
        shape = tuple(round(side * min(1, SIDE / min(images.shape[1:3]))) for side in images.shape[1:3])
    if shape == images.shape[1:3]:
        return images
    means = [area_mean(images[i : i + CHUNK], *shape) for i in range(0, len(images), CHUNK)]
    return np.concatenate([np.round(mean).astype(np.uint8) for mean in means])


def _fit(images, labels, num_classes: int, seed: int, images_seen: int, progress: bool, mirror: bool = True) -> dict:
    if len(np.unique(labels)) < 2:
        raise UserError("a classifier needs images of two classes or more")
    net = Net(num_classes)
    steps = max(1, images_seen // BATCH)
    tx = _optimizer(steps)
    variables = net.init(rng.key(seed, "classifier.init"), jnp.zeros((1, *images.shape[1:])), train=True)
    state = tx.init(variables["params"])
    counts = np.bincount(labels, minlength=num_classes)
    # All classes have equal shares of a batch, up to a limit: two images must not fill an eighth of every batch.
    share = np.minimum((counts > 0) / (counts > 0).sum(), REPEAT * counts / counts.sum())
    cumulative = np.cumsum((share / np.maximum(counts, 1))[labels])
    generator = np.random.default_rng([seed, 2])
    for i in progress_bar(range(steps), shown=progress, desc="training the classifier", unit=" steps"):
        rows = np.searchsorted(cumulative, generator.random(BATCH) * cumulative[-1], "right")
        rows = np.minimum(rows, len(labels) - 1)  # the product may round up to cumulative[-1]
        key = rng.key(seed, "classifier.augment", i)
        variables, state = _step(net, tx.update, mirror, variables, state, images[rows], labels[rows], key)
    return jax.device_get(variables)


@functools.cache  # one object for each `steps`, so that a second training reuses the compiled step
def _optimizer(steps: int) -> optax.GradientTransformation:
    return optimisers.adam(optimisers.schedule("cosine", RATE, steps * BATCH, BATCH), 0.9, 0.999)


@functools.partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=(3, 4))
def _step(net, update, mirror, variables, state, images, labels, key):
    def loss(params):
        pixels, stats = _augment(_floats(images), key, mirror), variables["batch_stats"]
        inputs = {"params": params, "batch_stats": stats}
        (logits, _), updated = net.apply(inputs, pixels, train=True, mutable=["batch_stats"])
        targets = optax.smooth_labels(jax.nn.one_hot(labels, net.num_classes), SMOOTHING)
        return optax.softmax_cross_entropy(logits, targets).mean(), updated["batch_stats"]

    gradients, stats = jax.grad(loss, has_aux=True)(variables["params"])
    updates, state = update(gradients, state, variables["params"])
    return {"params": optax.apply_updates(variables["params"], updates), "batch_stats": stats}, state


def _floats(images: jax.Array) -> jax.Array:
    return images.astype(jnp.float32) / 127.5 - 1


def _augment(images: jax.Array, key: jax.Array, mirror: bool) -> jax.Array:
    """Mirror each image with probability 1/2 if `mirror`; shift it by up to 4 pixels, reflected at the border."""
    flip_key, shift_key = jax.random.split(key)
    flips = jax.random.bernoulli(flip_key, shape=(len(images), 1, 1, 1))
    images = jnp.where(flips, images[:, :, ::-1], images) if mirror else images
    padded = jnp.pad(images, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), mode="reflect")
    corners = jax.random.randint(shift_key, (len(images), 2), 0, 2 * SHIFT + 1)

    def crop(image: jax.Array, corner: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(image, (*corner, 0), images.shape[1:])

    return jax.vmap(crop)(padded, corners)


@functools.partial(jax.jit, static_argnums=0)
def _forward(net, variables, images):
    return net.apply(variables, _floats(images), train=False)


def _apply(classifier: Classifier, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if images.shape[3:] != classifier.shape[2:]:
        raise UserError(f"the classifier was trained on {classifier.shape[2]} channels, not on {images.shape[3:]}")
    logits, hidden = [], []
    for i in range(0, len(images), CHUNK):
        chunk = _resize(images[i : i + CHUNK], classifier.shape[:2])
        padded = np.pad(chunk, ((0, CHUNK - len(chunk)), (0, 0), (0, 0), (0, 0)))
        outputs = _forward(Net(classifier.num_classes), classifier.variables, padded)
        logits.append(np.asarray(outputs[0])[: len(chunk)])
        hidden.append(np.asarray(outputs[1])[: len(chunk)])
    return np.concatenate(logits), np.concatenate(hidden)


def _scores(predictions: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return the accuracy, and the mean of the accuracies of the classes that occur."""
    correct = predictions == labels
    return float(correct.mean()), float(np.mean([correct[labels == label].mean() for label in np.unique(labels)]))
