"""Images from noise: one set of images, perhaps with labels."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ganjax import data, rng
from ganjax.augment import transforms
from ganjax.config.derived import dtypes, size
from ganjax.data import labels
from ganjax.data.images import to_uint8
from ganjax.data.table import Dataset
from ganjax.errors import UserError
from ganjax.inference import sampler
from ganjax.recipe import Method
from ganjax.report import grid
from ganjax.task import Comparison, Images, Preview, Task

CLASSES_SHOWN = 12
HELD_AGAINST = 2000  # real images that samples may be copies of


def check(config: ConfigDict) -> None:
    """Raise UserError for keys of two sets."""
    if config.data.a or config.data.b:
        raise UserError(f"config.data.a and data.b: {config.recipe} has one domain; give --config.data.path=FOLDER")


def open_data(config: ConfigDict) -> Dataset:
    """Return the images as the table "image"; write their classes into `config.data`.

    Raises UserError if a conditional run has fewer than two classes.
    """
    table = data.open_table(config.data)
    if config.data.labels:
        config.data.classes, config.data.class_counts = table.classes, table.class_counts
    if labels.conditional_labels(config) and len(table.classes) < 2:
        raise UserError(
            f"config.condition.kind = {config.condition.kind!r} needs two classes or more, and {config.data.name} has "
            f"{len(table.classes)}: make a sub-folder for each, or set --config.condition.kind=none"
        )
    return Dataset({"image": table})


def spec(config: ConfigDict, parts: int) -> dict[str, jax.ShapeDtypeStruct]:
    """Return the shapes of "image", floats, and "label"."""
    count = config.batch_size * parts
    shape = (count, *size(config), config.data.channels)
    return {
        "image": jax.ShapeDtypeStruct(shape, dtypes(config.precision)[1]),
        "label": jax.ShapeDtypeStruct((count,), np.int32),
    }


def prepare(config: ConfigDict, batch: dict, key_of) -> dict[str, jax.Array]:
    """Return the images, augmented, and their labels, -1 where the run learns from none."""
    image, label = batch["image"]["image"], batch["image"]["label"]
    image = transforms.normalise(image, dtypes(config.precision)[1])
    image = transforms.augment(image, key_of("augment"), *size(config), config.augment)
    return {"image": image, "label": label if config.data.labels else jnp.full_like(label, -1)}


def preview(config: ConfigDict, methods: Mapping[str, Method], dataset: Dataset) -> Preview:
    """Show real images over samples of fixed latents; of a conditional run with a row for each of the commonest
    classes.
    """
    count, table, draw = config.report.grid, dataset.target, sampler.sampler(methods["sample"])
    columns = grid.columns(count)
    real = as_floats(config, table.images[table.sample(columns, config.seed)])
    training = transforms.centre(table.images[table.sample(HELD_AGAINST, config.seed)], *size(config))
    few = np.linspace(0, len(training) - 1, min(count, len(training))).astype(int)  # of all classes, in order
    label_sets = labels.conditional_labels(config)
    classes = (
        sorted(range(len(label_sets.classes)), key=lambda i: -label_sets.counts[i])[:CLASSES_SHOWN]
        if label_sets
        else []
    )

    def rows(images: int, variables: dict) -> list[tuple[str, np.ndarray]]:
        shown = [("real", real), (f"generated, after {images:,} images", draw(variables, count, config.seed))]
        for i in classes:
            of_class = draw(variables, columns, config.seed, label_request=label_sets.table[i])
            shown.append((f"{label_sets.classes[i]} ({label_sets.counts[i]:,} images)", of_class))
        return shown

    reference = transforms.normalise(training[few].astype(np.float32))
    return Preview(rows, 1, columns, reference, training)


def compare(config: ConfigDict, methods: Mapping[str, Method], dataset: Dataset, num: int) -> Comparison:
    """Compare samples with `num` images of the data set, chosen by the seed."""
    table, method = dataset.target, methods["sample"]
    everything = transforms.centre(table.images, *size(config))
    rows, label_sets, chunks = (
        table.sample(num, config.seed),
        labels.conditional_labels(config),
        sampler.chunk_sampler(method),
    )

    def generate(variables: dict, num: int, seed: int = 0, progress: bool = False) -> Images:
        parts = [to_uint8(part) for part in chunks(variables, num, seed, progress)]  # a quarter of the floats
        of_classes = label_sets.classes_of(sampler.sampled_labels(method, num, seed)) if label_sets else None
        return Images(np.concatenate(parts), of_classes)

    def latents(variables: dict) -> tuple:
        key = rng.key(0, "path")
        images = jax.jit(lambda z: method.apply(variables, key, {"z": z})["image"])
        return lambda count, seed: np.asarray(method.inputs(rng.key(seed, "path"), count)["z"]), images

    return Comparison(
        Images(everything[rows], table.labels[rows]),
        Images(everything, table.labels),
        table.classes,
        generate,
        latents=None if label_sets else latents,
    )


def offers(config: ConfigDict) -> set[str]:
    """Return "labels", and of a conditional run those of its samples."""
    return {"labels"} | ({"labels on both sides"} if labels.conditional_labels(config) else set())


def as_floats(config: ConfigDict, images: np.ndarray) -> np.ndarray:
    """Return uint8 images, cut to the size that the nets see, in [-1, 1]."""
    return transforms.normalise(transforms.centre(images, *size(config)).astype(np.float32))


TASK = Task(check, open_data, spec, prepare, preview, compare, offers)
