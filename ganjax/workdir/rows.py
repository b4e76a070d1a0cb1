"""JSON-lines files of a run: scalars.jsonl, metrics.jsonl."""

import functools
import json
import logging
import os
from pathlib import Path

from ganjax.errors import UserError
from ganjax.system import atomic
from ganjax.system.names import printable

log = logging.getLogger(__name__)


def append(path: Path, row: dict) -> None:
    """Append a row. Raises UserError, which names the file, if it cannot be written.

    If the last line was cut short, by a kill or a full disk, the row starts on a new line.
    """
    try:
        with path.open("ab+") as file:
            prefix = b""
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    prefix = b"\n"
            file.write(prefix + json.dumps(row).encode() + b"\n")
    except OSError as error:
        raise UserError(f"{printable(str(path))} cannot be written: {error.strerror or error}") from error


def drop_after(path: Path, step: int) -> None:
    """Drop the rows after `step`, and damaged lines, by replacing the file atomically.

    Raises UserError, and leaves the file unchanged, if it cannot be read or replaced.
    """
    if not path.exists():
        return
    try:
        rows = _rows(path)
    except OSError as error:
        raise UserError(f"{printable(str(path))} cannot be read: {error.strerror or error}; it is unchanged") from error
    atomic.write_text(path, "".join(json.dumps(row) + "\n" for row in rows if row["step"] <= step))


def read_rows(path: Path, numbers: bool = False) -> list[dict]:
    """Return the rows, each a dict with an int "step"; [] if the file is missing or, with a warning, unreadable.

    Other lines (cut short, not UTF-8, no JSON object, an integer beyond 64 bits) are left out, with a warning; so are
    rows with a value that is not a number, if `numbers`.
    """
    try:
        return _rows(path, numbers) if path.exists() else []
    except OSError as error:
        _warn(path, f"cannot be read: {error.strerror or error}")
        return []


def _rows(path: Path, numbers: bool = False) -> list[dict]:
    lines = path.read_bytes().splitlines()
    rows = [row for row in map(_parsed, lines) if row is not None]
    rows = [row for row in rows if not numbers or all(type(value) in (int, float) for value in row.values())]
    if len(rows) < len(lines):
        _warn(path, f"{len(lines) - len(rows)} damaged line(s) are left out")
    return rows


def _parsed(line: bytes) -> dict | None:
    try:
        row = json.loads(line.decode(), parse_int=_integer)
    except (ValueError, OverflowError, RecursionError):
        return None
    valid = isinstance(row, dict) and type(row.get("step")) is int and type(row.get("images", 0)) in (int, float)
    return row if valid else None


def _integer(text: str) -> int:
    """Return the integer. Raises OverflowError for one beyond 64 bits, which neither floats nor arrays can hold."""
    value = int(text)
    if abs(value) >= 2**63:
        raise OverflowError(f"{text[:20]}... is beyond 64 bits")
    return value


@functools.cache  # logs each warning once
def _warn(path: Path, text: str) -> None:
    log.warning("%s: %s", path, text)
