"""SIGINT, SIGTERM and SIGHUP: a program ends by the signal itself, at any moment, after one line on stderr.

The signals are blocked in every thread, and one thread waits for them. So they need no handler, act while the main
thread compiles, never raise inside a callback, and Python is not torn down under threads that still run.
"""

import contextlib
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
caught: int | None = None  # the signal that stopped the newest `Stop` block
advice = ""  # ends the line
_watching = False
_holding: "Stop | None" = None
_lock = threading.Lock()
_leftovers: set[Path] = set()


def watch(*numbers: int) -> None:
    """End the process by the first of these signals (all of SIGNALS by default); see `Stop` for what delays that.

    One that was ignored at the start (`nohup`, a background job) stays ignored; the others do what they do in any
    program. Call it in the main thread, before other threads start.
    """
    global _watching
    numbers = _heeded(numbers)
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, set(SIGNALS) - numbers)
    for number in numbers:
        signal.signal(number, signal.SIG_DFL)  # Python's own handler of SIGINT raises KeyboardInterrupt
    _watching = True
    if numbers:
        threading.Thread(target=_wait, args=(numbers,), name="signals", daemon=True).start()


def _heeded(numbers: tuple[int, ...]) -> set[int]:
    return {number for number in numbers or SIGNALS if signal.getsignal(number) != signal.SIG_IGN}


def _wait(numbers: set[int]) -> None:
    while True:
        number = signal.sigwait(numbers)
        with _lock:
            again = _holding is not None and _holding.signal is not None
            if _holding is None:
                die(number, f"stopped by {_name(number)}{advice}")
            if again and number == signal.SIGINT:
                die(number, "stopped at once, without saving; the same command goes on")
            if not again:
                _holding.signal = number
                if os.isatty(2):
                    say("stopping, and saving; Ctrl-C again stops at once")


def die(number: int, line: str = "") -> None:
    """Say the line on stderr, remove what `removing` holds, and end the process by the signal; never return.

    A shell shows 128 + number: 130 for SIGINT, 143 for SIGTERM, 129 for SIGHUP.
    """
    for path in list(_leftovers):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else _unlink(path)
    if line:
        say(line)
    with contextlib.suppress(ValueError):  # only the main thread may; `watch` has done it for SIGNALS
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    os._exit(128 + number)


def say(line: str) -> None:
    """Write a line to stderr past Python's buffers, which another thread may hold; on a terminal below its bar."""
    with contextlib.suppress(OSError):
        os.write(2, f"{chr(10) if os.isatty(2) else ''}{line}\n".encode("utf-8", "backslashreplace"))


def leave(status: int) -> None:
    """End the process with this status or, if that is 0, by the signal that stopped its work; never return.

    Python is not torn down: threads of compilers and readers that outlive their interpreter crash.
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
    """Lets a loop save before a signal ends it. From `hold` on, a signal is noted in `signal` for the loop to see; a
    second SIGINT acts at once. Before `hold`, and after `release`, signals do what they do without it.

    In a program that does not `watch`, it sets handlers of its own, in the main thread.
    """

    def __init__(self):
        self.signal: int | None = None
        self._before: dict = {}

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
            self._before = {number: signal.signal(number, self._handle) for number in _heeded(())}

    def release(self) -> None:
        global _holding
        if _watching:
            with _lock:
                _holding = None
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _handle(self, number, frame) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = self.signal or number


def _name(number: int) -> str:
    return signal.Signals(number).name


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
