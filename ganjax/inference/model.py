"""Load a trained model: `ganjax.load(workdir)`. This needs the workdir only, not the training data."""

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
from ganjax.inference import posthoc, sampler, tiles
from ganjax.recipe import Method
from ganjax.system.names import expanded, printable
from ganjax.workdir import run_folder
from ganjax.workdir.checkpoint import load_ema


class Model(NamedTuple):
    """A recipe's methods and their variables, {network: variables}.

    meta: the checkpoint's metadata (step, images, ...). labels: the classes of a conditional generator, else None.
    """

    config: ml_collections.ConfigDict
    variables: dict[str, dict]
    meta: dict
    methods: Mapping[str, Method]
    labels: Labels | None
    sample: Callable  # (num, seed=0, progress=False, label="", size=None) -> float32 (num, H, W, C) in [-1, 1]
    chunks: Callable  # as `sample`, but yields the images in chunks, so that not all of them are in memory
    translate: Callable | None = None  # the function of `tiles.translator`; None if the run does not translate images

    def __call__(self, image, **options):
        """Translate an image: see `tiles.translator`. Raises UserError if the run does not translate images."""
        if self.translate is None:
            raise UserError(f"this run ({self.config.recipe}) draws samples: it cannot translate images")
        return self.translate(image, **options)


def load(workdir: str | Path, step: int | str | None = None) -> Model:
    """Return a run's model at checkpoint `step`: None for the newest, "best" by `checkpoint.keep_best`, "ema:0.1" for
    weights averaged anew over a tenth of the training (`posthoc`).

    Raises UserError if the workdir has no run or not this checkpoint, or if its config does not match the checkpoint.
    """
    workdir = expanded(workdir, "--workdir")
    config = check(run_folder.read_config(workdir))
    if isinstance(step, str) and step.startswith(posthoc.PREFIX):
        variables, meta = posthoc.load(workdir, config, step)
    else:
        variables, meta = load_ema(workdir / "checkpoints", step)
    run_folder.agree(config, meta, workdir)
    methods = _checked_methods(config, variables, workdir / "config.json")
    label_sets, translate = labels.conditional_labels(config), None
    if any(name.startswith("translate_") for name in methods):
        translate = tiles.translator(methods, variables, config.data.channels)
    text, offer = json.dumps(config.to_dict()), methods.get("sample")

    def chunks(
        num: int,
        seed: int = 0,
        progress: bool = False,
        label: str | np.ndarray = "",
        size: tuple[int, int] | None = None,
    ) -> Iterator[np.ndarray]:
        """Yield the samples in chunks.

        label, for a conditional generator: a class or attributes (`Labels.parse`), or a row of `Labels.table`; "" draws
        labels as in the data. size: (height, width), if the generator allows others than its own. Raises UserError if
        `num` is below 1, the seed exceeds 32 bits, the label is unknown or the size is fixed.
        """
        if offer is None:
            raise UserError(f"this run ({config.recipe}) translates images: it cannot draw samples")
        if size and offer.sized is None:
            raise UserError(f"size {size[0]}x{size[1]}: this run ({config.recipe}) makes images of one size only")
        if isinstance(num, bool) or not isinstance(num, int | np.integer) or num < 1:
            raise UserError(f"the number of images is {num}: it must be an integer of at least 1")
        if not label_sets and not (isinstance(label, str) and label == ""):
            raise UserError(f"label {label!r}: this run is not conditional (config.condition.kind = 'none')")
        if isinstance(label, str):
            label = label_sets.parse(label) if label else None
        return _sampler(text, size)(variables, num, seed, progress, label)

    def sample(*args, **options) -> np.ndarray:
        return np.concatenate(list(chunks(*args, **options)))

    return Model(config, variables, meta, methods, label_sets, sample, chunks, translate)


def _checked_methods(config: ml_collections.ConfigDict, variables: dict, path: Path) -> Mapping[str, Method]:
    """Return the methods of the config's recipe, after a check of shapes only that they accept these variables.

    Raises UserError, which names the file `path`, if they do not. A config may come from anyone, so every error that it
    causes becomes a UserError of one line.
    """

    def use(variables, method, batch):
        key = rng.key(0, "check")
        return method.apply(variables, key, method.inputs(key, 1, batch))

    try:
        run_task = task.of(config)
        run_task.check(config)
        gan = _recipe(json.dumps(config.to_dict()))
        for method in gan.methods.values():
            jax.eval_shape(functools.partial(use, method=method), variables, batch=run_task.spec(config, 1))
    except UserError:
        raise
    except Exception as error:
        reason = printable((str(error).strip() or type(error).__name__).splitlines()[0])[:200]
        raise UserError(
            f"{path} does not describe the networks of its checkpoints: {reason}; restore the run's own config"
        ) from error
    return gan.methods


@functools.lru_cache(maxsize=8)
def _recipe(config: str) -> recipe.Recipe:
    return recipe.build(config_file.of_json(config))


@functools.lru_cache(maxsize=8)
def _sampler(config: str, size: tuple[int, int] | None) -> Callable:
    """Return the chunk sampler of a config as JSON, cached: all checkpoints of a run share one compiled program."""
    method = _recipe(config).methods["sample"]
    return sampler.chunk_sampler(method.sized(size) if size else method)
