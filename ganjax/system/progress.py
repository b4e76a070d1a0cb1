"""Progress bars, on terminals only."""

import sys
from collections.abc import Iterable

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm as log_above_bars

__all__ = ["duration", "log_above_bars", "on_terminal", "progress_bar"]


def progress_bar(items: Iterable | None = None, *, shown: bool = True, **settings) -> tqdm:
    """Return a tqdm bar over the items, or one of `total`; invisible if stderr is no terminal or `shown` is False."""
    return tqdm(items, disable=not (shown and on_terminal()), **settings)


def on_terminal() -> bool:
    """Return whether stderr is a terminal; False if it is closed."""
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False


def duration(seconds: float) -> str:
    """Format a duration as M:SS or H:MM:SS."""
    return tqdm.format_interval(seconds)
