"""Atomic writes: a file is written whole or not at all."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from ganjax.errors import UserError
from ganjax.system import signals
from ganjax.system.names import printable

SUFFIX = 12  # longest suffix, in bytes, that the temporary file shares: writers choose a format by it


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` for the block to write. The file then replaces `path`, or is removed if the
    block raises or a signal ends the program. Missing folders are created. Raises UserError, which names `path`, for an
    OSError.
    """
    suffix = path.suffix if len(path.suffix.encode("utf-8", "surrogateescape")) <= SUFFIX else ""
    temporary = path.with_name(f".{uuid.uuid4().hex[:12]}{suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with signals.removing(temporary):
            yield temporary
            temporary.replace(path)
    except OSError as error:
        raise UserError(f"{printable(str(path))} cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file atomically; lone surrogates are escaped. Raises UserError, which names `path`, if it fails."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def check_writable(path: Path, flag: str) -> None:
    """Raise UserError, which names the flag, if a file cannot be written. Called before the work, not after it."""
    if os.path.isdir(path):  # unlike Path.is_dir, this never raises
        raise UserError(f"{flag}={printable(str(path))} is a folder: give the name of a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = path.with_name(f".{uuid.uuid4().hex[:12]}")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"{flag}={printable(str(path))} cannot be written: {error.strerror or error}") from error
