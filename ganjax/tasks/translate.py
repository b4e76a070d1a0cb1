"""Images from images: two sets, A and B, as pairs or not."""

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
Shown = Callable[[ConfigDict, Table, np.ndarray], np.ndarray]


def check(config: ConfigDict) -> None:
    """Raise UserError for labels, which translators do not learn from."""
    if config.data.labels:
        raise UserError(f"config.data.labels: {config.recipe} translates images, and learns from no labels")


def open_data(config: ConfigDict) -> Dataset:
    """Return both sets as the tables "a" and "b"; write into `config.data` whether they are pairs, and how they lay."""
    dataset = domains.open_domains(config.data)
    config.data.paired = "yes" if dataset.aligned else "no"
    config.data.side_by_side = dataset.side_by_side
    return dataset


def spec(config: ConfigDict, parts: int) -> dict[str, jax.ShapeDtypeStruct]:
    """Return the shapes of "a" and "b", floats."""
    shape = (config.batch_size * parts, *size(config), config.data.channels)
    return dict.fromkeys("ab", jax.ShapeDtypeStruct(shape, dtypes(config.precision)[1]))


def prepare(config: ConfigDict, batch: dict, key_of: Callable) -> dict[str, jax.Array]:
    """Return both sets' images, augmented; those of pairs are cut and turned alike."""
    streams = {"a": "augment", "b": "augment" if config.data.paired != "no" else "augment b"}
    return {name: augmented(config, batch[name]["image"], key_of(stream)) for name, stream in streams.items()}


def augmented(config: ConfigDict, images: jax.Array, key: jax.Array) -> jax.Array:
    """Return uint8 images as floats in [-1, 1], augmented as `config.augment` says."""
    images = transforms.normalise(images, dtypes(config.precision)[1])
    return transforms.augment(images, key, *size(config), config.augment)


def shown_as_is(config: ConfigDict, table: Table, rows: np.ndarray) -> np.ndarray:
    """Return images (N, H, W, C) in [-1, 1] as previews and metrics see them: cut."""
    return np.asarray(transforms.normalise(transforms.centre(table.images[rows], *size(config))))


def preview(config: ConfigDict, methods: Mapping[str, Method], dataset: Dataset) -> Preview:
    """Show images of A, what they become, and, where the recipe goes both ways, what becomes of that, and of B; and B,
    as it is and as A's generator leaves it.
    """
    source, target = dataset.tables["a"], dataset.target
    return preview_of(config, methods, source, target, dataset.aligned, shown_as_is)


def preview_of(
    config: ConfigDict, methods: Mapping[str, Method], source: Table, target: Table, aligned: bool, shown: Shown
) -> Preview:
    """Return the preview of translations of the source as it is `shown`."""
    count = config.report.grid
    places = source.sample(count, config.seed)
    a = shown(config, source, places)
    b = shown_as_is(config, target, places if aligned else target.sample(count, config.seed))
    ways = {name: translation(method) for name, method in methods.items()}
    forth, back = ways["translate_ab"], ways.get("translate_ba")

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

    return Preview(rows, 1, count, b, content=a)


def compare(config: ConfigDict, methods: Mapping[str, Method], dataset: Dataset, num: int) -> Comparison:
    """Compare translations of the first images of A, in the order of `translated_first`, with images of B: of pairs,
    those that belong to them.
    """
    source, target = dataset.tables["a"], dataset.target
    return compare_of(config, methods["translate_ab"], source, target, dataset.aligned, shown_as_is, num)


def compare_of(
    config: ConfigDict, method: Method, source: Table, target: Table, aligned: bool, shown: Shown, num: int
) -> Comparison:
    """Return the comparison of translations of the source as it is `shown`."""
    order, run = translated_first(config, source), translation(method)
    rows = order[:num]
    names = [source.names[row] for row in rows]
    everything = transforms.centre(target.images, *size(config))
    own = rows if aligned else target.sample(num, config.seed)

    def generate(variables: dict, num: int, seed: int = 0, progress: bool = False) -> Images:
        chosen, parts = order[:num], []
        starts = range(0, len(chosen), CHUNK)
        for start in progress_bar(starts, shown=progress, desc="translating", unit_scale=CHUNK):
            parts.append(to_uint8(run(variables, shown(config, source, chosen[start : start + CHUNK]))))
        return Images(np.concatenate(parts), names=[source.names[row] for row in chosen])

    return Comparison(
        Images(everything[own], names=names if aligned else ()),
        Images(everything),
        (),
        generate,
        content=Images(to_uint8(shown(config, source, rows)), names=names),
    )


def translated_first(config: ConfigDict, table: Table) -> np.ndarray:
    """Return the rows of the source in the order in which a run's metrics translate them."""
    return np.random.default_rng(config.seed).permutation(len(table.names))


def offers(config: ConfigDict) -> set[str]:
    """Return "labels", "content" and, where the sets may be pairs, "pairs"."""
    pairs = {"pairs", "pairs and weights"} if config.data.paired != "no" else set()
    return {"labels", "content", "content and weights"} | pairs


TASK = Task(check, open_data, spec, prepare, preview, compare, offers)
