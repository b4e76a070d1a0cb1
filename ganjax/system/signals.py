"""SIGINT, SIGTERM and SIGHUP end the program at any moment, by the signal itself, after one line on stderr.

The signals are blocked in every thread, and one thread waits for them. Hence they need no handler, act even while the
main thread compiles, never raise inside a callback, and do not shut Python down while other threads still run.
"""

import contextlib
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TWICE = 0.2  # seconds: `timeout` sends its signal to a process, and at once again to the group of it
caught: int | None = None  # the signal that stopped the newest `Stop` block
advice = ""  # appended to the line on stderr
_watching = False
_holding: "Stop | None" = None
_lock = threading.Lock()
_leftovers: set[Path] = set()


def watch(*numbers: int) -> None:
    """Let the first of these signals, by default any of SIGNALS, end the process; a `Stop` block can delay the end.

    A signal that was ignored at the start (`nohup`, a background job) stays ignored; those of SIGNALS that are not
    watched keep their usual effect. Call this in the main thread, before other threads start.
    """
    global _watching
    numbers = _not_ignored(numbers)
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, set(SIGNALS) - numbers)
    for number in numbers:
        signal.signal(number, signal.SIG_DFL)  # Python's own handler of SIGINT raises KeyboardInterrupt
    _watching = True
    if numbers:
        threading.Thread(target=_wait, args=(numbers,), name="signals", daemon=True).start()


def _not_ignored(numbers: tuple[int, ...]) -> set[int]:
    return {number for number in numbers or SIGNALS if signal.getsignal(number) != signal.SIG_IGN}


def _wait(numbers: set[int]) -> None:
    while True:
        number = signal.sigwait(numbers)
        with _lock:
            if _holding is None:
                die(number, f"stopped by {_name(number)}{advice}")
            if _holding.signal is None:
                _holding.record(number)
                if os.isatty(2):
                    say("saving before the stop; press Ctrl-C again to stop immediately")
            elif _holding.is_again(number):
                die(number, "stopped immediately, without saving; run the same command to resume")


def die(number: int, line: str = "") -> None:
    """Remove the temporary files of `removing`, write the line to stderr, and end the process by the signal.

    Never returns. A shell shows 128 + number: 130 for SIGINT, 143 for SIGTERM, 129 for SIGHUP.
    """
    for path in list(_leftovers):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else _unlink(path)
    if line:
        say(line)
    with contextlib.suppress(ValueError):  # only the main thread may set it; `watch` has set it for the signals it got
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    os._exit(128 + number)


def say(line: str) -> None:
    """Write a line to stderr, bypassing Python's buffers, which another thread may have locked. On a terminal it starts
    below the progress bar.
    """
    with contextlib.suppress(OSError):
        os.write(2, f"{chr(10) if os.isatty(2) else ''}{line}\n".encode("utf-8", "backslashreplace"))


def leave(status: int) -> None:
    """End the process with this status or, if that is 0, by the signal that stopped its work. Never returns.

    Python's own shutdown is skipped: threads of compilers and readers crash if they outlive the interpreter.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    if caught is not None and status == 0:
        die(caught)
    os._exit(status)


@contextlib.contextmanager
def removing(path: Path) -> Iterator[Path]:
    """Remove a temporary file or folder if a signal ends the process within the block."""
    _leftovers.add(path)
    try:
        yield path
    finally:
        _leftovers.discard(path)


class Stop:
    """A block in which a loop can save before a signal ends the process. Between `hold` and `release`, a signal is only
    recorded in `self.signal`, which the loop checks; a second SIGINT, TWICE later or more, ends the process
    immediately. Outside, signals have their usual effect.

    In a program that does not call `watch`, `hold` installs signal handlers, in the main thread only.
    """

    def __init__(self):
        self.signal: int | None = None
        self._since, self._before = 0.0, {}

    def __enter__(self) -> "Stop":
        global caught
        caught = None
        return self

    def __exit__(self, *_) -> None:
        global caught
        self.release()
        caught = self.signal

    def hold(self) -> None:
        global _holding
        if _watching:
            with _lock:
                _holding = self
        elif not self._before and threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in _not_ignored(())}

    def release(self) -> None:
        global _holding
        if _watching:
            with _lock:
                _holding = None
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def record(self, number: int) -> None:
        """Let the loop see a first signal."""
        self.signal, self._since = number, time.monotonic()

    def is_again(self, number: int) -> bool:
        """Return whether a signal after the first one is a second Ctrl-C."""
        return number == signal.SIGINT and time.monotonic() - self._since >= TWICE

    def _handle(self, number, frame) -> None:
        if self.signal is None:
            self.record(number)
        elif self.is_again(number):
            raise KeyboardInterrupt


def _name(number: int) -> str:
    return signal.Signals(number).name


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
