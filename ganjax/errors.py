"""Errors that a person is meant to read: `launch.py` prints their one line instead of a traceback."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Something the user can mend. The message names the file, the key or the value, and the way out."""


class ImageError(ValueError):
    """An image file that cannot be used; the message is the reason alone."""


class TooLarge(ImageError):
    """An image of more pixels, or one that takes more memory, than a limit that the user can raise."""


class Diverged(UserError):
    """Training came to values that are not finite, or far beyond the usual."""


class NonFinite(ArithmeticError):
    """A metric or a leaf of the state holds NaN or infinity; the message says which."""


FEW = 10  # names that a message lists in full


def nearest(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean X?"; where nothing is near, what there is, or of many the few that are least far."""
    known, word = sorted(known), str(word)[:100]  # of a foreign config the word may be anything
    match = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if match:
        return f"; did you mean {match[0]!r}?"
    if len(known) <= FEW:
        return f"; there is: {', '.join(known)}"
    few = difflib.get_close_matches(word, known, n=3, cutoff=0.2) or known[:3]
    return f"; there are {len(known)}, such as {', '.join(few)}"
