"""The contract between the training loop and a task, which knows what the data are: one task is one file in
`ganjax/tasks/` with `TASK`.
"""

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ganjax.errors import UserError, nearest


class Images(NamedTuple):
    """images: uint8 (N, H, W, C). labels: int32 (N,), -1 for unknown, or None. names: what pairs are matched by."""

    images: np.ndarray
    labels: np.ndarray | None = None
    names: Sequence[str] = ()


class Comparison(NamedTuple):
    """What metrics compare.

    real:     images of the data set, without augmentation; training: all of them. classes: names of their labels.
    generate: ({name: variables}, num, seed=0, progress=False) -> Images, up to `num`.
    content:  the images that were translated, row by row; None of samples.
    latents:  ({name: variables}) -> ((num, seed) -> latents (num, D), latents -> images in [-1, 1]); None where images
              depend on more than latents.
    """

    real: Images
    training: Images
    classes: tuple[str, ...]
    generate: Callable
    content: Images | None = None
    latents: Callable | None = None


class Preview(NamedTuple):
    """What a sheet shows of a run over time.

    rows:      (images seen, {name: variables}) -> [(caption, images (N, H, W, C) in [-1, 1]), ...].
    generated: which of the rows health looks at. columns: images beside each other.
    reference: real images (N, H, W, C) in [-1, 1] that they are held against.
    training:  uint8 (N, H, W, C) that samples may be copies of; None of translations.
    content:   the images that `generated` are translations of; None of samples.
    """

    rows: Callable
    generated: int
    columns: int
    reference: np.ndarray
    training: np.ndarray | None = None
    content: np.ndarray | None = None


class Task(NamedTuple):
    """What the loop, previews and metrics need to know of the data. Every function but `open` is pure.

    check:   (config) -> None. Raises UserError for what of the config cannot be right.
    open:    (config) -> Dataset, decoded; writes what it found out of the data into `config.data`.
    spec:    (config, parts) -> {name: ShapeDtypeStruct} of the batch that a recipe's step is given.
    prepare: (config, batch, key_of) -> that batch, on the device, of {table: {column: rows}}: normalised, augmented.
             key_of: the name of a stream -> its random key at this step.
    preview: (config, methods, dataset) -> Preview.
    compare: (config, methods, dataset, num) -> Comparison of up to `num` real images.
    offers:  (config) -> what a metric may need that a comparison of this run holds: "labels", "content", "pairs", ...
    """

    check: Callable
    open: Callable
    spec: Callable
    prepare: Callable
    preview: Callable
    compare: Callable
    offers: Callable


def of(config: Any) -> Task:
    """Return `ganjax.tasks.<config.task>.TASK`. Raises UserError, with the nearest, for a name that is no task."""
    package = importlib.import_module("ganjax.tasks")
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    if config.task not in names:
        raise UserError(f"config.task = {config.task!r} is no file in ganjax/tasks/{nearest(config.task, names)}")
    return importlib.import_module(f"ganjax.tasks.{config.task}").TASK
