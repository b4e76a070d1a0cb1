"""What a run asks of the operating system: a workdir for itself, and to take back memory."""

import contextlib
import ctypes
import fcntl
import logging
from collections.abc import Iterator
from pathlib import Path

import jax

from ganjax.errors import UserError
from ganjax.names import check_utf8

log = logging.getLogger(__name__)


@contextlib.contextmanager
def claim(workdir: Path) -> Iterator[None]:
    """Make the workdir, and hold it against a second run. The kernel lets go when the process dies."""
    check_utf8(workdir, "--workdir")
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
