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
    """Add a row; UserError, with the file's name, where it cannot be written. A line before that was cut short, by a
    kill or a full disk, stays a line of its own.
    """
    try:
        with path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                cut = file.read(1) != b"\n"
            else:
                cut = False
            file.write(b"\n" * cut + json.dumps(row).encode() + b"\n")
    except OSError as error:
        raise UserError(f"{printable(str(path))} cannot be written: {error.strerror or error}") from error


def drop_after(path: Path, step: int) -> None:
    """Drop the rows past `step`, and damaged lines; the file is replaced as a whole. UserError, and it stays as it is,
    if it cannot be read or replaced.
    """
    if not path.exists():
        return
    try:
        rows = _rows(path)
    except OSError as error:
        raise UserError(
            f"{printable(str(path))} cannot be read: {error.strerror or error}; it stays as it is"
        ) from error
    atomic.write_text(path, "".join(json.dumps(row) + "\n" for row in rows if row["step"] <= step))


def read_rows(path: Path, numbers: bool = False) -> list[dict]:
    """Return the rows, each a dict with an int "step"; none where the file is missing or, with a warning, unreadable.

    Other lines (cut short, not UTF-8, no JSON object, an integer beyond 64 bits) are left out, with a warning; with
    `numbers` also rows that hold anything but numbers.
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
    good = isinstance(row, dict) and type(row.get("step")) is int and type(row.get("images", 0)) in (int, float)
    return row if good else None


def _integer(text: str) -> int:
    """Return the integer; OverflowError for one beyond 64 bits, with which neither floats nor arrays can count."""
    value = int(text)
    if abs(value) >= 2**63:
        raise OverflowError(f"{text[:20]}... is beyond 64 bits")
    return value


@functools.cache  # said once
def _warn(path: Path, text: str) -> None:
    log.warning("%s: %s", path, text)
