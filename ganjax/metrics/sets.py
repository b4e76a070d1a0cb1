"""One side of a comparison: its images, and their features, each computed once."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from ganjax.errors import UserError
from ganjax.metrics.features import classifier, classifier_file, extract, extractors, randconv
from ganjax.metrics.statistics import frechet
from ganjax.ops.alpha import on_white
from ganjax.system import array_files, atomic, cache_dir

STREAM_ABOVE = 250_000  # images: of more, only the features' moments are kept; Inception's features would take 2 GB
OTHER_SCALE = "not comparable with FID"  # the note of distances in other features
log = logging.getLogger(__name__)


class Options(NamedTuple):
    """seed: of all random draws. weights: a file or folder with the networks' weights, as for `weights.load`.

    few: allow FID with fewer than 2048 images. content: the source images, for metrics of translations.
    """

    seed: int = 0
    weights: str | None = None
    few: bool = False
    content: "Side | None" = None


class Side:
    """One side of a comparison: uint8 images (N, H, W, C), perhaps memory-mapped, or given_features (N, D) alone.
    Images with alpha are compared before white.

    labels: int32 (N,), -1 for unknown. names: by which pairs are matched. training_set: all training images, if this
    side has only some of them. cache_features: whether to cache features of large networks on disk. sample: (z) ->
    images in [-1, 1] and draw: (num, seed) -> z, of a latent generator.
    """

    def __init__(
        self,
        images: np.ndarray | None,
        labels: np.ndarray | None = None,
        classes: Sequence[str] = (),
        *,
        names: Sequence[str] = (),
        given_features: np.ndarray | None = None,
        training_set: "Side | None" = None,
        cache_features: bool = False,
        progress: bool = False,
        sample: Callable | None = None,
        draw: Callable | None = None,
    ):
        self._images, self.labels = None if images is None else on_white(images), labels
        self.classes, self.names = tuple(classes), list(names)
        self.given_features, self.training_set = given_features, training_set or self
        self.cache_features, self.progress = cache_features, progress
        self.sample, self.draw = sample, draw
        self._parent: tuple[Side, np.ndarray] | None = None
        self.memo: dict = {}
        if len(self) < 2:
            raise UserError(f"{len(self)} image is too few: at least 2 are needed on each side")

    def __len__(self) -> int:
        return len(self._images if self._images is not None else self.given_features)

    @property
    def images(self) -> np.ndarray:
        """The images. Raises UserError if this side has features alone."""
        if self._images is None:
            raise UserError("this metric needs images, and a file of features was given")
        return self._images

    def take(self, rows: np.ndarray) -> "Side":
        """Return the side of these rows, in ascending order; its features are rows of this side's features."""
        rows = np.sort(rows)
        names = [self.names[row] for row in rows] if self.names else ()
        images, labels, features = (
            None if array is None else array[rows] for array in (self._images, self.labels, self.given_features)
        )
        side = Side(images, labels, self.classes, names=names, given_features=features)
        side.training_set, side._parent = self.training_set, (self, rows)
        return side

    def halves(self, seed: int) -> tuple["Side", "Side"]:
        """Return two random halves, whose distance is that of a perfect generator with half as many images."""
        rows, half = np.random.default_rng(seed).permutation(len(self)), len(self) // 2
        return self.take(rows[:half]), self.take(rows[half : 2 * half])

    @property
    def streamed(self) -> bool:
        """Whether there are too many images to keep their features in memory."""
        return self._parent is None and self._images is not None and len(self) > STREAM_ABOVE

    def features(self, name: str, tap: str, weights: str | None = None) -> np.ndarray:
        """Return features (N, D) in the order of the images: float32 of an extractor; `given_features` for "given"."""
        if name == "given":
            if self.given_features is None:
                raise UserError("this metric needs features, and images were given: an .npz with `features` (N, D)")
            return self.given_features
        if self._parent:
            parent, rows = self._parent
            return parent.features(name, tap, weights)[rows]
        if (name, tap, weights) not in self.memo:
            extractor = extractors.load(name, weights)
            self.memo |= {(name, key, weights): value for key, value in self._extract(extractor).items()}
        return self.memo[name, tap, weights]

    def moments(self, name: str, tap: str, weights: str | None = None) -> frechet.Moments:
        """Return the moments of the features, which are not kept in memory if `streamed`."""
        if not self.streamed or name == "given":
            return frechet.moments(self.features(name, tap, weights))
        sums = None
        for part in extract.batches(extractors.load(name, weights), self.images, progress=self.progress):
            sums = (sums or frechet.Sums.zeros(part[tap].shape[1])).add(frechet.check(part[tap], 1))
        return sums.moments()

    def _extract(self, extractor: extract.Extractor) -> dict[str, np.ndarray]:
        # Computing the random net's features is faster than reading them from a file. Hosts whose caches differ would
        # wait for each other forever: only some would take part in the computation.
        if not self.cache_features or extractor.name == randconv.NAME or jax.process_count() > 1:
            return extract.features(extractor, self.images, progress=self.progress)
        digest = hashlib.sha256(
            repr((extract.VERSION, self.images.shape, extractor.identity, extractor.sha256)).encode()
        )
        for start in range(0, len(self), 1024):
            digest.update(np.ascontiguousarray(self.images[start : start + 1024]).data)
        path = cache_dir.root() / "features" / f"{digest.hexdigest()[:32]}.npz"
        cached = _read_features(path, len(self))
        if cached is not None:
            return cached
        features = extract.features(extractor, self.images, progress=self.progress)
        _write_features(path, features)
        return features

    def classifier(self, seed: int = 0) -> classifier.Classifier:
        """Return the classifier of the training set's labels, cached on disk. Raises UserError if it has no labels."""
        images, labels = self.training_set.images, self.training_set.labels
        if labels is None or len(self.classes) < 2:
            raise UserError("this metric needs labels: a sub-folder for each class, or config.data.labels=true")
        if ("classifier", seed) not in self.training_set.memo:
            content = hashlib.sha256(np.ascontiguousarray(images).data)
            content.update(np.ascontiguousarray(labels).data)
            args = cache_dir.root() / "classifiers", content.hexdigest(), images, labels, len(self.classes)
            self.training_set.memo["classifier", seed] = classifier_file.load_or_train(
                *args, seed=seed, progress=self.progress
            )
        return self.training_set.memo["classifier", seed]


def _read_features(path: Path, count: int) -> dict[str, np.ndarray] | None:
    """Return the cached features {tap: (count, D)}; None if there are none, or, with a warning, if they are damaged."""
    if not path.exists():
        return None
    try:
        arrays = array_files.read_npz(path)
        if arrays and all(
            part.ndim == 2 and len(part) == count and part.dtype == np.float32 for part in arrays.values()
        ):
            return arrays
        log.warning("%s is computed anew: it holds no features of %d images", path, count)
    except UserError as error:
        log.warning("the features are computed anew: %s", error)
    return None


def _write_features(path: Path, features: dict[str, np.ndarray]) -> None:
    try:
        with atomic.replacing(path) as temporary:
            np.savez(temporary, **features)
    except UserError as error:
        log.warning("the features are not cached: %s", error)
