"""What a program does before its work: signals, memory pages, quiet libraries, a cache of compiled programs."""

import logging
import os
import signal
import sys
import warnings

from ganjax.system.signals import SIGNALS


def block_signals() -> None:
    """Leave signals that come from now on pending, until `signals.watch`; those that are ignored stay ignored."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [n for n in SIGNALS if signal.getsignal(n) != signal.SIG_IGN])


def use_large_pages() -> None:
    """Start the program again, once, with large pages for glibc's malloc, where it is not told otherwise; Linux only.

    malloc asks Linux for large pages if this stands at its start. XLA takes its memory anew at every step: large pages
    made DCGAN-64 a quarter faster on 2 cores.
    """
    if sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:
        os.environ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
        os.execv(sys.executable, sys.orig_argv)


def quiet_libraries() -> None:
    """Silence the libraries' loggers: what matters of theirs comes back as an exception."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for name in ("absl", "asyncio", "orbax", "jax", "grain", "matplotlib"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    sys.unraisablehook = _unraisable


def _unraisable(event) -> None:
    """Silence repeated errors of a checkpoint's writers when a write failed: the cause is raised once."""
    if "Event loop is closed" not in str(event.exc_value):
        sys.__unraisablehook__(event)


def keep_programs() -> None:
    """Let JAX keep compiled programs in the user's cache, up to 2 GiB, unless JAX_COMPILATION_CACHE_DIR says where.

    Each kind of machine has a folder of its own: in a home that several share, one's code may not run on another.
    """
    import jax

    from ganjax.system import cache_dir

    if jax.config.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", str(cache_dir.root() / "programs" / cache_dir.machine()))
        jax.config.update("jax_compilation_cache_max_size", 2 << 30)
    # A disk that is full or read-only is no matter; and no program with a call of oneDNN can be kept.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry")
