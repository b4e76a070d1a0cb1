"""The task "single": images from noise, learned from one picture."""

from collections.abc import Mapping

import jax
import numpy as np
from ml_collections import ConfigDict

from ganjax import data
from ganjax.augment import transforms
from ganjax.config.derived import dtypes
from ganjax.config.run_keys import AUGMENT
from ganjax.data.folder import Folder
from ganjax.data.images import ImageError, to_uint8
from ganjax.data.table import Dataset
from ganjax.errors import UserError
from ganjax.inference import sampler
from ganjax.recipe import Method
from ganjax.task import Comparison, Images, Task
from ganjax.tasks import generate

REAL_STEPS, SAMPLE_STEPS = 20, 5  # windows along each side of the picture, and of a sample


def check(config: ConfigDict) -> None:
    """Raise UserError if the config has two domains, labels, windows or augmentation."""
    generate.check(config)
    if config.data.labels:
        raise UserError(f"config.data.labels: {config.recipe} learns one picture and uses no labels; set it to False")
    if config.data.windows:
        raise UserError(f"config.data.windows: {config.recipe} learns one whole picture; set it to 0")
    for name, key in AUGMENT.items():
        off = False if name == "flip" else key.default
        if config.augment[name] != off:
            raise UserError(f"config.augment.{name}: {config.recipe} learns the picture as it is; leave it out")


def settle(config: ConfigDict) -> None:
    """Set the width of the images by the picture's shape, unless the user has set it.

    Raises UserError if there is not exactly one picture, or if it cannot be read.
    """
    source = data.source(config.data)
    if len(source) != 1:
        raise UserError(
            f"config.data.path: {config.recipe} learns one picture, and there are {len(source):,}: give the file itself"
        )
    if isinstance(source, Folder) and not config.data.width:
        try:
            height, width = source.size(0)
        except (ImageError, OSError) as error:
            raise UserError(f"config.data.path: {source.name(0)} cannot be read: {error}") from error
        config.data.width = max(round(config.data.resolution * width / height), 1)


def prepare(config: ConfigDict, batch: dict, key_of) -> dict[str, jax.Array]:
    """Return the picture, once for each image of the batch."""
    image = batch["image"]["image"]
    return {"image": transforms.normalise(image, dtypes(config.precision)[1])}


def spec(config: ConfigDict, parts: int) -> dict[str, jax.ShapeDtypeStruct]:
    """Return the shape and dtype of "image"."""
    return {"image": generate.spec(config, parts)["image"]}


def compare(config: ConfigDict, methods: Mapping[str, Method], dataset: Dataset, num: int) -> Comparison:
    """Return the comparison of windows of samples, half as high or wide as the picture, with those of the picture."""
    chunks, picture = sampler.chunk_sampler(methods["sample"]), dataset.target.images
    real = windows(picture, REAL_STEPS)
    rows = np.sort(np.random.default_rng(config.seed).permutation(len(real))[:num])

    def of_samples(variables: dict, num: int, seed: int = 0, progress: bool = False) -> Images:
        count = -(-num // SAMPLE_STEPS**2)
        parts = [windows(to_uint8(part), SAMPLE_STEPS) for part in chunks(variables, count, seed, progress)]
        return Images(np.concatenate(parts)[:num])

    return Comparison(Images(real[rows]), Images(real), (), of_samples)


def windows(images: np.ndarray, steps: int) -> np.ndarray:
    """Return steps x steps square windows of each image (N, H, W, C), evenly placed, of half its shorter side."""
    side = max(min(images.shape[1:3]) // 2, 1)
    tops, lefts = (np.linspace(0, length - side, steps).round().astype(int) for length in images.shape[1:3])
    cut = [images[:, top : top + side, left : left + side] for top in tops for left in lefts]
    return np.stack(cut, 1).reshape(-1, side, side, images.shape[-1])


TASK = Task(
    check, generate.open_data, spec, prepare, generate.preview, compare, offers=lambda config: set(), settle=settle
)
