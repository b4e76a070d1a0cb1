"""The sheet of samples that a run shows over time, and what it says of the run's health."""

import contextlib
from collections.abc import Callable, Mapping

import ml_collections
import numpy as np
from PIL import Image

from ganjax.data.images import to_uint8
from ganjax.data.table import Dataset
from ganjax.errors import UserError
from ganjax.metrics.statistics import copies
from ganjax.recipe import Method
from ganjax.report import grid, health
from ganjax.task import Preview, Task


def make_preview(
    config: ml_collections.ConfigDict, task: Task, methods: Mapping[str, Method], dataset: Dataset
) -> Callable:
    """Return (step, {name: variables}) -> (sheet, what it says of health) of a run."""
    preview = task.preview(config, methods, dataset)
    measure = health_of(preview, config.seed) if config.health else None

    def show(step: int, variables: dict) -> tuple[Image.Image, dict[str, float]]:
        rows = preview.rows(step * config.batch_size, variables)
        return grid.sheet(rows, preview.columns), measure(rows[preview.generated][1]) if measure else {}

    return show


def health_of(preview: Preview, seed: int) -> Callable[[np.ndarray], dict[str, float]]:
    """Return generated images (N, H, W, C) -> what they say of health.

    diversity, saturated: against those of the reference images. Of samples, grid_copies: the ratio of copies. Of
    translations, checkerboard and brightness, of `health`, the former over the images' own.
    """
    usual, ends = health.diversity(preview.reference), health.extremes(preview.reference)
    others = of_translations(preview.content) if preview.training is None else of_samples(preview.training, seed)

    def measure(generated: np.ndarray) -> dict[str, float]:
        spread = {"diversity": health.diversity(generated) / usual} if usual else {}
        return {**spread, "saturated": health.saturation(generated, ends), **others(generated)}

    return measure


def of_translations(content: np.ndarray) -> Callable[[np.ndarray], dict[str, float]]:
    """Return translations of the content -> {"checkerboard", "brightness"}."""
    own = max(health.checkerboard(content), 1.0)
    return lambda generated: {
        "checkerboard": health.checkerboard(generated) / own,
        "brightness": health.brightness(content, generated),
    }


def of_samples(training: np.ndarray, seed: int) -> Callable[[np.ndarray], dict[str, float]]:
    """Return samples -> {"grid_copies": ratio to training images}; {} where they are too few, or too alike, to say."""
    try:
        ratio = copies.ratio_to(copies.pixels(training), seed)
    except UserError:
        return lambda generated: {}

    def measure(generated: np.ndarray) -> dict[str, float]:
        with contextlib.suppress(UserError):
            return {"grid_copies": ratio(copies.pixels(to_uint8(generated)))}
        return {}

    return measure
