"""Metrics of a checkpoint, or of two folders of images."""

import importlib
import json
import logging
import pkgutil
from pathlib import Path

import ml_collections
import numpy as np

from ganjax import config as configs
from ganjax import data, metrics
from ganjax.data import folder, images, transforms
from ganjax.errors import UserError, nearest
from ganjax.model import load

DEFAULT = ("swd",)
IN_LOOP = 1000  # images a side while training
log = logging.getLogger(__name__)


def metric(name: str):
    """Return `ganjax.metrics.<name>.compute`: uint8 (N, H, W, C) real, fake, seed -> {"value": ..., ...}."""
    known = [module.name for module in pkgutil.iter_modules(metrics.__path__)]
    if name not in known:
        raise UserError(f"metric {name!r} is not known{nearest(name, known)}")
    return importlib.import_module(f"{metrics.__name__}.{name}").compute


def score(names: tuple[str, ...], real: np.ndarray, fake: np.ndarray, seed: int = 0) -> dict[str, dict]:
    """Return {name: result} of uint8 images (N, H, W, C)."""
    return {name: metric(name)(real, fake, seed) for name in names}


def real_images(config: ml_collections.ConfigDict, dataset: data.cache.Dataset, num: int) -> np.ndarray:
    """Return `num` images of the data set as training sees them without augmentation, chosen by the seed; uint8."""
    rows = np.random.default_rng(config.seed).permutation(len(dataset.images))[:num]
    return transforms.centre(dataset.images[np.sort(rows)], *configs.size(config))


def workdir(path: str, names: tuple[str, ...] = DEFAULT, num: int = 2000, seed: int = 0, step=None) -> dict[str, dict]:
    """Score `num` samples of a run against its data set."""
    model = load(path, step)
    dataset = data.open_data(model.config.data)
    if dataset.content != model.meta["data"]:
        log.warning("the images are not those that the run was trained on: their contents differ")
    fake = images.to_uint8(model.sample(num, seed, progress=True))
    results = score(names, real_images(model.config, dataset, num), fake, seed)
    return {name: {**result, "images": model.meta["images"]} for name, result in results.items()}


def folders(real: str, fake: str, names: tuple[str, ...] = DEFAULT, resolution: int = 64, seed: int = 0) -> dict:
    """Score one folder of images against another, both cropped to a square of `resolution` pixels."""
    pair = [folder.read_all(path, resolution, resolution) for path in (real, fake)]
    return {name: {**result, "resolution": resolution} for name, result in score(names, *pair, seed).items()}


def write(results: dict[str, dict], path: str | Path) -> None:
    """Write the results as JSON."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(results, indent=2) + "\n")
