"""What a program prints: on one line, in any encoding, to readers that may go away."""

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
    """A stream's file descriptor. With `patient`, what cannot be written is dropped (a closed pipe, a terminal that is
    gone, a full disk); else a closed pipe ends the process as it ends others, by SIGPIPE.
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
    """Set up stdout, stderr and the log of a program; `patient`: its work goes on when nobody reads its output.

    Text that the encoding lacks is escaped. A stream that was closed at the start is /dev/null: else the first file
    that is opened would take its number, and get its output.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is this one
    sys.stdout, sys.stderr = _text(1, sys.stdout, patient), _text(2, sys.stderr, True)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO)


def _text(descriptor: int, before: io.TextIOBase | None, patient: bool) -> io.TextIOWrapper:
    binary = io.BufferedWriter(_Output(descriptor, patient))
    return io.TextIOWrapper(binary, before.encoding if before else "utf-8", "backslashreplace", line_buffering=True)


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return one_line(super().format(record))


def one_line(message: object) -> str:
    """Return the message on one line that every stream takes: `names.printable`, lines joined by spaces."""
    return printable(" ".join(str(message).split("\n")))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep absl's warnings, of the libraries called in the block, off the log; errors pass.

    absl sets up the root logger at its first message if nobody has: that is the user's to do.
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
