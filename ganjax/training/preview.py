"""The sample sheets of a run, and the health statistics of their images."""

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
    """Return the function (step, {name: variables}) -> (sheet, health statistics) of a run."""
    preview = task.preview(config, methods, dataset)
    measure = make_health(preview, config.seed) if config.health else None

    def show(step: int, variables: dict) -> tuple[Image.Image, dict[str, float]]:
        rows = preview.rows(step * config.batch_size, variables)
        return grid.sheet(rows, preview.columns), measure(rows[preview.generated][1]) if measure else {}

    return show


def make_health(preview: Preview, seed: int) -> Callable[[np.ndarray], dict[str, float]]:
    """Return the function generated images (N, H, W, C) -> health statistics.

    diversity, saturated: relative to the reference images. For samples, grid_copies: the ratio of copies. For
    translations, checkerboard (relative to the source images) and brightness: see `report.health`.
    """
    usual, ends = health.diversity(preview.reference), health.extremes(preview.reference)
    if preview.training is None:
        more = translation_health(preview.content)
    else:
        more = sample_health(preview.training, seed)

    def measure(generated: np.ndarray) -> dict[str, float]:
        diversity = {"diversity": health.diversity(generated) / usual} if usual else {}
        return {**diversity, "saturated": health.saturation(generated, ends), **more(generated)}

    return measure


def translation_health(content: np.ndarray) -> Callable[[np.ndarray], dict[str, float]]:
    """Return the function translations of the content images -> {"checkerboard", "brightness"}."""
    usual = max(health.checkerboard(content), 1.0)
    return lambda generated: {
        "checkerboard": health.checkerboard(generated) / usual,
        "brightness": health.brightness(content, generated),
    }


def sample_health(training: np.ndarray, seed: int) -> Callable[[np.ndarray], dict[str, float]]:
    """Return the function samples -> {"grid_copies": ratio to training images}; {} if images are too few or alike."""
    try:
        ratio = copies.ratio_to(copies.pixels(training), seed)
    except UserError:
        return lambda generated: {}

    def measure(generated: np.ndarray) -> dict[str, float]:
        with contextlib.suppress(UserError):
            return {"grid_copies": ratio(copies.pixels(to_uint8(generated)))}
        return {}

    return measure
