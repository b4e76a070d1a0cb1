"""Errors that a person is meant to read: `launch.py` prints their one line instead of a traceback."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Something the user can mend. The message names the file, the key or the value, and the way out."""


class ImageError(ValueError):
    """An image file that cannot be used; the message is the reason alone."""


class Diverged(UserError):
    """Training came to values that are not finite, or far beyond the usual."""


class NonFinite(ArithmeticError):
    """A metric or a leaf of the state holds NaN or infinity; the message says which."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean X?", or the list of what there is when nothing is near."""
    known = sorted(known)
    match = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else f"; there is: {', '.join(known)}"
