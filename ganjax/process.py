"""What a run asks of the operating system: to be told of signals, and a workdir for itself."""

import contextlib
import ctypes
import fcntl
import logging
import signal
from collections.abc import Iterator
from pathlib import Path

import jax

from ganjax.errors import UserError

log = logging.getLogger(__name__)


class Stop:
    """Catches SIGTERM and SIGINT: the loop saves and leaves. A second Ctrl-C acts at once."""

    def __init__(self):
        self.signal: int | None = None
        self.before: dict = {}

    def _catch(self, number, frame):
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number

    def __enter__(self) -> "Stop":
        # In several processes orbax agrees on SIGTERM among the hosts; only the main thread may set handlers.
        with contextlib.suppress(ValueError):
            if jax.process_count() == 1:
                self.before = {n: signal.signal(n, self._catch) for n in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def claim(workdir: Path) -> Iterator[None]:
    """Make the workdir, and hold it against a second run. The kernel lets go when the process dies."""
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        lock = (workdir / ".lock").open("w")
    except OSError as error:
        raise UserError(f"--workdir={workdir} cannot be written: {error.strerror}") from error
    with lock:
        if jax.process_index() == 0:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(f"another process is training in {workdir}; choose another --workdir") from None
            except OSError:
                log.warning("%s: this file system has no locks; start only one run there", workdir)
        yield


def give_back() -> None:
    """Return to the system the memory that is free but held: what the compiler took, several hundred MB. glibc only."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
