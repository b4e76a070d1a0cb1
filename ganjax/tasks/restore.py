"""Whole images from damaged ones: one set, whose images the task damages itself. Training damage is random; previews
and metrics use fixed damage.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ganjax import rng
from ganjax.augment import damage
from ganjax.config.derived import dtypes
from ganjax.data import domains
from ganjax.data.table import Dataset, Table
from ganjax.errors import UserError
from ganjax.recipe import Method
from ganjax.task import Comparison, Preview, Task
from ganjax.tasks import translate


def check(config: ConfigDict) -> None:
    """Raise UserError for kinds of damage that are not known, for two sets, and for labels."""
    translate.check(config)
    if config.data.a or config.data.b:
        raise UserError("config.damage makes A of B: give the whole images alone, --config.data.path=FOLDER")
    if not config.damage.kinds:
        raise UserError("config.damage.kinds is empty: name what the run learns to mend, as in blur,jpeg,cracks")
    try:
        damage.check(config.damage.kinds)
    except ValueError as error:
        raise UserError(f"config.damage.kinds: {error}") from error


def open_data(config: ConfigDict) -> Dataset:
    """Return the whole images as the table "b"."""
    return domains.open_whole(config.data)


def prepare(config: ConfigDict, batch: dict, key_of: Callable) -> dict[str, jax.Array]:
    """Return the images, augmented, as "b", and what damage makes of each, by a key of its own, as "a"."""
    whole = translate.augmented(config, batch["b"]["image"], key_of("augment"))
    keys = jax.random.split(key_of("damage"), len(whole))
    damaged = damage.damage(whole, keys, config.damage.kinds, config.damage.chance)
    return {"a": damaged.astype(dtypes(config.precision)[1]), "b": whole}


def shown_damaged(config: ConfigDict, table: Table, rows: np.ndarray) -> np.ndarray:
    """Return images (N, H, W, C) in [-1, 1] as previews and metrics see them: each row damaged always alike."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(rng.key(config.seed, "damage shown"), jnp.asarray(rows))
    whole = translate.shown_as_is(config, table, rows)
    return np.asarray(damage.damage(whole, keys, config.damage.kinds, config.damage.chance))


def preview(config: ConfigDict, methods: Mapping[str, Method], dataset: Dataset) -> Preview:
    """Show damaged images, what they become, and the whole ones."""
    return translate.preview_of(config, methods, dataset.target, dataset.target, True, shown_damaged)


def compare(config: ConfigDict, methods: Mapping[str, Method], dataset: Dataset, num: int) -> Comparison:
    """Compare restored images with the whole ones."""
    table, method = dataset.target, methods["translate_ab"]
    return translate.compare_of(config, method, table, table, True, shown_damaged, num)


TASK = Task(check, open_data, translate.spec, prepare, preview, compare, translate.offers)
