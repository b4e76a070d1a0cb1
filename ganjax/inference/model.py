"""A trained model: `ganjax.load(workdir)`. It needs the workdir alone, never the training data."""

import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from ganjax import recipe, rng
from ganjax.augment import damage, transforms
from ganjax.config import derived
from ganjax.config import file as config_file
from ganjax.config.check import check
from ganjax.data import labels
from ganjax.data.cache import Dataset
from ganjax.data.labels import Labels
from ganjax.errors import UserError
from ganjax.inference import tiles
from ganjax.ops.shard import everywhere
from ganjax.system.names import expanded, printable
from ganjax.system.progress import progress_bar
from ganjax.workdir import run_folder
from ganjax.workdir.checkpoint import load_ema

CHUNK = 64


class Model(NamedTuple):
    """variables: the generator's averaged variables. meta: what the checkpoint says of itself (step, images, ...).

    labels: what the classes are to a conditional generator, else None.
    """

    config: ml_collections.ConfigDict
    variables: dict
    meta: dict
    labels: Labels | None
    sample: Callable  # (num, seed=0, progress=False, label="") -> float32 images (num, H, W, C) in [-1, 1]
    translate: Callable | None = None  # of a run from image to image: `tiles.translator`'s
    chunks: Callable | None = None  # as `sample`, but yields the images in parts: many need not be held at once

    def __call__(self, image, **options):
        """Translate an image: see `tiles.translator`. UserError for a run that does not."""
        if self.translate is None:
            raise UserError(f"this run ({self.config.recipe}) translates no images: it samples")
        return self.translate(image, **options)


def load(workdir: str | Path, step: int | str | None = None) -> Model:
    """Load a run's generator: of checkpoint `step`, the newest (None), or "best" by `checkpoint.keep_best`.

    UserError where the workdir holds no run or no such checkpoint, or a config that is not the checkpoint's.
    """
    workdir = expanded(workdir, "--workdir")
    config = check(run_folder.read_config(workdir))
    variables, meta = load_ema(workdir / "checkpoints", step)
    run_folder.agree(config, meta, workdir)
    gan = _fitting(config, variables, workdir / "config.json")
    if config.data.domains == 2:

        def none(*_, **__):
            raise UserError(f"this run ({config.recipe}) draws no samples: it translates images")

        run = tiles.translator(gan, variables, config.data.channels)
        return Model(config, variables, meta, None, none, run, none)
    draw, known = _sampler(json.dumps(config.to_dict())), labels_of(config)

    def chunks(num: int, seed: int = 0, progress: bool = False, label: str | np.ndarray = "") -> Iterator[np.ndarray]:
        """`label` asks a conditional generator for a class, or attributes (`Labels.parse`), or is a row of
        `Labels.table`; "" draws as the data. UserError for a number of images below 1, or a seed beyond 32 bits.
        """
        if isinstance(num, bool) or not isinstance(num, int | np.integer) or num < 1:
            raise UserError(f"{num} images: at least 1 is needed")
        if isinstance(label, str) and label and not known:
            raise UserError(f"label {label!r}: this run is not conditional (config.condition.kind = 'none')")
        if isinstance(label, str):
            label = known.parse(label) if label else None
        return draw(variables, num, seed, progress, label)

    def sample(num: int, seed: int = 0, progress: bool = False, label: str | np.ndarray = "") -> np.ndarray:
        return np.concatenate(list(chunks(num, seed, progress, label)))

    return Model(config, variables, meta, known, sample, chunks=chunks)


def _fitting(config: ml_collections.ConfigDict, variables: dict, path: Path) -> recipe.Recipe:
    """Return the recipe of a config; UserError, that names the file, unless its generator takes these variables.

    A config may come from anyone: whatever it makes the recipe raise is told, and nothing is computed.
    """
    shape = (1, *derived.size(config), config.data.channels)
    image = {"a": jax.ShapeDtypeStruct(shape, derived.dtypes(config.precision)[1])}

    def sample(variables, batch):
        key = rng.key(0, "check")
        return gan.sample(variables, key, gan.inputs(key, 1, batch))

    try:
        gan = _recipe(json.dumps(config.to_dict()))
        jax.eval_shape(sample, variables, image)
    except UserError:
        raise
    except Exception as error:
        reason = printable((str(error).strip() or type(error).__name__).splitlines()[0])[:200]
        raise UserError(f"{path} does not describe the network of its checkpoints: {reason}. Restore it") from error
    return gan


def labels_of(config: ml_collections.ConfigDict) -> Labels | None:
    """Return the labels of a conditional run, else None."""
    conditional = "condition" in config and config.condition.kind != "none"
    return labels.of(config) if conditional else None


@functools.lru_cache(maxsize=8)
def _recipe(config: str) -> recipe.Recipe:
    return recipe.build(config_file.of_json(config))


@functools.lru_cache(maxsize=8)
def _sampler(config: str) -> Callable:
    """Return the sampler in chunks of a config as JSON: the checkpoints of a run share one compiled program."""
    return chunk_sampler(_recipe(config))


def sampler(gan: recipe.Recipe) -> Callable:
    """Return (variables, num, seed=0, progress=False, wish=None) -> images (num, H, W, C) in [-1, 1], a NumPy array:
    those of `chunk_sampler`.
    """
    chunks = chunk_sampler(gan)

    def draw(variables, num: int, seed: int = 0, progress: bool = False, wish: np.ndarray | None = None) -> np.ndarray:
        return np.concatenate(list(chunks(variables, num, seed, progress, wish)))

    return draw


def chunk_sampler(gan: recipe.Recipe) -> Callable:
    """Return (variables, num, seed=0, progress=False, wish=None) -> an iterator of images (n, H, W, C) in [-1, 1],
    NumPy arrays of CHUNK images, the last of fewer, `num` in all.

    Image i depends on (seed, i) and the wish alone: asking for more keeps the first. The wish, int32 (A,), is for a
    conditional generator: the values of its attributes, OPEN for those drawn as in the data.
    """
    given = jax.eval_shape(lambda: gan.inputs(rng.key(0, "inputs"), CHUNK)).get("label")

    @jax.jit
    def chunk(variables, input_key, key, wish):
        inputs = gan.inputs(input_key, CHUNK)
        if given is not None:
            inputs["label"] = jnp.where(wish == labels.OPEN, inputs["label"], wish)
        return everywhere(gan.sample(variables, key, inputs))

    def draw(
        variables, num: int, seed: int = 0, progress: bool = False, wish: np.ndarray | None = None
    ) -> Iterator[np.ndarray]:
        if wish is None and given is not None:
            wish = np.full(given.shape[1], labels.OPEN, np.int32)
        for i in progress_bar(
            range(-(-num // CHUNK)), shown=progress, desc="sampling", unit_scale=CHUNK, unit=" images"
        ):
            keys = rng.key(seed, "inputs", i), rng.key(seed, "sample", i)
            yield jax.device_get(chunk(variables, *keys, wish))[: num - i * CHUNK]

    return draw


def translator(gan: recipe.Recipe, given: Dataset, config: ml_collections.ConfigDict) -> Callable:
    """Return (variables, num, seed=0, progress=False, wish=None) -> images (n, H, W, C) in [-1, 1]: translations of
    the first `num` images of domain A, or all if they are fewer, in the order of `translated_first`.
    """
    order, run = translated_first(config, given), translation(gan)

    def draw(variables, num: int, seed: int = 0, progress: bool = False, wish: np.ndarray | None = None) -> np.ndarray:
        del seed, wish
        chunks = []
        for start in progress_bar(
            range(0, len(order[:num]), CHUNK), shown=progress, desc="translating", unit_scale=CHUNK
        ):
            chunks.append(run(variables, shown(config, given, order[:num][start : start + CHUNK]), "ab"))
        return np.concatenate(chunks)

    return draw


def shown(config: ml_collections.ConfigDict, given: Dataset, rows: np.ndarray) -> np.ndarray:
    """Return images of domain A as they are shown and measured, float32 (N, H, W, C): cut, and with `config.damage`
    damaged, each row always alike.
    """
    pixels = transforms.centre(given.images[rows], *derived.size(config))
    images = np.asarray(transforms.normalise(pixels))
    if config.data.paired != "self":
        return images
    keys = jax.vmap(jax.random.fold_in, (None, 0))(rng.key(config.seed, "damage shown"), jnp.asarray(rows))
    return np.asarray(damage.damage(images, keys, config.damage.kinds, config.damage.chance))


def translated_first(config: ml_collections.ConfigDict, given: Dataset) -> np.ndarray:
    """Return the rows of domain A in the order in which a run's metrics translate them."""
    return np.random.default_rng(config.seed).permutation(len(given.images))


def translation(gan: recipe.Recipe) -> Callable:
    """Return (variables, images (n, H, W, C) in [-1, 1], direction) -> images of the other domain, a NumPy array."""
    sample = lambda variables, key, image, direction: everywhere(  # noqa: E731
        gan.sample(variables, key, {"image": image, "direction": direction})
    )
    compiled = jax.jit(sample, static_argnums=3)

    def run(variables, image: np.ndarray, direction: str) -> np.ndarray:
        return jax.device_get(compiled(variables, rng.key(0, "translate"), image, direction))

    return run


def drawn(gan: recipe.Recipe, num: int, seed: int = 0) -> np.ndarray:
    """Return the labels, int32 (num, A), of the images that the sampler of a conditional recipe draws."""
    chunks = [gan.inputs(rng.key(seed, "inputs", i), CHUNK)["label"] for i in range(-(-num // CHUNK))]
    return np.concatenate(chunks)[:num]
