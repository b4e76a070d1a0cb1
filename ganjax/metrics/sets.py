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
from ganjax.system import array_files, atomic, cache_dir

STREAM_ABOVE = 250_000  # images whose features are not kept, but their moments: 2 GB of Inception's
log = logging.getLogger(__name__)


class Options(NamedTuple):
    """seed: of all that is drawn. weights: where those of the nets are. few: call it FID below 2048 images, too.

    content: the photographs that were translated, for the metrics of what is kept of them.
    """

    seed: int = 0
    weights: str | None = None
    few: bool = False
    content: "Side | None" = None


class Side:
    """uint8 images (N, H, W, C), perhaps memory-mapped, or features (N, D) alone.

    labels: int32 (N,), -1 for unknown. names: what pairs are matched by. training_set: all the images that training
    saw, if these are some of them. keep: whether features of large networks go to the cache on disk. sample: (z) ->
    images in [-1, 1] and draw: (num, seed) -> z of a latent generator.
    """

    def __init__(
        self,
        images: np.ndarray | None,
        labels: np.ndarray | None = None,
        classes: Sequence[str] = (),
        *,
        names: Sequence[str] = (),
        given: np.ndarray | None = None,
        training_set: "Side | None" = None,
        keep: bool = False,
        progress: bool = False,
        sample: Callable | None = None,
        draw: Callable | None = None,
    ):
        self._images, self.labels, self.classes, self.names = images, labels, tuple(classes), list(names)
        self.given, self.training_set, self.keep, self.progress = given, training_set or self, keep, progress
        self.sample, self.draw = sample, draw
        self._parent: tuple[Side, np.ndarray] | None = None
        self.memo: dict = {}
        if len(self) < 2:
            raise UserError(f"{len(self)} image is too few: at least 2 are needed on each side")

    def __len__(self) -> int:
        return len(self._images if self._images is not None else self.given)

    @property
    def images(self) -> np.ndarray:
        """The images; UserError where there are features alone."""
        if self._images is None:
            raise UserError("this metric needs images, and a file of features was given")
        return self._images

    def take(self, rows: np.ndarray) -> "Side":
        """Return the side of these rows, in rising order; it shares the features."""
        rows = np.sort(rows)
        names = [self.names[row] for row in rows] if self.names else ()
        images, labels, features = (
            None if array is None else array[rows] for array in (self._images, self.labels, self.given)
        )
        side = Side(images, labels, self.classes, names=names, given=features)
        side.training_set, side._parent = self.training_set, (self, rows)
        return side

    def halves(self, seed: int) -> tuple["Side", "Side"]:
        """Return two random halves: what a perfect generator would be measured as, at half the number."""
        rows, half = np.random.default_rng(seed).permutation(len(self)), len(self) // 2
        return self.take(rows[:half]), self.take(rows[half : 2 * half])

    @property
    def streamed(self) -> bool:
        """Whether the features are too many to be kept."""
        return self._parent is None and self._images is not None and len(self) > STREAM_ABOVE

    def features(self, name: str, tap: str, weights: str | None = None) -> np.ndarray:
        """Return float32 (N, D) in the order of the images: of an extractor by name, or "given" ones."""
        if name == "given":
            if self.given is None:
                raise UserError("this metric needs features, and images were given: an .npz with `features` (N, D)")
            return self.given
        if self._parent:
            parent, rows = self._parent
            return parent.features(name, tap, weights)[rows]
        if (name, tap, weights) not in self.memo:
            extractor = extractors.load(name, weights)
            self.memo |= {(name, key, weights): value for key, value in self._extract(extractor).items()}
        return self.memo[name, tap, weights]

    def moments(self, name: str, tap: str, weights: str | None = None) -> frechet.Moments:
        """Return the moments of the features; of very many images, without keeping the features."""
        if not self.streamed or name == "given":
            return frechet.moments(self.features(name, tap, weights))
        sums = None
        for part in extract.batches(extractors.load(name, weights), self.images, progress=self.progress):
            sums = (sums or frechet.Sums.zeros(part[tap].shape[1])).add(frechet.check(part[tap], 1))
        return sums.moments()

    def _extract(self, extractor: extract.Extractor) -> dict[str, np.ndarray]:
        # The random net takes less time than its file; hosts whose caches differ would wait for each other for ever.
        if not self.keep or extractor.name == randconv.NAME or jax.process_count() > 1:
            return extract.features(extractor, self.images, progress=self.progress)
        digest = hashlib.sha256(
            repr((extract.VERSION, self.images.shape, extractor.identity, extractor.sha256)).encode()
        )
        for start in range(0, len(self), 1024):
            digest.update(np.ascontiguousarray(self.images[start : start + 1024]).data)
        path = cache_dir.root() / "features" / f"{digest.hexdigest()[:32]}.npz"
        cached = _read(path, len(self))
        if cached is not None:
            return cached
        features = extract.features(extractor, self.images, progress=self.progress)
        _write(path, features)
        return features

    def classifier(self, seed: int = 0) -> classifier.Classifier:
        """Return the classifier of the training set's labels, kept in the cache. Raises UserError if there are none."""
        images, labels = self.training_set.images, self.training_set.labels
        if labels is None or len(self.classes) < 2:
            raise UserError("this metric needs labels: a sub-folder for each class, or config.data.labels=true")
        if ("classifier", seed) not in self.training_set.memo:
            content = hashlib.sha256(np.ascontiguousarray(images).data)
            content.update(np.ascontiguousarray(labels).data)
            args = cache_dir.root() / "classifiers", content.hexdigest(), images, labels, len(self.classes)
            self.training_set.memo["classifier", seed] = classifier_file.trained(
                *args, seed=seed, progress=self.progress
            )
        return self.training_set.memo["classifier", seed]


def _read(path: Path, count: int) -> dict[str, np.ndarray] | None:
    """Return the features (count, D) that the cache holds; None, with a warning if they are damaged, without any."""
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


def _write(path: Path, features: dict[str, np.ndarray]) -> None:
    try:
        with atomic.replacing(path) as temporary:
            np.savez(temporary, **features)
    except UserError as error:
        log.warning("features are not kept: %s", error)
