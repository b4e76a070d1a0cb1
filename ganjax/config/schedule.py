"""Schedules: a config's file may replace a number by a schedule, under which it changes over the run:

    {"kind": "cosine", "from": 2.0, "to": 0.2, "images": 20e6}

is 2.0 at the start and 0.2 from the 20 millionth image on; with images = 0, at the end of the run's schedules
(`schedule_images`, or else `total_images`). In a config a schedule is a ConfigDict of these four fields.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ganjax.config.numbers import is_number, short_repr
from ganjax.errors import UserError, nearest

FIELDS = ("kind", "from", "to", "images")
KINDS = ("constant", "linear", "cosine")
EXAMPLE = "{'kind': 'linear', 'from': 1.0, 'to': 0.1, 'images': 1e6}"


def is_schedule(value: Any) -> bool:
    """Return whether a value has the fields of a schedule, and no others."""
    return isinstance(value, ConfigDict | dict) and set(value) == set(FIELDS)


def value_at(value: float | ConfigDict | dict, images: int | float | jax.Array) -> float | jax.Array:
    """Return `value` if it is a number, else the schedule's value after `images` images; traced if `images` is. Pure.

    With u = images / schedule.images, clipped to [0, 1]: "constant" stays at `from`; "linear" is (1 - u) from + u to;
    "cosine" likewise with (1 - cos(pi u)) / 2 in place of u.
    """
    if not isinstance(value, ConfigDict | dict):
        return value
    kind, first, last = (value[name] for name in FIELDS[:3])
    if kind == "constant":
        return first
    xp = jnp if isinstance(images, jax.Array) else np
    share = xp.clip(images / value["images"], 0.0, 1.0)
    if kind == "cosine":
        share = (1 - xp.cos(xp.pi * share)) / 2
    return (1 - share) * first + share * last


def spanned(config: ConfigDict, horizon: int) -> ConfigDict:
    """Return the config; each schedule of 0 images in it now has `horizon` images."""
    for value in config.values():
        if is_schedule(value):
            value["images"] = value["images"] or horizon
        elif isinstance(value, ConfigDict):
            spanned(value, horizon)
    return config


def unknown(field: str) -> str:
    """Return the error message for a field that no schedule has."""
    return f"a schedule has {', '.join(FIELDS)}{nearest(field, FIELDS)}"


def check(name: str, value: ConfigDict | dict, check_number: Callable[[str, float], None]) -> None:
    """Raise UserError, which names the key, if a schedule lacks a field, has an unknown field or an invalid value.

    name: the key. check_number: (field, number) -> None; raises UserError if the number is out of the field's range.
    """
    for field in value:
        if field not in FIELDS:
            raise UserError(f"config.{name}.{field}: {unknown(field)}")
    for field in FIELDS:
        if field not in value:
            raise UserError(f"config.{name}: the schedule has no {field!r}; a schedule has {', '.join(FIELDS)}")
    kind = value["kind"]
    if kind not in KINDS:
        raise UserError(f"config.{name}.kind = {short_repr(kind)} is no kind of schedule{nearest(kind, KINDS)}")
    for field in FIELDS[1:]:
        if not is_number(value[field]):
            raise UserError(f"config.{name}.{field} = {short_repr(value[field])} must be a number")
        check_number(field, value[field])
