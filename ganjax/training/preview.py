"""The sheet of samples that a run shows over time, and what it says of the run's health."""

import contextlib
from collections.abc import Callable

import ml_collections
import numpy as np
from PIL import Image

from ganjax.augment import transforms
from ganjax.config import derived
from ganjax.data.cache import Dataset
from ganjax.data.domains import Domains
from ganjax.data.images import to_uint8
from ganjax.errors import UserError
from ganjax.inference.model import labels_of, shown, translation
from ganjax.metrics import evaluate
from ganjax.metrics.statistics import copies
from ganjax.recipe import Recipe
from ganjax.report import grid, health

CLASSES_SHOWN = 12
POOL = 2000  # real images that samples are held against


def of(config: ml_collections.ConfigDict, gan: Recipe, dataset, draw: Callable) -> Callable:
    """Return (step, EMA variables) -> (sheet, what it says of health) of a run."""
    return translations(config, gan, dataset) if config.data.domains == 2 else shower(config, dataset, draw)


def translations(config: ml_collections.ConfigDict, gan: Recipe, domains: Domains) -> Callable:
    """Return (step, EMA variables) -> (sheet, what it says of health): images of A, what they become, and, where the
    recipe goes both ways, what becomes of that, and of B; and B, as it is and as A's generator leaves it.
    """
    count, run = config.report.grid, translation(gan)
    rows = evaluate.chosen(config, domains.a, count)
    a = shown(config, domains.a, rows)
    rows = rows if domains.paired else evaluate.chosen(config, domains.b, count)
    b = np.asarray(transforms.normalise(transforms.centre(domains.b.images[rows], *derived.size(config))))
    usual, ends = health.diversity(b), health.extremes(b)

    def show(step: int, variables: dict) -> tuple[Image.Image, dict[str, float]]:
        fake = run(variables, a, "ab")
        rows = [("A", a), (f"A to B, after {step * config.batch_size:,} images", fake)]
        both = "ba" in variables["params"]
        if both:
            rows.append(("and back to A", run(variables, fake, "ba")))
        rows.append(("B", b))
        if not domains.paired:
            rows.append(("B to B", run(variables, b, "ab")))
        if both:
            back = run(variables, b, "ba")
            rows += [("B to A", back), ("and back to B", run(variables, back, "ab"))]
        return grid.sheet(rows, count), looks(a, fake, usual, ends) if config.health else {}

    return show


def looks(given: np.ndarray, made: np.ndarray, usual: float, ends: float) -> dict[str, float]:
    """Return what translations (N, H, W, C) of images say of health.

    diversity, saturated: against the target domain's diversity `usual` and share of extreme values `ends`.
    checkerboard, brightness: of `health`, the former over the images' own.
    """
    seen = {"diversity": health.diversity(made) / usual} if usual else {}
    seen["saturated"] = health.saturation(made, ends)
    seen["checkerboard"] = health.checkerboard(made) / max(health.checkerboard(given), 1.0)
    return {**seen, "brightness": health.brightness(given, made)}


def shower(config: ml_collections.ConfigDict, dataset: Dataset, draw: Callable) -> Callable:
    """Return (step, EMA variables) -> (sheet, what it says of health): real images over samples of fixed latents; of a
    conditional run with a row for each of the commonest classes. draw: of `model.sampler`.
    """
    count = config.report.grid
    columns = grid.columns(count)
    rows = evaluate.chosen(config, dataset, columns)
    real = transforms.centre(dataset.images[rows], *derived.size(config))
    real = transforms.normalise(real.astype(np.float32))
    watch = watcher(config, dataset)
    known, classes = labels_of(config), []
    if known:
        classes = sorted(range(len(known.classes)), key=lambda i: -known.counts[i])[:CLASSES_SHOWN]

    def show(step: int, variables: dict) -> tuple[Image.Image, dict[str, float]]:
        fake = draw(variables, count, config.seed)
        rows = [("real", real), (f"generated, after {step * config.batch_size:,} images", fake)]
        for i in classes:
            of_class = draw(variables, columns, config.seed, wish=known.table[i])
            rows.append((f"{known.classes[i]} ({known.counts[i]:,} images)", of_class))
        return grid.sheet(rows, columns), watch(fake)

    return show


def watcher(config: ml_collections.ConfigDict, dataset: Dataset) -> Callable[[np.ndarray], dict]:
    """Return fakes -> what they say of health: diversity and saturation against the real images, and the ratio of
    copies; {} if it is off.
    """
    if not config.health:
        return lambda fake: {}
    rows = np.sort(np.random.default_rng(config.seed).permutation(len(dataset.images))[:POOL])
    real = transforms.centre(dataset.images[rows], *derived.size(config))
    few = np.linspace(0, len(real) - 1, min(config.report.grid, len(real))).astype(int)  # of all classes, in order
    shown_real = transforms.normalise(real[few].astype(np.float32))
    usual, ends = health.diversity(shown_real), health.extremes(shown_real)
    try:
        ratio = copies.ratio_to(copies.pixels(real), config.seed)
    except UserError:  # too few images, or too many duplicates, to say
        ratio = None

    def watch(fake: np.ndarray) -> dict[str, float]:
        seen = {"diversity": health.diversity(fake) / usual} if usual else {}
        seen["saturated"] = health.saturation(fake, ends)
        with contextlib.suppress(UserError):
            seen |= {"grid_copies": ratio(copies.pixels(to_uint8(fake)))} if ratio else {}
        return seen

    return watch
