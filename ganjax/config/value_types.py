"""The types of a config's values."""

from typing import Any

from ml_collections import ConfigDict

from ganjax.errors import UserError
from ganjax.system.names import printable

LARGEST = 3e38  # float32 has no more
KINDS = {str: "text", tuple: "a list", float: "a number", int: "a whole number", bool: "true or false"}
TEXTS = ("metrics", "data.classes", "data.atelier.styles", "damage.kinds", "branch.changed")  # tuples of text
COUNTS = ("data.class_counts",)


def check(values: ConfigDict | dict, known: ConfigDict, prefix: str = "") -> None:
    """Raise UserError, which names the key, for a value that is not of the type that its key has in `known`.

    Keys that only one of them has are passed over.
    """
    for key, default in known.items():
        if key not in values:
            continue
        name, value = f"{prefix}{key}", values[key]
        if not isinstance(default, ConfigDict):
            if expected := _expected(name, value, default):
                raise UserError(f"config.{name} = {shown(value)} must be {expected}")
        elif isinstance(value, ConfigDict | dict):
            check(value, default, f"{name}.")
        else:
            raise UserError(f"config.{name} = {shown(value)} must be a group of keys, as {name}.{next(iter(default))}")


def _expected(name: str, value: Any, default: Any) -> str:
    """Return what a key's value must be, where it is something else; "" where it is that."""
    value, kind = tuple(value) if isinstance(value, list) else value, type(default)
    right = isinstance(value, int | float if kind is float else kind) and isinstance(value, bool) == (kind is bool)
    if kind is float and isinstance(value, int) and abs(value) > LARGEST:  # no float holds it
        return f"at most {LARGEST}"
    if name in TEXTS and not (right and all(isinstance(part, str) for part in value)):
        return "a list of texts"
    if name in COUNTS and not (right and all(type(part) is int and part >= 0 for part in value)):
        return "a list of counts"
    return "" if right else KINDS[kind]


def shown(value: Any) -> str:
    """Return a value for a message: one line of bounded length."""
    if isinstance(value, int) and abs(value) > 10**40:  # Python refuses to print what is very long
        return f"a number of {value.bit_length()} bits"
    text = printable(repr(value.to_dict() if isinstance(value, ConfigDict) else value))
    return text if len(text) <= 80 else f"{text[:80]}..."
