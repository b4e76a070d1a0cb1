"""Two programs on the same cores, each in a process of its own, timed by turns."""

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Result(NamedTuple):
    """Of one side: the median time of a step, its first call, the peak of its memory, and what it says of itself."""

    seconds: float
    first_seconds: float
    peak_mib: float
    note: str


class Side:
    """A process that makes steps by `make(*args)` -> (step, note), runs the latest, and otherwise waits."""

    def __init__(self, make: Callable):
        os.environ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"  # as launch.py has it; it slows neither side
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make), daemon=True)
        self._process.start()

    def ask(self, *message):
        self._pipe.send(message)
        try:
            answer = self._pipe.recv()
        except EOFError:
            raise SystemExit("a side of the benchmark ended; its message is above") from None
        return answer

    def close(self) -> None:
        self._pipe.send(("stop",))
        self._process.join()


def compare(
    ours: Side, theirs: Side, our_args: tuple, their_args: tuple, repeats: int = 10, seconds: float = 4.0
) -> tuple[Result, Result, float]:
    """Make a step on both sides, warm up, then let each run a few (about `seconds`) by turns, `repeats` times.

    The third result is the median, over the turns, of their time over ours: what a busy machine does to both, it does
    to neighbours alike.
    """
    sides = (ours, theirs)
    ready = [
        side.ask("prepare", *args) for side, args in zip(sides, (our_args, their_args), strict=True)
    ]  # (seconds of the first call, note)
    counts = [max(1, round(seconds / side.ask("run", 3))) for side in sides]
    for side in sides:
        side.ask("reset")
    times = [[], []]
    for _ in range(repeats):
        for side, count, taken in zip(sides, counts, times, strict=True):
            taken.append(side.ask("run", count))
    peaks = [side.ask("peak") for side in sides]
    results = [
        Result(statistics.median(taken), first, peak, note)
        for taken, (first, note), peak in zip(times, ready, peaks, strict=True)
    ]
    return *results, statistics.median(b / a for a, b in zip(*times, strict=True))


def _serve(pipe, make: Callable) -> None:
    step = None
    while True:
        command, *rest = pipe.recv()
        if command == "prepare":
            start = time.perf_counter()
            step, note = make(*rest)
            step()
            pipe.send((time.perf_counter() - start, note))
        elif command == "run":
            start = time.perf_counter()
            for _ in range(rest[0]):
                step()
            pipe.send((time.perf_counter() - start) / rest[0])
        elif command == "reset":  # Linux forgets the high-water mark of the resident set
            Path("/proc/self/clear_refs").write_text("5")
            pipe.send(None)
        elif command == "peak":
            pipe.send(_peak())
        else:
            return


def _peak() -> float:
    status = Path("/proc/self/status").read_text()
    return float(status.partition("VmHWM:")[2].split()[0]) / 1024


def cores() -> int:
    return len(os.sched_getaffinity(0))
