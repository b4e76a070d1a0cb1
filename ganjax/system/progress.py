"""Progress bars: on a terminal only, where they rewrite one line."""

import sys
from collections.abc import Iterable

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm as log_above_bars

__all__ = ["duration", "log_above_bars", "on_terminal", "progress_bar"]


def progress_bar(items: Iterable | None = None, *, shown: bool = True, **settings) -> tqdm:
    """Return a tqdm bar over the items, or of `total`; an invisible one where stderr is no terminal or not `shown`."""
    return tqdm(items, disable=not (shown and on_terminal()), **settings)


def on_terminal() -> bool:
    """Return whether stderr is a terminal; False where it is closed."""
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False


def duration(seconds: float) -> str:
    """Return the time as M:SS or H:MM:SS."""
    return tqdm.format_interval(seconds)
