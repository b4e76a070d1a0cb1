"""Errors for the user, of which `launch.py` prints one line instead of a traceback; and suggestions of names."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """An error that the user can correct. The message names the file, the key or the value, and the way out."""


class ImageError(ValueError):
    """An image file cannot be used; the message is the reason alone."""


class TooLarge(ImageError):
    """An image exceeds a limit of pixels or memory, which the user can raise."""


class Diverged(UserError):
    """Training diverged: values are not finite, or far beyond the usual."""


class NonFinite(ArithmeticError):
    """A metric or a leaf of the state holds NaN or infinity; the message says which."""


FEW = 10  # largest number of names that a message lists in full


def nearest(word: str, names: Iterable[str]) -> str:
    """Return "; did you mean X?" or, if no name is similar, a list of the names; of many, only the most similar."""
    names, word = sorted(names), str(word)[:100]  # a config from elsewhere may hold any value
    match = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    if match:
        return f"; did you mean {match[0]!r}?"
    if len(names) <= FEW:
        return f"; there is: {', '.join(names)}"
    few = difflib.get_close_matches(word, names, n=3, cutoff=0.2) or names[:3]
    return f"; there are {len(names)}, such as {', '.join(few)}"
