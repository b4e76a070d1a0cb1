"""Out-of-memory errors, of the device or the host, as one line with advice."""

import contextlib
import ctypes
from collections.abc import Iterator

import jax

from ganjax.errors import UserError

FREE = "end other programs that use the device, or compute on the CPU with JAX_PLATFORMS=cpu"


def is_exhausted(error: BaseException) -> bool:
    """Return whether an error says that memory ran out: NumPy's or Python's on the host, or JAX's on a device."""
    exhausted = isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
    return exhausted or isinstance(error, MemoryError)


@contextlib.contextmanager
def explain_exhaustion(advice: str) -> Iterator[None]:
    """Raise UserError, which ends in the advice, if the block runs out of memory. Other errors pass."""
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if not is_exhausted(error):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise UserError(f"there is not enough memory ({reason}): {advice}") from error


def trim_heap() -> None:
    """Return unused heap memory, such as several hundred MB that the compiler freed, to the system. glibc only."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
