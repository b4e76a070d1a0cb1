"""Values derived from a config: dtypes, image sizes, widths and intervals."""

import jax.numpy as jnp
from ml_collections import ConfigDict

from ganjax.config.schedule import FIELDS, is_schedule
from ganjax.errors import UserError, nearest

PRECISIONS = {"float32": (None, jnp.float32), "bfloat16": (jnp.bfloat16, jnp.float32), "float64": (None, jnp.float64)}
INF = float("inf")


def dtypes(precision: str) -> tuple:
    """Return (compute dtype or None, parameter dtype) of a precision. Raises UserError if the precision is unknown."""
    if precision not in PRECISIONS:
        raise UserError(f"config.precision = {precision!r} is not known{nearest(precision, PRECISIONS)}")
    return PRECISIONS[precision]


def net_dtypes(config: ConfigDict) -> dict:
    """Return {"dtype": ..., "param_dtype": ...}, the dtype fields of the networks of a config."""
    return dict(zip(("dtype", "param_dtype"), dtypes(config.precision), strict=True))


def size(config: ConfigDict) -> tuple[int, int]:
    """Return (height, width) of the images that the networks see."""
    return config.data.resolution, config.data.width or config.data.resolution


def scaled(widths: tuple[int, ...], factor: float) -> tuple[int, ...]:
    """Return the widths times a factor, rounded, at least 1. Raises UserError unless all of them are above 0."""
    valid = widths and all(isinstance(width, int) and width > 0 for width in widths)
    if not valid or not 0 < factor < INF:
        raise UserError(f"config.model: widths {tuple(widths)} and the factor width = {factor} must be above 0")
    return tuple(max(1, round(width * factor)) for width in widths)


def horizon(config: ConfigDict) -> int:
    """Return the number of images that the schedules span."""
    return config.schedule_images or config.total_images


def crosses(step: int, batch_size: int, every: int) -> bool:
    """Return whether the step passed a multiple of `every` images; False if `every` is 0."""
    return every > 0 and step * batch_size // every > (step - 1) * batch_size // every


def next_crossing(step: int, batch_size: int, every: int) -> float:
    """Return the first step after `step` for which `crosses` is true; infinity if `every` is 0."""
    return -(-(step * batch_size // every + 1) * every // batch_size) if every > 0 else INF


def flatten(config: ConfigDict | dict, prefix: str = "") -> dict:
    """Return {"data.path": value, ...}. Lists become tuples, so that configs from JSON and from Python compare equal; a
    schedule stays one value, a dict.
    """
    flat = {}
    for key, value in config.items():
        if is_schedule(value):
            flat[prefix + key] = {field: value[field] for field in FIELDS}
        elif isinstance(value, ConfigDict | dict):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = tuple(value) if isinstance(value, list) else value
    return flat
