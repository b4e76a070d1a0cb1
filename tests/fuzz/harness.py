"""Run many hostile cases in a worker that may crash, hang or fill the memory, and count how each one ends.

A case is (suite, seed, index): the worker makes it anew, so that only numbers travel. The worker is forked from a
server that has imported the package once; after a crash or a hang the next one takes its place.
"""

import collections
import contextlib
import logging
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

CPU_SECONDS = 10  # of one case
WALL_SECONDS = 90  # on a machine that others use too
MEMORY = 2 << 30  # bytes of resident memory, beyond what the worker had
ADDRESSES = 6 << 30  # bytes of address space, beyond: so that no case takes the machine down
ENDS = ("right", "refused", "traceback", "wrong", "untidy", "crash", "hang", "memory")


class Result(NamedTuple):
    """How a case ended: one of ENDS, what there is to say of it, and the processor's seconds."""

    suite: str
    index: int
    end: str
    text: str = ""
    seconds: float = 0.0


def run(cases: Iterable[tuple[str, int, int]], stop_after: float = 1e9) -> list[Result]:
    """Return the result of every case, in order; stop early, between cases, after `stop_after` seconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["numpy", "PIL.Image", "ganjax"])
    results, worker, pipe, started = [], None, None, time.monotonic()
    try:
        for suite, seed, index in cases:
            if time.monotonic() - started > stop_after:
                break
            if worker is None:
                pipe, theirs = context.Pipe()
                worker = context.Process(target=serve, args=(theirs, sys.path[:]), daemon=True)
                worker.start()
                theirs.close()
            pipe.send((suite, seed, index))
            try:
                answer = pipe.recv() if pipe.poll(WALL_SECONDS) else None
            except EOFError:  # it is gone
                worker.join()
                results.append(Result(suite, index, "crash", f"exit status {worker.exitcode}"))
                worker = None
                continue
            if answer is None:
                worker.kill()
                worker.join()
                worker = None
                answer = Result(suite, index, "hang", f"over {WALL_SECONDS} s", WALL_SECONDS)
            results.append(answer)
    finally:
        if worker is not None:
            pipe.send(None)
            worker.join(5)
            worker.kill()
    return results


def serve(pipe, path: list[str]) -> None:
    """Answer cases until None comes: the body of the worker."""
    sys.path[:] = path
    from fuzz.suites import SUITES

    logging.disable(logging.CRITICAL)  # what is said of damaged files is not looked at here
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_status("VmSize") + ADDRESSES, hard))
    while (case := pipe.recv()) is not None:
        pipe.send(_one(SUITES[case[0]], *case))


def _one(check, suite: str, seed: int, index: int) -> Result:
    from ganjax.data.images import ImageError
    from ganjax.errors import UserError

    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the cases before
    before, started = _status("VmRSS"), time.process_time()
    end, text = "right", ""
    try:
        check(seed, index)
    except (UserError, ImageError) as error:
        text = str(error)
        end = "refused" if text and "\n" not in text and text.isprintable() and len(text) < 1000 else "untidy"
    except WrongResult as error:
        end, text = "wrong", str(error)
    except BaseException as error:
        place = error.__traceback__
        while place.tb_next:
            place = place.tb_next
        where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}"
        end, text = "traceback", f"{type(error).__name__}: {ascii(str(error))[:200]} at {where}"
    seconds, peak = time.process_time() - started, _status("VmHWM") - before
    if seconds > CPU_SECONDS:
        end, text = "hang", f"{seconds:.0f} s of processor; {end}"
    elif peak > MEMORY:
        end, text = "memory", f"{peak / 2**30:.1f} GiB; {end}"
    return Result(suite, index, end, ascii(text[:400])[1:-1], seconds)


class WrongResult(AssertionError):
    """A case gave a result that it must not give."""


def demand(right: bool, text: str) -> None:
    """WrongResult, with the text, unless `right`."""
    if not right:
        raise WrongResult(text)


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Yield a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        yield Path(name)


def _status(name: str) -> int:
    """Return a line of /proc/self/status in bytes; 0 where the system has none."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:"))
    return 0


def table(results: list[Result]) -> str:
    """Return the counts of each suite as lines for people, and below them every case that ended badly."""
    suites = dict.fromkeys(result.suite for result in results)
    lines = [f"{'suite':28}" + "".join(f"{end:>10}" for end in ENDS) + f"{'slowest':>10}"]
    for suite in suites:
        own = [result for result in results if result.suite == suite]
        counts = collections.Counter(result.end for result in own)
        slowest = max(result.seconds for result in own)
        lines.append(f"{suite:28}" + "".join(f"{counts[end]:10}" for end in ENDS) + f"{slowest:8.1f} s")
    lines += [f"{bad.suite} {bad.index}: {bad.end}: {bad.text}" for bad in failures(results)]
    return "\n".join(lines)


def failures(results: list[Result]) -> list[Result]:
    """Return what is neither right nor refused in one line."""
    return [result for result in results if result.end not in ("right", "refused")]
