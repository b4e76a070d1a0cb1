"""Numbers, truths and lists as people write them on a command line, and values as messages show them."""

import ast
import decimal
from typing import Any

from ml_collections import ConfigDict

from ganjax.system.names import printable

LONGEST = 10_000  # characters of a list


def whole(text: str) -> int:
    """Return the integer that a text is: "64", "1_000_000", "1e6", "50e3", "2.5e3".

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


def truth(text: str) -> bool:
    """Return the boolean that a text is: true, yes, on, 1, or false, no, off, 0.

    Raises ValueError for any other text.
    """
    word = text.strip().lower()
    if word in ("true", "yes", "on", "1"):
        return True
    if word in ("false", "no", "off", "0"):
        return False
    raise ValueError(f"{text} is neither true nor false")


def several(text: str) -> tuple[int, ...] | tuple[float, ...] | tuple[str, ...]:
    """Return the tuple that a text is: "64,128", "(64, 128)", "swd,colour", "('swd',)"; () for "", "()" and "None".

    Raises ValueError for anything else, also for numbers among words.
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


def written(value: Any) -> str:
    """Return a value as a flag takes it: 1_000_000, true, 64,128."""
    if isinstance(value, bool):
        return str(value).lower()
    if is_number(value):
        return f"{value:_}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, tuple):
        return ",".join(map(written, value)) or "()"
    return (printable(value) or '""') if isinstance(value, str) else shown(value)


def is_number(value: Any) -> bool:
    """Return whether a value is an int or a float; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def shown(value: Any) -> str:
    """Return a value for a message: one line of bounded length."""
    if isinstance(value, int) and abs(value) > 10**40:  # Python refuses to print what is very long
        return f"a number of {value.bit_length()} bits"
    text = printable(repr(value.to_dict() if isinstance(value, ConfigDict) else value))
    return text if len(text) <= 80 else f"{text[:80]}..."
