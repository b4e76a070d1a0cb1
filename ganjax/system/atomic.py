"""Files that are written whole or not at all."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from ganjax.errors import UserError
from ganjax.system import signals
from ganjax.system.names import printable

SUFFIX = 12  # bytes, at most, of an ending that is kept: writers tell a format by it


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, for the body to write; it then replaces `path`, or vanishes if the body
    raises or a signal ends the program. The folder is made. UserError, that names `path`, for an OSError.
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
    """Write a UTF-8 file, whole or not at all; lone surrogates are escaped. UserError as for `replacing`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def check_writable(path: Path, flag: str) -> None:
    """Check before the work that a file can be written. Raises UserError, which names the flag, if it cannot."""
    if os.path.isdir(path):  # which never raises
        raise UserError(f"{flag}={printable(str(path))} is a folder: give the name of a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = path.with_name(f".{uuid.uuid4().hex[:12]}")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"{flag}={printable(str(path))} cannot be written: {error.strerror or error}") from error
