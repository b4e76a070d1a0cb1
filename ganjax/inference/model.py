"""A trained model: `ganjax.load(workdir)`. It needs the workdir alone, never the training data."""

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import ml_collections
import numpy as np

from ganjax import recipe, rng, task
from ganjax.config import file as config_file
from ganjax.config.check import check
from ganjax.data import labels
from ganjax.data.labels import Labels
from ganjax.errors import UserError
from ganjax.inference import sampler, tiles
from ganjax.recipe import Method
from ganjax.system.names import expanded, printable
from ganjax.workdir import run_folder
from ganjax.workdir.checkpoint import load_ema


class Model(NamedTuple):
    """A recipe's methods, and the variables that they take, {network: variables}.

    meta: what the checkpoint says of itself (step, images, ...). labels: what the classes are to a conditional
    generator, else None.
    """

    config: ml_collections.ConfigDict
    variables: dict[str, dict]
    meta: dict
    methods: Mapping[str, Method]
    labels: Labels | None
    sample: Callable  # (num, seed=0, progress=False, label="") -> float32 images (num, H, W, C) in [-1, 1]
    chunks: Callable  # as `sample`, but yields the images in parts: many need not be held at once
    translate: Callable | None = None  # of a run from image to image: `tiles.translator`'s

    def __call__(self, image, **options):
        """Translate an image: see `tiles.translator`. Raises UserError for a run that does not."""
        if self.translate is None:
            raise UserError(f"this run ({self.config.recipe}) translates no images: it samples")
        return self.translate(image, **options)


def load(workdir: str | Path, step: int | str | None = None) -> Model:
    """Load a run's model: of checkpoint `step`, the newest (None), or "best" by `checkpoint.keep_best`.

    Raises UserError if the workdir holds no run or no such checkpoint, or a config that is not the checkpoint's.
    """
    workdir = expanded(workdir, "--workdir")
    config = check(run_folder.read_config(workdir))
    variables, meta = load_ema(workdir / "checkpoints", step)
    run_folder.agree(config, meta, workdir)
    methods = _fitting(config, variables, workdir / "config.json")
    label_sets, translate = labels.conditional_labels(config), None
    if any(name.startswith("translate_") for name in methods):
        translate = tiles.translator(methods, variables, config.data.channels)
    draw = _sampler(json.dumps(config.to_dict())) if "sample" in methods else None

    def chunks(num: int, seed: int = 0, progress: bool = False, label: str | np.ndarray = "") -> Iterator[np.ndarray]:
        """`label` asks a conditional generator for a class, or attributes (`Labels.parse`), or is a row of
        `Labels.table`; "" draws as the data. Raises UserError for a number of images below 1, or a seed beyond 32 bits.
        """
        if draw is None:
            raise UserError(f"this run ({config.recipe}) draws no samples: it translates images")
        if isinstance(num, bool) or not isinstance(num, int | np.integer) or num < 1:
            raise UserError(f"{num} images: at least 1 is needed")
        if isinstance(label, str) and label and not label_sets:
            raise UserError(f"label {label!r}: this run is not conditional (config.condition.kind = 'none')")
        if isinstance(label, str):
            label = label_sets.parse(label) if label else None
        return draw(variables, num, seed, progress, label)

    def sample(num: int, seed: int = 0, progress: bool = False, label: str | np.ndarray = "") -> np.ndarray:
        return np.concatenate(list(chunks(num, seed, progress, label)))

    return Model(config, variables, meta, methods, label_sets, sample, chunks, translate)


def _fitting(config: ml_collections.ConfigDict, variables: dict, path: Path) -> Mapping[str, Method]:
    """Return the methods of a config's recipe; UserError, that names the file, unless they take these variables.

    A config may come from anyone: any error that it causes becomes one sentence. Nothing is computed.
    """

    def use(variables, method, batch):
        key = rng.key(0, "check")
        return method.apply(variables, key, method.inputs(key, 1, batch))

    try:
        own = task.of(config)
        own.check(config)
        gan = _recipe(json.dumps(config.to_dict()))
        for method in gan.methods.values():
            jax.eval_shape(functools.partial(use, method=method), variables, batch=own.spec(config, 1))
    except UserError:
        raise
    except Exception as error:
        reason = printable((str(error).strip() or type(error).__name__).splitlines()[0])[:200]
        raise UserError(f"{path} does not describe the network of its checkpoints: {reason}. Restore it") from error
    return gan.methods


@functools.lru_cache(maxsize=8)
def _recipe(config: str) -> recipe.Recipe:
    return recipe.build(config_file.of_json(config))


@functools.lru_cache(maxsize=8)
def _sampler(config: str) -> Callable:
    """Return the sampler in chunks of a config as JSON: the checkpoints of a run share one compiled program."""
    return sampler.chunk_sampler(_recipe(config).methods["sample"])
