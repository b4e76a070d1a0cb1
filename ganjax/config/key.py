"""A key of a config: its default, what it means, which values it takes. All else that is said of keys follows.

A group is a dict of keys and of groups, nested as the config is: {"seed": Key(...), "data": {"path": Key(...)}}.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from ganjax.config import schedule as schedules
from ganjax.config.numbers import is_number, shown, written
from ganjax.errors import UserError, nearest

IMAGES = 2_000_000_000  # at most: images are counted in 32 bits
LARGEST = 3e38  # of any weight or rate: float32 has no more
MANY = 2**20  # of anything that is counted and is no image
NETWORK = 2**16  # of any number of `config.model`
VAST = (IMAGES, LARGEST, MANY, NETWORK)  # limits that nobody means to reach: a message names the other one
KINDS = {str: "text", tuple: "a list", float: "a number", int: "a whole number", bool: "true or false"}
PARTS = {str: "a list of texts", int: "a list of counts"}


class Key(NamedTuple):
    """One key, which a group declares.

    default:   also tells the type: text, a tuple, a float (which a whole number may stand for), an int or a bool.
    doc:       what a value means, in a phrase.
    low, high: the inclusive range of a number, or of each in a tuple. None: a wide one.
    choices:   the values that are allowed; (): all.
    parts:     the type of a tuple's entries: str or int (counts).
    resumable: whether it may change when a run goes on.
    derived:   whether the run itself fills it in, and nobody else.
    silent:    whether it changes no result of a run.
    schedule:  whether a schedule may stand in place of the number.
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
        """Whether a run with another value is another experiment."""
        return not (self.silent or self.derived)


Group = dict[str, "Key | Group"]
UNDECLARED = Key(None, "")  # stands for a key of a user's own recipe that nothing is known of


def defaults(group: Group) -> ConfigDict:
    """Return the ConfigDict of a group's defaults. A group with schedules lets a dict take a number's place."""
    scheduled = any(isinstance(key, Key) and key.schedule for key in group.values())
    config = ConfigDict(type_safe=not scheduled)
    for name, key in group.items():
        config[name] = key.default if isinstance(key, Key) else defaults(key)
    return config


def flat(group: Group, prefix: str = "") -> dict[str, Key]:
    """Return {"data.path": Key, ...}."""
    return dict(_walk(group, prefix))


def _walk(group: Group, prefix: str) -> Iterator[tuple[str, Key]]:
    for name, key in group.items():
        if isinstance(key, Key):
            yield prefix + name, key
        else:
            yield from _walk(key, f"{prefix}{name}.")


def merged(*groups: Group) -> Group:
    """Return a group with the keys of several; a key of a later one replaces that of an earlier one."""
    whole: Group = {}
    for group in groups:
        for name, key in group.items():
            whole[name] = key if isinstance(key, Key) else merged(whole.get(name, {}), key)
    return whole


def limits(name: str, key: Key) -> tuple[float, float]:
    """Return the inclusive range of a key's numbers."""
    wide = NETWORK if name.startswith("model.") else IMAGES
    return -wide if key.low is None else key.low, wide if key.high is None else key.high


def allowed(key: Key) -> str:
    """Return in words what a key's values may be: its choices, or its range; "" where it has neither."""
    if key.choices:
        *first, last = (str(choice) for choice in key.choices)
        return f"{', '.join(first)} or {last}"
    if key.low is None:
        return ""
    return f"{key.low} or more" if key.high is None or key.high in VAST else f"{key.low} to {written(key.high)}"


def check_types(values: ConfigDict | dict, group: Group, prefix: str = "") -> None:
    """Raise UserError, which names the key, for a value that is not of its key's type. Absent keys are skipped."""
    for own, key in group.items():
        if own not in values:
            continue
        name, value = f"{prefix}{own}", values[own]
        is_group = isinstance(value, ConfigDict | dict)
        if isinstance(key, Key):
            if key.schedule and is_group:
                check_schedule(name, value, key)
            elif expected := _expected(value, key):
                raise UserError(f"config.{name} = {shown(value)} must be {expected}")
        elif is_group:
            check_types(value, key, f"{name}.")
        else:
            raise UserError(f"config.{name} = {shown(value)} must be a group of keys, as {name}.{next(iter(key))}")


def _expected(value: Any, key: Key) -> str:
    """Return what a key's value must be, where it is something else; "" where it is that."""
    value, kind = tuple(value) if isinstance(value, list) else value, type(key.default)
    right = isinstance(value, int | float if kind is float else kind) and isinstance(value, bool) == (kind is bool)
    if kind is float and isinstance(value, int) and abs(value) > LARGEST:  # no float holds it
        return f"at most {LARGEST}"
    if key.parts is str and not (right and all(isinstance(part, str) for part in value)):
        return PARTS[str]
    if key.parts is int and not (right and all(type(part) is int and part >= 0 for part in value)):
        return PARTS[int]
    return "" if right else KINDS[kind]


def check_value(name: str, value: Any, key: Key) -> None:
    """Raise UserError, which names the key, for a value that is none of its choices, or a number out of its range or
    not finite. A value of another type passes: `check_types` is for that.
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
        raise UserError(f"config.{name} = {shown(value)} {words}")
    ranged = key.low is not None or key.high is not None
    for part in value if isinstance(value, tuple) else (value,):
        if is_number(part):
            _check_range(name, part, value, limits(name, key))
        elif ranged:
            raise UserError(f"config.{name} = {shown(part)} must be a number")


def check_schedule(name: str, value: ConfigDict | dict, key: Key) -> None:
    """Raise UserError for a schedule that is none, or whose values are out of its key's range."""
    ranges = dict.fromkeys(("from", "to"), limits(name, key)) | {"images": (1, IMAGES)}
    schedules.check(name, value, lambda field, number: _check_range(f"{name}.{field}", number, number, ranges[field]))


def _check_range(name: str, number: float, value: Any, limits: tuple[float, float]) -> None:
    """Raise UserError for a number of `value` that is out of its limits."""
    low, high = limits
    signed_zero = number == 0 and math.copysign(1, number) < 0
    if low <= number <= high and not signed_zero:
        return
    words = f"at least {low}" if high in VAST and number < low else f"from {low} to {high:.15g}"
    raise UserError(f"config.{name} = {shown(value)} must be {words}")
