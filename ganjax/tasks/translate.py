"""The task "translate": images from images, learned from two sets, A and B, paired or not."""

from collections.abc import Callable, Mapping

import jax
import numpy as np
from ml_collections import ConfigDict

from ganjax.augment import transforms
from ganjax.config.derived import dtypes, size
from ganjax.data import domains
from ganjax.data.images import to_uint8
from ganjax.data.table import Dataset, Table
from ganjax.errors import UserError
from ganjax.inference.sampler import translation
from ganjax.recipe import Method
from ganjax.system.progress import progress_bar
from ganjax.task import Comparison, Images, Preview, Task

CHUNK = 64  # images that are translated at a time
LoadImages = Callable[[ConfigDict, Table, np.ndarray], np.ndarray]  # (config, table, rows) -> images in [-1, 1]


def check(config: ConfigDict) -> None:
    """Raise UserError if the config has labels, which translators do not use."""
    if config.data.labels:
        raise UserError(f"config.data.labels: {config.recipe} translates images and uses no labels; set it to False")


def open_data(config: ConfigDict) -> Dataset:
    """Return both sets as the tables "a" and "b"; write into `config.data` whether they are paired and side by side."""
    dataset = domains.open_domains(config.data)
    config.data.paired = "yes" if dataset.aligned else "no"
    config.data.side_by_side = dataset.side_by_side
    return dataset


def spec(config: ConfigDict, parts: int) -> dict[str, jax.ShapeDtypeStruct]:
    """Return the shapes and dtypes of "a" and "b", floats, for `parts` batches."""
    shape = (config.batch_size * parts, *size(config), config.data.channels)
    return dict.fromkeys("ab", jax.ShapeDtypeStruct(shape, dtypes(config.precision)[1]))


def prepare(config: ConfigDict, batch: dict, key_of: Callable) -> dict[str, jax.Array]:
    """Return the augmented images of both sets; both images of a pair are cropped and flipped alike."""
    streams = {"a": "augment", "b": "augment" if config.data.paired != "no" else "augment b"}
    return {name: augmented(config, batch[name]["image"], key_of(stream)) for name, stream in streams.items()}


def augmented(config: ConfigDict, images: jax.Array, key: jax.Array) -> jax.Array:
    """Return uint8 images as floats in [-1, 1], augmented by `config.augment`."""
    images = transforms.normalise(images, dtypes(config.precision)[1])
    return transforms.augment(images, key, *size(config), config.augment)


def cropped_images(config: ConfigDict, table: Table, rows: np.ndarray) -> np.ndarray:
    """Return images (N, H, W, C) in [-1, 1] for previews and metrics: cropped at the centre, not augmented."""
    return np.asarray(transforms.normalise(transforms.centre(table.images[rows], *size(config))))


def preview(config: ConfigDict, methods: Mapping[str, Method], dataset: Dataset) -> Preview:
    """Return the preview: images of A, their translations, images of B and, unless A and B are pairs, the output of A's
    generator for B. If the recipe translates both ways, it adds the translations of B and both cycles.
    """
    source, target = dataset.tables["a"], dataset.target
    return preview_of(config, methods, source, target, dataset.aligned, cropped_images)


def preview_of(
    config: ConfigDict, methods: Mapping[str, Method], source: Table, target: Table, aligned: bool, load: LoadImages
) -> Preview:
    """Return the preview of translations of the images that `load` returns for rows of `source`."""
    count = config.report.grid
    source_rows = source.sample(count, config.seed)
    a = load(config, source, source_rows)
    b = cropped_images(config, target, source_rows if aligned else target.sample(count, config.seed))
    translators = {name: translation(method) for name, method in methods.items()}
    forth, back = translators["translate_ab"], translators.get("translate_ba")

    def rows(images: int, variables: dict) -> list[tuple[str, np.ndarray]]:
        fake = forth(variables, a)
        blocks = [("A", a), (f"A to B, after {images:,} images", fake)]
        if back:
            blocks.append(("and back to A", back(variables, fake)))
        blocks.append(("B", b))
        if not aligned:
            blocks.append(("B to B", forth(variables, b)))
        if back:
            returned = back(variables, b)
            blocks += [("B to A", returned), ("and back to B", forth(variables, returned))]
        return blocks

    return Preview(rows, generated=1, columns=count, reference=b, content=a)


def compare(config: ConfigDict, methods: Mapping[str, Method], dataset: Dataset, num: int) -> Comparison:
    """Return the comparison of translations of the first `num` images of A, in the order of `translation_order`, with
    images of B: with their partners if A and B are pairs, else with `num` images chosen by the seed.
    """
    source, target = dataset.tables["a"], dataset.target
    return compare_of(config, methods["translate_ab"], source, target, dataset.aligned, cropped_images, num)


def compare_of(
    config: ConfigDict, method: Method, source: Table, target: Table, aligned: bool, load: LoadImages, num: int
) -> Comparison:
    """Return the comparison for translations of the images that `load` returns for rows of `source`."""
    order, translate = translation_order(config, source), translation(method)
    source_rows = order[:num]
    names = [source.names[row] for row in source_rows]
    training = transforms.centre(target.images, *size(config))
    target_rows = source_rows if aligned else target.sample(num, config.seed)

    def generate(variables: dict, num: int, seed: int = 0, progress: bool = False) -> Images:
        rows, parts = order[:num], []
        starts = range(0, len(rows), CHUNK)
        for start in progress_bar(starts, shown=progress, desc="translating", unit_scale=CHUNK):
            parts.append(to_uint8(translate(variables, load(config, source, rows[start : start + CHUNK]))))
        return Images(np.concatenate(parts), names=[source.names[row] for row in rows])

    return Comparison(
        Images(training[target_rows], names=names if aligned else ()),
        Images(training),
        (),
        generate,
        content=Images(to_uint8(load(config, source, source_rows)), names=names),
    )


def translation_order(config: ConfigDict, table: Table) -> np.ndarray:
    """Return the rows of `table` in the order in which a run's metrics translate them."""
    return np.random.default_rng(config.seed).permutation(len(table.names))


def offers(config: ConfigDict) -> set[str]:
    """Return what comparisons of this run provide to metrics: labels, content and, if the sets may be pairs, pairs."""
    pairs = {"pairs", "pairs and weights"} if config.data.paired != "no" else set()
    return {"labels", "content", "content and weights"} | pairs


TASK = Task(check, open_data, spec, prepare, preview, compare, offers)
