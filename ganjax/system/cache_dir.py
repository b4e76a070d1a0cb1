"""The cache directory: decoded images, compiled programs and downloaded weights."""

import hashlib
import os
import platform
from pathlib import Path

from ganjax.errors import UserError
from ganjax.system.names import expanded


def root() -> Path:
    """Return `$GANJAX_CACHE`, or `ganjax` in the user's cache directory; "~" is expanded.

    Raises UserError if the home directory is unknown.
    """
    if path := os.environ.get("GANJAX_CACHE"):
        return expanded(path, "GANJAX_CACHE")
    try:
        return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "ganjax"
    except UserError as error:
        reason = str(error).rstrip(".")
        raise UserError(f"{reason}; set GANJAX_CACHE to a folder for decoded images and compiled programs") from error


def machine() -> str:
    """Return a name for this machine's kind of CPU. Compiled programs run only on the same kind."""
    try:
        features = Path("/proc/cpuinfo").read_text().partition("\nflags")[2].partition("\n")[0]
    except OSError:
        features = platform.processor()
    return f"{platform.machine()}-{hashlib.sha256(features.encode()).hexdigest()[:8]}"
