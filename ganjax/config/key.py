"""The declaration of a config key: default, description, allowed values. Checks, help texts and docs derive from it.

A group is a dict of keys and groups, nested like the config: {"seed": Key(...), "data": {"path": Key(...)}}.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from ganjax.config import schedule as schedules
from ganjax.config.numbers import flag_text, is_number, short_repr
from ganjax.errors import UserError, nearest

IMAGES = 2_000_000_000  # largest number of images, which are counted in 32 bits
LARGEST = 3e38  # largest weight or rate: the limit of float32
MANY = 2**20  # largest count of anything but images
NETWORK = 2**16  # largest number in `config.model`
VAST = (IMAGES, LARGEST, MANY, NETWORK)  # limits far above any sensible value: messages name the lower limit only
KINDS = {str: "text", tuple: "a list", float: "a number", int: "a whole number", bool: "true or false"}
PARTS = {str: "a list of texts", int: "a list of counts"}


class Key(NamedTuple):
    """One key, which a group declares.

    default:   the default value, which also gives the type: str, tuple, float (accepts an int), int or bool.
    doc:       the description, a phrase.
    low, high: the inclusive range of a number, or of each number of a tuple. None: the limit of `limits`.
    choices:   the allowed values; (): any.
    parts:     the type of a tuple's entries: str or int (counts).
    resumable: whether it may change when a run is resumed.
    derived:   whether the run itself sets it, and never the user.
    silent:    whether it has no effect on the results of a run.
    schedule:  whether a schedule may replace the number.
    """

    default: Any
    doc: str
    low: float | None = None
    high: float | None = None
    choices: tuple = ()
    parts: type | None = None
    resumable: bool = False
    derived: bool = False
    silent: bool = False
    schedule: bool = False

    @property
    def matters(self) -> bool:
        """Whether the value may affect the results of a run."""
        return not (self.silent or self.derived)


Group = dict[str, "Key | Group"]
UNDECLARED = Key(None, "")  # in the place of a key of a user's own recipe, which no group declares


def defaults(group: Group) -> ConfigDict:
    """Return the ConfigDict of a group's defaults, not type-safe if a schedule, a dict, may replace a number in it."""
    scheduled = any(isinstance(key, Key) and key.schedule for key in group.values())
    config = ConfigDict(type_safe=not scheduled)
    for name, key in group.items():
        config[name] = key.default if isinstance(key, Key) else defaults(key)
    return config


def flat(group: Group, prefix: str = "") -> dict[str, Key]:
    """Return the keys of a group by their dotted names, {"data.path": Key, ...}."""
    return dict(_walk(group, prefix))


def _walk(group: Group, prefix: str) -> Iterator[tuple[str, Key]]:
    for name, key in group.items():
        if isinstance(key, Key):
            yield prefix + name, key
        else:
            yield from _walk(key, f"{prefix}{name}.")


def merged(*groups: Group) -> Group:
    """Return one group with the keys of several; a key of a later group replaces that of an earlier one."""
    union: Group = {}
    for group in groups:
        for name, key in group.items():
            union[name] = key if isinstance(key, Key) else merged(union.get(name, {}), key)
    return union


def limits(name: str, key: Key) -> tuple[float, float]:
    """Return the inclusive range of a key's numbers."""
    wide = NETWORK if name.startswith("model.") else IMAGES
    return -wide if key.low is None else key.low, wide if key.high is None else key.high


def allowed(key: Key) -> str:
    """Return a key's choices or range in words; "" if it has neither."""
    if key.choices:
        *first, last = (str(choice) for choice in key.choices)
        return f"{', '.join(first)} or {last}"
    if key.low is None:
        return ""
    return f"{key.low} or more" if key.high is None or key.high in VAST else f"{key.low} to {flag_text(key.high)}"


def check_types(values: ConfigDict | dict, group: Group, prefix: str = "") -> None:
    """Raise UserError, which names the key, for a value that is not of its key's type. Absent keys are skipped."""
    for field, key in group.items():
        if field not in values:
            continue
        name, value = f"{prefix}{field}", values[field]
        is_group = isinstance(value, ConfigDict | dict)
        if isinstance(key, Key):
            if key.schedule and is_group:
                check_schedule(name, value, key)
            elif expected := _expected(value, key):
                raise UserError(f"config.{name} = {short_repr(value)} must be {expected}")
        elif is_group:
            check_types(value, key, f"{name}.")
        else:
            example = f"{name}.{next(iter(key))}"
            raise UserError(f"config.{name} = {short_repr(value)} must be a group of keys, such as {example}")


def _expected(value: Any, key: Key) -> str:
    """Return "" if a value has its key's type, else the expected type in words."""
    value, kind = tuple(value) if isinstance(value, list) else value, type(key.default)
    valid = isinstance(value, int | float if kind is float else kind) and isinstance(value, bool) == (kind is bool)
    if kind is float and isinstance(value, int) and abs(value) > LARGEST:  # a float would overflow
        return f"at most {LARGEST}"
    if key.parts is str and not (valid and all(isinstance(part, str) for part in value)):
        return PARTS[str]
    if key.parts is int and not (valid and all(type(part) is int and part >= 0 for part in value)):
        return PARTS[int]
    return "" if valid else KINDS[kind]


def check_value(name: str, value: Any, key: Key) -> None:
    """Raise UserError, which names the key, if a value is none of its choices, or a number out of its range or not
    finite. The type of the value is checked by `check_types`, not here.
    """
    if schedules.is_schedule(value):
        check_schedule(name, value, key)
        return
    if key.choices and value not in key.choices:
        *first, last = map(repr, key.choices)
        words = f"must be {', '.join(first)} or {last} ({key.doc})"
        near = nearest(value, map(str, key.choices))
        if "did you mean" in near:
            words = f"is none of {', '.join(map(str, key.choices))}{near}"
        raise UserError(f"config.{name} = {short_repr(value)} {words}")
    ranged = key.low is not None or key.high is not None
    for part in value if isinstance(value, tuple) else (value,):
        if is_number(part):
            _check_range(name, part, value, limits(name, key))
        elif ranged:
            raise UserError(f"config.{name} = {short_repr(part)} must be a number")


def check_schedule(name: str, value: ConfigDict | dict, key: Key) -> None:
    """Raise UserError if a schedule is malformed, or its values are out of its key's range."""
    ranges = dict.fromkeys(("from", "to"), limits(name, key)) | {"images": (0, IMAGES)}
    schedules.check(name, value, lambda field, number: _check_range(f"{name}.{field}", number, number, ranges[field]))


def _check_range(name: str, number: float, value: Any, limits: tuple[float, float]) -> None:
    """Raise UserError if a number, which is `value` or an entry of it, is out of its limits."""
    low, high = limits
    signed_zero = number == 0 and math.copysign(1, number) < 0
    if low <= number <= high and not signed_zero:
        return
    words = f"at least {low}" if high in VAST and number < low else f"from {low} to {high:.15g}"
    raise UserError(f"config.{name} = {short_repr(value)} must be {words}")
