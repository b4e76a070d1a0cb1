"""The task "single": images from noise, learned from one picture."""

from collections.abc import Mapping

import jax
from ml_collections import ConfigDict

from ganjax import data
from ganjax.augment import transforms
from ganjax.config.derived import dtypes
from ganjax.config.run_keys import AUGMENT
from ganjax.data.folder import Folder
from ganjax.data.images import ImageError
from ganjax.data.table import Dataset
from ganjax.errors import UserError
from ganjax.recipe import Method
from ganjax.task import Comparison, Task
from ganjax.tasks import generate


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
    """Return the comparison of samples with the picture."""
    return generate.compare(config, methods, dataset, num)._replace(latents=None)  # there is one for each scale


TASK = Task(
    check, generate.open_data, spec, prepare, generate.preview, compare, offers=lambda config: set(), settle=settle
)
