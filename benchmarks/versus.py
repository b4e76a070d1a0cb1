"""Time two programs on the same cores, each in its own process, in turns."""

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Result(NamedTuple):
    """One side's result: seconds of a step (the median) and of the first call, peak memory, and the note of `make`."""

    seconds: float
    first_seconds: float
    peak_mib: float
    note: str


class Side:
    """A process that builds a step by `make(*args)` -> (step, note) and runs it on request."""

    def __init__(self, make: Callable):
        os.environ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"  # as launch.py sets it; it slows down neither side
        context = multiprocessing.get_context("spawn")
        self._pipe, child_pipe = context.Pipe()
        self._process = context.Process(target=_serve, args=(child_pipe, make), daemon=True)
        self._process.start()

    def ask(self, *message):
        self._pipe.send(message)
        try:
            answer = self._pipe.recv()
        except EOFError:
            raise SystemExit("a process of the benchmark ended; its error message is above") from None
        return answer

    def close(self) -> None:
        self._pipe.send(("stop",))
        self._process.join()


def compare(
    ours: Side, theirs: Side, our_args: tuple, their_args: tuple, repeats: int = 10, seconds: float = 4.0
) -> tuple[Result, Result, float]:
    """Build and warm up the step of both sides, then run each side in turns of about `seconds`, `repeats` times.

    Return (our result, their result, the median over pairs of turns of their time / our time). Other load on the
    machine affects both turns of a pair alike.
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
        for side, count, side_times in zip(sides, counts, times, strict=True):
            side_times.append(side.ask("run", count))
    peaks = [side.ask("peak") for side in sides]
    results = [
        Result(statistics.median(side_times), first, peak, note)
        for side_times, (first, note), peak in zip(times, ready, peaks, strict=True)
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
        elif command == "reset":  # resets the peak resident set size of the process, on Linux
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
