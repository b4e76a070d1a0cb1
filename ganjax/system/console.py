"""Output of the program: log lines in any encoding, and readers that may close the pipe."""

import contextlib
import io
import logging
import os
import signal
import sys
from collections.abc import Iterator

from ganjax.system import signals
from ganjax.system.names import printable


class _Output(io.FileIO):
    """A stream's file descriptor. With `patient`, output that cannot be written is dropped (a closed pipe, a closed
    terminal, a full disk). Otherwise a closed pipe ends the process by SIGPIPE, as usual, and other errors are raised.
    """

    def __init__(self, descriptor: int, patient: bool):
        super().__init__(descriptor, "w", closefd=False)
        self.patient = patient

    def write(self, data) -> int | None:
        try:
            return super().write(data)
        except OSError as error:
            if isinstance(error, BrokenPipeError) and not self.patient:
                signals.die(signal.SIGPIPE)
            if not self.patient:
                raise
            return len(data)


def start(patient: bool) -> None:
    """Set up stdout, stderr and logging of a program. With `patient` it continues when nobody reads its output.

    Characters that the encoding lacks are escaped. Streams that are closed at the start are replaced by /dev/null:
    otherwise the first file that is opened would get their descriptor, and their output.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor, which is this one
    sys.stdout, sys.stderr = _text(1, sys.stdout, patient), _text(2, sys.stderr, patient=True)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO)


def _text(descriptor: int, old: io.TextIOBase | None, patient: bool) -> io.TextIOWrapper:
    binary = io.BufferedWriter(_Output(descriptor, patient))
    return io.TextIOWrapper(binary, old.encoding if old else "utf-8", "backslashreplace", line_buffering=True)


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return one_line(super().format(record))


def one_line(message: object) -> str:
    """Return the message on one line: lines joined by spaces, then made `printable`."""
    return printable(" ".join(str(message).split("\n")))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop absl's warnings in the block, which libraries log; its errors pass.

    At its first message absl would set up the root logger if it has no handlers; a stand-in handler prevents that.
    """
    absl, root = logging.getLogger("absl"), logging.getLogger()
    stand_in = logging.lastResort if not root.handlers else None
    absl.addFilter(_is_error)
    if stand_in:
        root.addHandler(stand_in)
    try:
        yield
    finally:
        absl.removeFilter(_is_error)
        if stand_in:
            root.removeHandler(stand_in)


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR
