"""A trained model: `ganjax.load(workdir)`. It needs the workdir alone, never the training data."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import ml_collections
import numpy as np
from tqdm import tqdm

from ganjax import config as configs
from ganjax import recipe, rng
from ganjax.checkpoint import load_ema
from ganjax.ops.shard import everywhere

CHUNK = 64


class Model(NamedTuple):
    """variables: the generator's averaged variables. meta: what the checkpoint says of itself (step, images, ...)."""

    config: ml_collections.ConfigDict
    variables: dict
    meta: dict
    sample: Callable  # (num, seed=0, progress=False) -> float32 images (num, H, W, C) in [-1, 1]


def load(workdir: str | Path, step: int | str | None = None) -> Model:
    """Load a run's generator: of checkpoint `step`, the newest (None), or "best" by `checkpoint.keep_best`.

    UserError where the workdir holds no run or no such checkpoint.
    """
    config = configs.read(Path(workdir) / "config.json")
    variables, meta = load_ema(Path(workdir) / "checkpoints", step)
    draw = _sampler(json.dumps(config.to_dict()))

    def sample(num: int, seed: int = 0, progress: bool = False) -> np.ndarray:
        return draw(variables, num, seed, progress)

    return Model(config, variables, meta, sample)


@functools.lru_cache(maxsize=8)
def _sampler(config: str) -> Callable:
    """Return the sampler of a config as JSON: the checkpoints of a run share one compiled program."""
    return sampler(recipe.build(configs.of_json(config)))


def sampler(gan: recipe.Recipe) -> Callable:
    """Return (variables, num, seed=0, progress=False) -> images (num, H, W, C) in [-1, 1], a NumPy array.

    Image i depends on (seed, i) alone: asking for more keeps the first.
    """

    @jax.jit
    def chunk(variables, input_key, key):
        return everywhere(gan.sample(variables, key, gan.inputs(input_key, CHUNK)))

    def draw(variables, num: int, seed: int = 0, progress: bool = False) -> np.ndarray:
        chunks = []
        for i in tqdm(range(-(-num // CHUNK)), desc="sampling", unit_scale=CHUNK, unit=" images", disable=not progress):
            chunks.append(jax.device_get(chunk(variables, rng.key(seed, "inputs", i), rng.key(seed, "sample", i))))
        return np.concatenate(chunks)[:num]

    return draw
