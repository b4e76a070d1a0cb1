"""Kill training at random moments by each signal, go on, and compare: python tests/programs/kills.py --out=DIR

Each trial starts a run and sends one signal, after a time drawn from 0.1 s to past the run's natural end (for half of
the trials: from its last part). The exit status, stderr and the time that the stop took must be right, and the same
command must end in the bits of an undisturbed run. Every third trial starts without compiled programs. A trial is a
line of DIR/kills.jsonl; those that passed are not repeated.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from running import ROOT, read_state

SIGNALS = ("INT", "TERM", "HUP", "KILL")
SMALL = "--config.data.atelier.num_images=16"
RECIPES = {
    "dcgan": (["--config=dcgan:debug", "--config.total_images=320"], 40),
    "cyclegan": (["--config=cyclegan:debug", "--config.total_images=40", SMALL], 20),
}
EVERY = {"dcgan": 80, "cyclegan": 10}
STARTED = 1.0  # seconds, after which Python has certainly begun to run the program, on a busy machine too
LONGEST = 60  # seconds that a stop may take on a busy machine; more is a hang
WRONG = ("Traceback", "Exception ignored", "Segmentation", "Fatal Python error", "UserWarning")


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if all the trials passed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", required=True, type=Path)
    options.add_argument("--trials", type=int, default=25, help="of each signal")
    options.add_argument("--signal", default=",".join(SIGNALS))
    options = options.parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGHUP):  # a shell may have had them ignored, which children inherit
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    names = options.signal.split(",")
    rows, wholes = passed(out / "kills.jsonl"), {}
    trials = [(name, i) for i in range(options.trials) for name in names]
    for name, i in trials:
        if (name, i) in rows:
            continue
        recipe = list(RECIPES)[(i + SIGNALS.index(name)) % 2]
        if recipe not in wholes:
            wholes[recipe] = whole(out, recipe)
        rows[name, i] = row = trial(out, recipe, name, i, *wholes[recipe])
        with (out / "kills.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)
    chosen = [rows[key] for key in trials]
    failed = [row for row in chosen if row["problems"]]
    for name in names:
        ends = [row["end"] for row in chosen if row["signal"] == name]
        print(f"SIG{name}: {len(ends)} trials, " + ", ".join(f"{ends.count(end)} {end}" for end in sorted(set(ends))))
    slowest = max((row["stop_seconds"] for row in chosen), default=0)
    print(f"{len(chosen) - len(failed)} of {len(chosen)} passed; the slowest stop took {slowest:.1f} s")
    return 1 if failed else 0


def passed(path: Path) -> dict:
    """Return {(signal, number): row} of the trials that passed."""
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {(row["signal"], row["trial"]): row for row in rows if not row["problems"]}


def start(out: Path, recipe: str, workdir: Path, programs: Path, **streams) -> subprocess.Popen:
    flags = [*RECIPES[recipe][0], f"--config.checkpoint.every_images={EVERY[recipe]}", f"--workdir={workdir}"]
    environment = {**os.environ, "GANJAX_CACHE": str(out / "cache"), "JAX_COMPILATION_CACHE_DIR": str(programs)}
    environment |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2", "GANJAX_ONEDNN": "0"}  # its cannot be kept
    environment["XLA_FLAGS"] = "--xla_backend_optimization_level=1"  # which takes longer than these runs
    command = [sys.executable, "launch.py", "train", *flags]
    return subprocess.Popen(command, cwd=ROOT, env=environment, **streams)


def whole(out: Path, recipe: str) -> tuple[dict, str, float, float]:
    """Return an undisturbed run's final state, its config, and its seconds without and with compiled programs."""
    seconds = []
    shutil.rmtree(out / "programs" / recipe, ignore_errors=True)
    for name in ("cold", "warm"):
        workdir, began = out / f"{recipe}-{name}", time.monotonic()
        shutil.rmtree(workdir, ignore_errors=True)
        process = start(out, recipe, workdir, out / "programs" / recipe, stdout=subprocess.DEVNULL)
        if process.wait() != 0:
            raise SystemExit(f"{recipe}: the undisturbed run failed")
        seconds.append(time.monotonic() - began)
    return read_state(workdir, RECIPES[recipe][1]), config_of(workdir), *seconds


def config_of(workdir: Path) -> str:
    return (workdir / "config.json").read_text()


def trial(out: Path, recipe: str, name: str, i: int, state: dict, config: str, cold: float, warm: float) -> dict:
    """Return what one trial showed; "problems" is empty if all was right."""
    number, is_cold = getattr(signal, f"SIG{name}"), i % 3 == 2
    last_part = 0.6 if i // 2 % 2 else 0.0  # where it steps and saves: most of so short a run is imports and compiling
    share = np.random.default_rng([SIGNALS.index(name), i]).uniform(last_part, 1.1)
    spread = max(0.1, share * (cold if is_cold else warm))
    workdir, programs = out / "trial", out / "programs" / ("trial" if is_cold else recipe)
    for folder in (workdir, out / "programs" / "trial"):
        shutil.rmtree(folder, ignore_errors=True)
    process = start(out, recipe, workdir, programs, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    time.sleep(spread)
    process.send_signal(number)
    began, problems = time.monotonic(), []
    try:
        text = process.communicate(timeout=LONGEST)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        text = process.communicate()[1]
        problems.append(f"it went on for {LONGEST} s")
    stop_seconds, last = time.monotonic() - began, RECIPES[recipe][1]
    problems += [f"stderr has {word!r}: {text[-1500:]}" for word in WRONG if word in text]
    finished = (workdir / "checkpoints" / str(last)).exists()
    if process.returncode not in (-number, 0) or (process.returncode == 0 and not finished):
        problems.append(f"exit status {process.returncode}: {text[-1500:]}")
    stopped = text.count("stopped by SIG") + text.count("; then SIG")
    if process.returncode == -number and name != "KILL" and stopped != 1 and spread > STARTED:
        problems.append(f"{stopped} lines say that it was stopped: {text[-1500:]}")
    saved = ", saved" in text
    end = "finished" if process.returncode == 0 else "saved first" if saved else "at once"
    process = start(out, recipe, workdir, out / "programs" / recipe, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
                    text=True)  # fmt: skip
    text = process.communicate()[1]
    if process.returncode != 0:
        problems.append(f"going on ended with {process.returncode}: {text[-1500:]}")
    else:
        problems += compare(workdir, last, state, config)
    row = {"signal": name, "trial": i, "recipe": recipe, "cold": is_cold, "after": round(spread, 2), "end": end}
    return {**row, "stop_seconds": round(stop_seconds, 2), "problems": problems}


def compare(workdir: Path, last: int, state: dict, config: str) -> list[str]:
    """Return what differs from the undisturbed run."""
    found = read_state(workdir, last)
    wrong = [name for name in state if name not in found or not np.array_equal(found[name], state[name])]
    problems = [f"{len(wrong)} arrays differ, first {wrong[0]}"] if wrong else []
    return problems + (["config.json differs"] if config_of(workdir) != config else [])


if __name__ == "__main__":
    raise SystemExit(main())
