"""The contract between the training loop and a task, which defines the data. Each task is one file in `ganjax/tasks/`
with `TASK`.
"""

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ganjax.errors import UserError, nearest


class Images(NamedTuple):
    """A set of images, uint8 (N, H, W, C). labels: int32 (N,), -1 for unknown, or None. names: used to match pairs."""

    images: np.ndarray
    labels: np.ndarray | None = None
    names: Sequence[str] = ()


class Comparison(NamedTuple):
    """The images that metrics compare.

    real:     images of the dataset, without augmentation; training: all of them. classes: names of their labels.
    generate: ({name: variables}, num, seed=0, progress=False) -> Images, up to `num`.
    content:  the source images of translations, row by row; None for samples.
    latents:  ({name: variables}) -> ((num, seed) -> latents (num, D), latents -> images in [-1, 1]); None if images
              depend on more than latents.
    """

    real: Images
    training: Images
    classes: tuple[str, ...]
    generate: Callable
    content: Images | None = None
    latents: Callable | None = None


class Preview(NamedTuple):
    """The sample sheets of a run.

    rows:      (images seen, {name: variables}) -> [(caption, images (N, H, W, C) in [-1, 1]), ...].
    generated: index of the row that health statistics are computed on. columns: images side by side.
    reference: real images (N, H, W, C) in [-1, 1] that this row is compared with.
    training:  training images, uint8 (N, H, W, C), which samples may copy; None for translations.
    content:   the source images of the row `generated`; None for samples.
    """

    rows: Callable
    generated: int
    columns: int
    reference: np.ndarray
    training: np.ndarray | None = None
    content: np.ndarray | None = None


class Task(NamedTuple):
    """A kind of data, as the loop, previews and metrics use it. All functions but `open` are pure.

    check:   (config) -> None. Raises UserError if the config is invalid for this task.
    open:    (config) -> Dataset, decoded; records properties of the data in `config.data`.
    spec:    (config, parts) -> {name: ShapeDtypeStruct} of the batch that a recipe's step takes.
    prepare: (config, batch, key_of) -> this batch, normalised and augmented on the device; batch: {table: {column:
             rows}}. key_of: name of a stream -> its random key at this step.
    preview: (config, methods, dataset) -> Preview.
    compare: (config, methods, dataset, num) -> Comparison of up to `num` real images.
    settle:  (config) -> None. Fills in keys that follow from the data, when a run begins.
    offers:  (config) -> what comparisons of this run hold for metrics that need it: "labels", "content", "pairs", ...
    """

    check: Callable
    open: Callable
    spec: Callable
    prepare: Callable
    preview: Callable
    compare: Callable
    offers: Callable
    settle: Callable | None = None


def of(config: Any) -> Task:
    """Return `ganjax.tasks.<config.task>.TASK`. Raises UserError, which suggests a name, if there is no such task."""
    package = importlib.import_module("ganjax.tasks")
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    if config.task not in names:
        raise UserError(f"config.task = {config.task!r} is no file in ganjax/tasks/{nearest(config.task, names)}")
    return importlib.import_module(f"ganjax.tasks.{config.task}").TASK
