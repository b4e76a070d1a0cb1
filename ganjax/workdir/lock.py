"""A lock on the workdir: only one process trains there at a time."""

import contextlib
import fcntl
import logging
from collections.abc import Iterator
from pathlib import Path

import jax

from ganjax.errors import UserError
from ganjax.system.names import check_utf8

log = logging.getLogger(__name__)


@contextlib.contextmanager
def claim(workdir: Path) -> Iterator[None]:
    """Create the workdir, and lock it against a second run; the kernel releases the lock when the process dies.

    Raises UserError if the workdir cannot be written, or another process trains there.
    """
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
