"""The task "generate": images from noise, learned from one set of images, with or without labels."""

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

PREVIEW_CLASSES = 12
COPY_REFERENCES = 2000  # training images among which copies of the samples are searched for


def check(config: ConfigDict) -> None:
    """Raise UserError if the config has two sets of images, A and B."""
    if config.data.a or config.data.b:
        raise UserError(f"config.data.a and data.b: {config.recipe} has one domain; set --config.data.path=FOLDER")


def open_data(config: ConfigDict) -> Dataset:
    """Return the images as the table "image"; write their classes and class counts into `config.data`.

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
    """Return the shapes and dtypes of "image", floats, and "label", for `parts` batches."""
    count = config.batch_size * parts
    shape = (count, *size(config), config.data.channels)
    return {
        "image": jax.ShapeDtypeStruct(shape, dtypes(config.precision)[1]),
        "label": jax.ShapeDtypeStruct((count,), np.int32),
    }


def prepare(config: ConfigDict, batch: dict, key_of) -> dict[str, jax.Array]:
    """Return the augmented images and their labels, all -1 if the run does not use labels."""
    image, label = batch["image"]["image"], batch["image"]["label"]
    image = transforms.normalise(image, dtypes(config.precision)[1])
    image = transforms.augment(image, key_of("augment"), *size(config), config.augment)
    return {"image": image, "label": label if config.data.labels else jnp.full_like(label, -1)}


def preview(config: ConfigDict, methods: Mapping[str, Method], dataset: Dataset) -> Preview:
    """Return the preview: real images above samples from fixed latents.

    A conditional run adds a row of samples for each of the most frequent classes.
    """
    count, table, draw = config.report.grid, dataset.target, sampler.sampler(methods["sample"])
    columns = grid.columns(count)
    real = as_floats(config, table.images[table.sample(columns, config.seed)])
    training = transforms.centre(table.images[table.sample(COPY_REFERENCES, config.seed)], *size(config))
    # A folder's images are in the order of their classes, so evenly spaced ones cover all classes.
    spaced = np.linspace(0, len(training) - 1, min(count, len(training))).astype(int)
    label_sets, classes = labels.conditional_labels(config), []
    if label_sets:
        by_count = sorted(range(len(label_sets.classes)), key=lambda i: -label_sets.counts[i])
        classes = by_count[:PREVIEW_CLASSES]

    def rows(images: int, variables: dict) -> list[tuple[str, np.ndarray]]:
        captioned = [("real", real), (f"generated, after {images:,} images", draw(variables, count, config.seed))]
        for i in classes:
            samples = draw(variables, columns, config.seed, label_request=label_sets.table[i])
            captioned.append((f"{label_sets.classes[i]} ({label_sets.counts[i]:,} images)", samples))
        return captioned

    reference = transforms.normalise(training[spaced].astype(np.float32))
    return Preview(rows, generated=1, columns=columns, reference=reference, training=training)


def compare(config: ConfigDict, methods: Mapping[str, Method], dataset: Dataset, num: int) -> Comparison:
    """Return the comparison of samples with `num` images of the dataset, chosen by the seed."""
    table, method = dataset.target, methods["sample"]
    training = transforms.centre(table.images, *size(config))
    rows, chunks = table.sample(num, config.seed), sampler.chunk_sampler(method)
    label_sets = labels.conditional_labels(config)

    def generate(variables: dict, num: int, seed: int = 0, progress: bool = False) -> Images:
        # The chunks are kept as uint8, which takes a quarter of the memory of floats.
        parts = [to_uint8(part) for part in chunks(variables, num, seed, progress)]
        classes = label_sets.classes_of(sampler.sampled_labels(method, num, seed)) if label_sets else None
        return Images(np.concatenate(parts), classes)

    def latents(variables: dict) -> tuple:
        key = rng.key(0, "path")
        images = jax.jit(lambda z: method.apply(variables, key, {"z": z})["image"])
        return lambda count, seed: np.asarray(method.inputs(rng.key(seed, "path"), count)["z"]), images

    return Comparison(
        Images(training[rows], table.labels[rows]),
        Images(training, table.labels),
        table.classes,
        generate,
        latents=None if label_sets else latents,
    )


def offers(config: ConfigDict) -> set[str]:
    """Return "labels" and, for a conditional run, whose samples have labels too, "labels on both sides"."""
    return {"labels"} | ({"labels on both sides"} if labels.conditional_labels(config) else set())


def as_floats(config: ConfigDict, images: np.ndarray) -> np.ndarray:
    """Return uint8 images as floats in [-1, 1], cropped at the centre to the size of the nets."""
    return transforms.normalise(transforms.centre(images, *size(config)).astype(np.float32))


TASK = Task(check, open_data, spec, prepare, preview, compare, offers)
