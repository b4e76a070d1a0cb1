"""Sweeps: runs over a grid of config keys and seeds, one after the other, summarised in one table and a plot.

A sweep is a file whose `get_sweep()` returns a dict: "config", the runs' config; "base", keys for all runs; "grid",
{key: values}, of which all combinations are run, or "points", {name: {key: value}}; "seeds"; "metrics", names of
`launch.py evaluate`, or "name.key" for another number of a metric's result; "num", the number of samples to measure.
"""

import csv
import hashlib
import io
import itertools
import json
import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import jax

from ganjax.config import derived, groups
from ganjax.config import file as config_file
from ganjax.config.check import check
from ganjax.config.key import UNDECLARED
from ganjax.errors import UserError, nearest
from ganjax.metrics import evaluate
from ganjax.metrics.suite import Options
from ganjax.system import atomic, memory, signals
from ganjax.system.names import expanded, printable, safe_name
from ganjax.training.loop import train
from ganjax.workdir import run_folder
from ganjax.workdir.checkpoint import steps

KEYS = ("config", "base", "grid", "points", "seeds", "metrics", "num")
HASHED = re.compile(r"-[0-9a-f]{8}$", re.IGNORECASE)
log = logging.getLogger(__name__)


class Sweep(NamedTuple):
    """A checked sweep. points: {name: {key: value}}; every point is run with every seed."""

    config: str
    base: dict
    points: dict[str, dict]
    seeds: tuple[int, ...]
    metrics: tuple[str, ...]
    num: int


def read(path: str) -> Sweep:
    """Read a sweep's file. Raises UserError, in one line, if it is missing or invalid."""
    path = config_file.find(path)
    functions = config_file.run_file(path, f"--config={path}")
    if "get_sweep" not in functions:
        raise UserError(
            f"--config={path}: this is the config of one run: launch.py train --config={path} --workdir=DIR"
            if "get_config" in functions
            else f"--config={path} has no get_sweep(), which returns a sweep: see configs/sweeps/"
        )
    try:
        settings = functions["get_sweep"]()
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise UserError(f"--config={path}: {config_file.one_line(error)}") from error
    if not isinstance(settings, Mapping):
        raise UserError(f"{path}: get_sweep() must return a dict, not {settings!r}")
    for key in settings:
        if key not in KEYS:
            raise UserError(f"{path}: {key!r} is not a key of a sweep{nearest(str(key), KEYS)}")
    try:
        return _validate(dict(settings))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _validate(settings: dict) -> Sweep:
    if not isinstance(settings.get("config"), str):
        raise UserError("'config' is missing: name the config of the runs, such as dcgan32")
    base = settings.get("base", {})
    if not _is_point(base):
        raise UserError(f"base must be a dict of keys and values, not {base!r}")
    seeds = _as_tuple("seeds", settings.get("seeds", (0,)), "whole numbers from 0 to 2^32 - 1, such as (0, 1, 2)")
    if not all(type(seed) is int and 0 <= seed < 2**32 for seed in seeds):
        raise UserError(f"seeds = {settings['seeds']!r} must be whole numbers from 0 to 2^32 - 1")
    if len(set(seeds)) < len(seeds):
        raise UserError(f"seeds = {settings['seeds']!r}: one comes twice, and its runs would be equal")
    metrics = _as_tuple("metrics", settings.get("metrics", evaluate.DEFAULT), "names, such as ('swd', 'rand_fd')")
    if not metrics or not all(isinstance(name, str) for name in metrics):
        raise UserError(f"metrics = {settings['metrics']!r} must be a list of names, such as ('swd', 'rand_fd')")
    for name in metrics:
        evaluate.metric(name.partition(".")[0])
    num = settings.get("num", 2000)
    if type(num) is not int or num < 2:
        raise UserError(f"num = {num!r} must be a whole number of samples, 2 or more")
    points = _points(settings.get("grid", {}), settings.get("points", {}))
    if not seeds or not points:
        raise UserError(f"there is no {'point' if seeds else 'seed'} to run")
    return Sweep(settings["config"], dict(base), points, seeds, metrics, num)


def _points(grid: dict, points: dict) -> dict[str, dict]:
    """Return {name: {key: value}} of all combinations of a grid, or of the points."""
    for name, value in (("grid", grid), ("points", points)):
        if not _is_point(value):
            raise UserError(f"{name} must be a dict, not {value!r}")
    if bool(grid) == bool(points):
        raise UserError("give either grid or points")
    for name, point in points.items():
        if not _is_point(point):
            raise UserError(f"points: {name!r} must be a dict of keys and values, not {point!r}")
    for key, values in grid.items():
        if not isinstance(values, list | tuple):
            raise UserError(f"grid: {key!r} must have a list of values, not {values!r}")
    by_name = {name: dict(point) for name, point in points.items()}
    combinations = itertools.product(*grid.values()) if grid else []
    for values in combinations:
        point = dict(zip(grid, values, strict=True))
        name = ",".join(f"{key.rpartition('.')[2]}={value}" for key, value in point.items())
        if name in by_name:
            raise UserError(f"grid: {name} comes twice; remove one of the equal values")
        by_name[name] = point
    return by_name


def _is_point(value) -> bool:
    return isinstance(value, Mapping) and all(isinstance(key, str) and key for key in value)


def _as_tuple(key: str, value, items: str) -> tuple:
    if not isinstance(value, list | tuple):
        raise UserError(f"{key} = {value!r} must be a list of {items}")
    return tuple(value)


def run(sweep: Sweep, workdir: str | Path, flags: list[str] | None = None) -> dict | None:
    """Train and measure every run that is not done, then write the tables; return {name: [result of each seed]}.

    flags: --config.KEY=VALUE, for all runs. Returns None if a signal stopped the sweep; the same call resumes it. Runs
    that fail are logged, and retried on the next call. Raises UserError for invalid settings, or an unwritable table.
    """
    workdir, results = expanded(workdir, "--workdir"), {}
    runs = [(name, seed) for name in sweep.points for seed in sweep.seeds]
    places = folders(sweep.points)
    for name in sweep.points:  # report a misspelt key now, not after hours of other runs
        data = check(settings(sweep, name, sweep.seeds[0], flags)).data
        run_folder.check_apart(workdir, run_folder.roots(data), "--workdir")
    write_error = None
    for i, (name, seed) in enumerate(runs):
        config, folder = settings(sweep, name, seed, flags), workdir / places[name] / f"seed{seed}"
        log.info("run %d of %d: %s, seed %d", i + 1, len(runs), name, seed)
        try:
            with memory.explain_exhaustion(memory.FREE):
                values = train_and_measure(config, folder, sweep)
        except (UserError, OSError) as error:
            values = {"error": _reason(error, folder)}
            log.warning("%s, seed %d failed: %s", name, seed, values["error"])
        if values is None:
            return None
        results.setdefault(name, []).append({"seed": seed, **values})
        jax.clear_caches()  # free the compiled programs of this run
        try:
            write(results, sweep, workdir)
            write_error = None
        except (UserError, OSError) as error:
            write_error = error
    if write_error:
        raise UserError(f"the tables of the sweep: {write_error}") from write_error
    return results


def _reason(error: Exception, folder: Path) -> str:
    """Return the reason why a run failed, in one line. An OSError, as of a full disk, may lack the file's name."""
    if isinstance(error, OSError):
        return f"{printable(str(error.filename or folder))} cannot be written: {error.strerror or error}"
    return str(error)


def folders(names: Iterable[str]) -> dict[str, str]:
    """Return {name: folder name below the workdir}, independent of the order of the points.

    A name stays if every file system accepts it and distinguishes it from the others. A hash is appended to any other
    name, and to a name that ends like a hash.
    """
    names = dict.fromkeys(names)
    counts = Counter(name.casefold() for name in names)
    safe = {n for n in names if n == _plain(n) and not HASHED.search(n) and counts[n.casefold()] == 1}
    return {name: name if name in safe else _hashed(name) for name in names}


def _hashed(name: str) -> str:
    return f"{_plain(name)}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def _plain(name: str) -> str:
    return safe_name("".join(c if c.isalnum() or c in "=._-+," else "-" for c in name))


def settings(sweep: Sweep, name: str, seed: int, flags: list[str] | None = None):
    """Return the config of one run: the sweep's keys, then the flags, set in the sweep's config."""
    values = {**sweep.base, **sweep.points[name], "seed": seed}
    overrides = [f"--config.{key}={value}" for key, value in values.items()]
    return config_file.load_file(sweep.config, overrides + (flags or []))


def train_and_measure(config, folder: Path, sweep: Sweep) -> dict | None:
    """Return {metric: value} of a run, from its results.json or after training it; None if a signal stopped it."""
    file = folder / "results.json"
    declared = groups.keys_of(config)
    relevant = {key: value for key, value in derived.flatten(config).items() if declared.get(key, UNDECLARED).matters}
    request = json.loads(json.dumps({"metrics": sweep.metrics, "num": sweep.num, "config": relevant}))
    try:
        saved = json.loads(file.read_text())
        if saved["asked"] == request:
            return {name: float(saved["values"][name]) for name in sweep.metrics}
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s cannot be read (%s): the run is measured again", file, error)
    train(config, folder)
    finished = max(steps(folder / "checkpoints"), default=0) >= config.total_images // config.batch_size
    if signals.caught is not None or not finished:
        return None
    names = tuple(dict.fromkeys(name.partition(".")[0] for name in sweep.metrics))
    results = evaluate.workdir(str(folder), names, sweep.num, Options(config.seed))
    values = {name: _value(results, name) for name in sweep.metrics}
    atomic.write_text(file, json.dumps({"asked": request, "values": values, "results": results}, indent=2) + "\n")
    return values


def _value(results: dict, name: str) -> float:
    metric, _, key = name.partition(".")
    result = results[metric]
    if "error" in result:
        raise UserError(f"{metric}: {result['error']}")
    if (key or "value") not in result:
        raise UserError(f"{name}: the result of {metric} has no {key!r}{nearest(key, result)}")
    return result[key or "value"]


class Cell(NamedTuple):
    """A metric over seeds; low, high: 95 % interval of the mean (Student's t). std, low, high are NaN for one seed."""

    mean: float
    std: float
    low: float
    high: float
    n: int


def cell(values: list[float]) -> Cell:
    """Return the cell of the values of all seeds; NaNs if there are none."""
    n, nan = len(values), float("nan")
    if n < 2:
        return Cell(values[0] if values else nan, nan, nan, nan, n)
    return Cell(*evaluate.spread(values), n)


def cells(results: dict, metrics: tuple[str, ...]) -> dict[str, dict[str, Cell]]:
    """Return {name: {metric: cell}} over the seeds whose runs did not fail."""
    complete = {name: [run for run in runs if "error" not in run] for name, runs in results.items()}
    return {name: {m: cell([run[m] for run in runs]) for m in metrics} for name, runs in complete.items()}


def write(results: dict, sweep: Sweep, workdir: Path) -> None:
    """Write sweep.md, sweep.csv (one row per run) and sweep.png into the workdir."""
    summary = cells(results, sweep.metrics)
    atomic.write_text(workdir / "sweep.md", markdown(summary, sweep.metrics))
    table = io.StringIO(newline="")
    keys = list(dict.fromkeys(key for point in sweep.points.values() for key in point))
    writer = csv.DictWriter(table, ["name", *keys, "seed", *sweep.metrics, "error"], restval="")
    writer.writeheader()
    for name, runs in results.items():
        writer.writerows({"name": name, **sweep.points[name], **run} for run in runs)
    atomic.write_text(workdir / "sweep.csv", table.getvalue())
    with atomic.replacing(workdir / "sweep.png") as path:
        plot(summary, sweep.metrics, path)


def markdown(summary: dict[str, dict[str, Cell]], metrics: tuple[str, ...]) -> str:
    """Return a Markdown table: number of seeds, and mean +- standard deviation [95 % interval of the mean]."""
    lines = [f"| run | seeds | {' | '.join(metrics)} |", "|---|---|" + "---|" * len(metrics)]
    for name, row in summary.items():
        texts = []
        for c in row.values():
            spread = f" +- {c.std:.3g} [{c.low:.4g}, {c.high:.4g}]" if c.n > 1 else ""
            texts.append(f"{c.mean:.4g}{spread}" if c.n else "failed")
        lines.append(f"| {name} | {next(iter(row.values())).n} | {' | '.join(texts)} |")
    return "\n".join(lines) + "\n"


def plot(summary: dict[str, dict[str, Cell]], metrics: tuple[str, ...], path: Path) -> None:
    """Draw one panel per metric: the means with their intervals."""
    from matplotlib.figure import Figure  # here, because the import takes half a second

    names = list(summary)
    figure = Figure(figsize=(2.5 + 3 * len(metrics), 1.2 + 0.32 * len(names)), layout="constrained")
    for i, (metric, axis) in enumerate(zip(metrics, figure.subplots(1, len(metrics), squeeze=False)[0], strict=True)):
        for y, name in enumerate(names):
            c = summary[name][metric]
            if c.n > 1:
                axis.plot([c.low, c.high], [y, y], lw=2, color="tab:blue", alpha=0.5)
            axis.plot([c.mean], [y], "o", color="tab:blue")
        axis.set_title(metric, fontsize=10)
        axis.set_yticks(range(len(names)), names if i == 0 else [""] * len(names))
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.grid(alpha=0.3)
    with atomic.replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)
