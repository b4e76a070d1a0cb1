"""Parse numbers, booleans and lists of a command line; format values for flags and messages."""

import ast
import decimal
from typing import Any

from ml_collections import ConfigDict

from ganjax.system.names import printable

LONGEST = 10_000  # characters of a list


def parse_int(text: str) -> int:
    """Parse an integer: "64", "1_000_000", "1e6", "50e3", "2.5e3".

    Raises ValueError for any other text.
    """
    text = text.strip()
    if len(text) > 40:
        raise ValueError(f"{text[:40]}... is too long for a whole number")
    try:
        value = decimal.Decimal(text)
    except decimal.InvalidOperation:
        raise ValueError(f"{text} is not a whole number") from None
    if not value.is_finite() or value.adjusted() > 40 or value != value.to_integral_value():
        raise ValueError(f"{text} is not a whole number")
    return int(value)


def parse_bool(text: str) -> bool:
    """Parse a boolean: true, yes, on, 1, or false, no, off, 0, in any case of letters.

    Raises ValueError for any other text.
    """
    word = text.strip().lower()
    if word in ("true", "yes", "on", "1"):
        return True
    if word in ("false", "no", "off", "0"):
        return False
    raise ValueError(f"{text} is neither true nor false")


def parse_tuple(text: str) -> tuple[int, ...] | tuple[float, ...] | tuple[str, ...]:
    """Parse a tuple: "64,128", "(64, 128)", "swd,colour", "('swd',)"; () for "", "()" and "None".

    Raises ValueError for anything else, also for a mix of numbers and words.
    """
    text = text.strip()
    if text in ("", "None", "none"):
        return ()
    try:
        value = ast.literal_eval(text) if len(text) <= LONGEST else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        value = None if set(text) & set("()[]{}\"'") else tuple(part.strip() for part in text.split(","))
    if isinstance(value, int | float | str):
        value = (value,)
    if not isinstance(value, tuple | list):
        raise ValueError(f"{text[:100]} is no list")
    words = all(isinstance(part, str) for part in value)
    if not words and not all(isinstance(part, int | float) and not isinstance(part, bool) for part in value):
        raise ValueError(f"{text[:100]} is neither a list of numbers nor one of words")
    return tuple(part for part in value if part != "") if words else tuple(value)


def flag_text(value: Any) -> str:
    """Format a value as a flag takes it: 1_000_000, true, 64,128."""
    if isinstance(value, bool):
        return str(value).lower()
    if is_number(value):
        return f"{value:_}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, tuple):
        return ",".join(map(flag_text, value)) or "()"
    return (printable(value) or '""') if isinstance(value, str) else short_repr(value)


def is_number(value: Any) -> bool:
    """Return whether a value is an int or a float, but not a bool."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def short_repr(value: Any) -> str:
    """Return a value's repr for a message: one line of bounded length."""
    if isinstance(value, int) and abs(value) > 10**40:  # Python refuses to print very long integers
        return f"a number of {value.bit_length()} bits"
    text = printable(repr(value.to_dict() if isinstance(value, ConfigDict) else value))
    return text if len(text) <= 80 else f"{text[:80]}..."
