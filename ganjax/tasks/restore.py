"""The task "restore": undamaged images from damaged ones, learned from one set of images, which the task damages.

Training damage is random; previews and metrics use fixed damage.
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
    """Raise UserError if the config has two sets of images, labels, or no or unknown kinds of damage."""
    translate.check(config)
    if config.data.a or config.data.b:
        raise UserError(
            f"config.data.a and data.b: {config.recipe} damages the images itself; set only --config.data.path=FOLDER"
        )
    if not config.damage.kinds:
        raise UserError("config.damage.kinds is empty: name the damage to be repaired, such as blur,jpeg,cracks")
    try:
        damage.check(config.damage.kinds)
    except ValueError as error:
        raise UserError(f"config.damage.kinds: {error}") from error


def open_data(config: ConfigDict) -> Dataset:
    """Return the undamaged images as the table "b"."""
    return domains.open_whole(config.data)


def prepare(config: ConfigDict, batch: dict, key_of: Callable) -> dict[str, jax.Array]:
    """Return the augmented images as "b", and the same images as "a", each damaged by its own random key."""
    whole = translate.augmented(config, batch["b"]["image"], key_of("augment"))
    keys = jax.random.split(key_of("damage"), len(whole))
    damaged = damage.damage(whole, keys, config.damage.kinds, config.damage.chance)
    return {"a": damaged.astype(dtypes(config.precision)[1]), "b": whole}


def damaged_images(config: ConfigDict, table: Table, rows: np.ndarray) -> np.ndarray:
    """Return damaged images (N, H, W, C) in [-1, 1] for previews and metrics; the damage of a row never changes."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(rng.key(config.seed, "damage shown"), jnp.asarray(rows))
    whole = translate.cropped_images(config, table, rows)
    return np.asarray(damage.damage(whole, keys, config.damage.kinds, config.damage.chance))


def preview(config: ConfigDict, methods: Mapping[str, Method], dataset: Dataset) -> Preview:
    """Return the preview: damaged images, their translations, and the undamaged images."""
    return translate.preview_of(config, methods, dataset.target, dataset.target, aligned=True, load=damaged_images)


def compare(config: ConfigDict, methods: Mapping[str, Method], dataset: Dataset, num: int) -> Comparison:
    """Return the comparison of restored images with the undamaged ones."""
    table, method = dataset.target, methods["translate_ab"]
    return translate.compare_of(config, method, table, table, aligned=True, load=damaged_images, num=num)


TASK = Task(check, open_data, translate.spec, prepare, preview, compare, translate.offers)
