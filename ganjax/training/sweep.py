"""A grid of runs over config keys and seeds, in turn, into one table: Markdown, CSV and a plot.

A sweep is a file with `get_sweep()` that returns a dict: "config", the file of the runs' config; "base", keys for all
of them; "grid", {key: values}, whose product is run, or "points", {name: {key: value}}; "seeds"; "metrics", names as
`launch.py evaluate` knows them, or "name.key" for another number of a result; "num", the samples that they measure.
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
    """points: {name: {key: value}}, each run with every seed."""

    config: str
    base: dict
    points: dict[str, dict]
    seeds: tuple[int, ...]
    metrics: tuple[str, ...]
    num: int


def read(path: str) -> Sweep:
    """Read a sweep's file; UserError, in one line, where it is missing or says something that cannot be right."""
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
    except (Exception, SystemExit) as error:  # the file is the user's code: anything may come
        raise UserError(f"--config={path}: {config_file.one_line(error)}") from error
    if not isinstance(settings, Mapping):
        raise UserError(f"{path}: get_sweep() must return a dict, not {settings!r}")
    for key in settings:
        if key not in KEYS:
            raise UserError(f"{path}: {key!r} is not a key of a sweep{nearest(str(key), KEYS)}")
    try:
        return _checked(dict(settings))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _checked(settings: dict) -> Sweep:
    if not isinstance(settings.get("config"), str):
        raise UserError("'config' is missing, the file of the runs' config, as dcgan32")
    base = settings.get("base", {})
    if not _is_point(base):
        raise UserError(f"base must be a dict of keys and values, not {base!r}")
    seeds = _listed("seeds", settings.get("seeds", (0,)), "whole numbers from 0 to 2^32 - 1, as (0, 1, 2)")
    if not all(type(seed) is int and 0 <= seed < 2**32 for seed in seeds):
        raise UserError(f"seeds = {settings['seeds']!r} must be whole numbers from 0 to 2^32 - 1")
    if len(set(seeds)) < len(seeds):
        raise UserError(f"seeds = {settings['seeds']!r}: one comes twice, and its runs would be the same")
    metrics = _listed("metrics", settings.get("metrics", evaluate.DEFAULT), "names, as ('swd', 'rand_fd')")
    if not metrics or not all(isinstance(name, str) for name in metrics):
        raise UserError(f"metrics = {settings['metrics']!r} must be a list of names, as ('swd', 'rand_fd')")
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
    """Return {name: {key: value}} of a grid or of points."""
    for name, given in (("grid", grid), ("points", points)):
        if not _is_point(given):
            raise UserError(f"{name} must be a dict, not {given!r}")
    if bool(grid) == bool(points):
        raise UserError("give either grid or points")
    odd = next((name for name, point in points.items() if not _is_point(point)), None)
    if odd is not None:
        raise UserError(f"points: {odd!r} must be a dict of keys and values, not {points[odd]!r}")
    odd = next((key for key, values in grid.items() if not isinstance(values, list | tuple)), None)
    if odd is not None:
        raise UserError(f"grid: {odd!r} must have a list of values, not {grid[odd]!r}")
    named = {name: dict(point) for name, point in points.items()}
    for values in itertools.product(*grid.values()) if grid else ():
        point = dict(zip(grid, values, strict=True))
        name = ",".join(f"{key.rpartition('.')[2]}={value}" for key, value in point.items())
        if name in named:
            raise UserError(f"grid: {name} comes twice; take one of the equal values away")
        named[name] = point
    return named


def _is_point(value) -> bool:
    return isinstance(value, Mapping) and all(isinstance(key, str) and key for key in value)


def _listed(key: str, value, what: str) -> tuple:
    if not isinstance(value, list | tuple):
        raise UserError(f"{key} = {value!r} must be a list of {what}")
    return tuple(value)


def run(sweep: Sweep, workdir: str | Path, flags: list[str] | None = None) -> dict | None:
    """Train and measure every run that is not done, then write the tables; return the results, {name: [one a seed]}.

    `flags` are --config.KEY=VALUE for all. None where a signal stopped it: the same call again goes on. A run that
    fails is logged, and retried on the next call; the others go on. Raises UserError for what no run could begin with,
    and at the end if a table cannot be written.
    """
    workdir, results = expanded(workdir, "--workdir"), {}
    runs = [(name, seed) for name in sweep.points for seed in sweep.seeds]
    places = folders(sweep.points)
    for name in sweep.points:  # a misspelt key is said now, not after hours of other runs
        data = check(settings(sweep, name, sweep.seeds[0], flags)).data
        run_folder.check_apart(workdir, run_folder.roots(data), "--workdir")
    unwritten = None
    for i, (name, seed) in enumerate(runs):
        config, folder = settings(sweep, name, seed, flags), workdir / places[name] / f"seed{seed}"
        log.info("run %d of %d: %s, seed %d", i + 1, len(runs), name, seed)
        try:
            with memory.explain_exhaustion(memory.FREE):
                found = measured(config, folder, sweep)
        except (UserError, OSError) as error:
            found = {"error": _reason(error, folder)}
            log.warning("%s, seed %d failed: %s", name, seed, found["error"])
        if found is None:
            return None
        results.setdefault(name, []).append({"seed": seed, **found})
        jax.clear_caches()  # the programs of this run
        try:
            write(results, sweep, workdir)
            unwritten = None
        except (UserError, OSError) as error:
            unwritten = error
    if unwritten:
        raise UserError(f"the tables of the sweep: {unwritten}") from unwritten
    return results


def _reason(error: Exception, folder: Path) -> str:
    """Return in a line what stopped a run: an OSError, as of a full disk, may not say where."""
    if isinstance(error, OSError):
        return f"{printable(str(error.filename or folder))} cannot be written: {error.strerror or error}"
    return str(error)


def folders(names: Iterable[str]) -> dict[str, str]:
    """Return {name: the name of its own folder below the workdir}, whatever the order of the points.

    A name stays as it is where every file system takes it, and keeps it apart from the others; else a hash of it is
    appended. So is one to a name that ends like a hash.
    """
    names = dict.fromkeys(names)
    folded = Counter(name.casefold() for name in names)
    own = {name for name in names if name == _plain(name) and not HASHED.search(name) and folded[name.casefold()] == 1}
    return {name: name if name in own else _hashed(name) for name in names}


def _hashed(name: str) -> str:
    return f"{_plain(name)}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def _plain(name: str) -> str:
    return safe_name("".join(c if c.isalnum() or c in "=._-+," else "-" for c in name))


def settings(sweep: Sweep, name: str, seed: int, flags: list[str] | None = None):
    """Return the config of one run."""
    said = {**sweep.base, **sweep.points[name], "seed": seed}
    own = [f"--config.{key}={value}" for key, value in said.items()]
    return config_file.load_file(sweep.config, own + (flags or []))


def measured(config, folder: Path, sweep: Sweep) -> dict | None:
    """Return {metric: value} of a run, trained or trained on first; None where a signal stopped it."""
    kept = folder / "results.json"
    declared = groups.keys_of(config)
    said = {key: value for key, value in derived.flatten(config).items() if declared.get(key, UNDECLARED).matters}
    asked = json.loads(json.dumps({"metrics": sweep.metrics, "num": sweep.num, "config": said}))
    try:
        before = json.loads(kept.read_text())
        if before["asked"] == asked:
            return {name: float(before["values"][name]) for name in sweep.metrics}
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s cannot be read (%s): the run is measured again", kept, error)
    train(config, folder)
    done = max(steps(folder / "checkpoints"), default=0) >= config.total_images // config.batch_size
    if signals.caught is not None or not done:
        return None
    names = tuple(dict.fromkeys(name.partition(".")[0] for name in sweep.metrics))
    found = evaluate.workdir(str(folder), names, sweep.num, Options(config.seed))
    values = {name: _value(found, name) for name in sweep.metrics}
    atomic.write_text(kept, json.dumps({"asked": asked, "values": values, "results": found}, indent=2) + "\n")
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
    """Of one metric over the seeds: Student's t's 95 % interval of the mean. std, low, high: NaN for one seed."""

    mean: float
    std: float
    low: float
    high: float
    n: int


def cell(values: list[float]) -> Cell:
    """Return the cell of one value a seed; NaNs for none."""
    n, nan = len(values), float("nan")
    if n < 2:
        return Cell(values[0] if values else nan, nan, nan, nan, n)
    return Cell(*evaluate.spread(values), n)


def cells(results: dict, metrics: tuple[str, ...]) -> dict[str, dict[str, Cell]]:
    """Return {name: {metric: cell}}, of the seeds that did not fail."""
    good = {name: [run for run in runs if "error" not in run] for name, runs in results.items()}
    return {name: {m: cell([run[m] for run in runs]) for m in metrics} for name, runs in good.items()}


def write(results: dict, sweep: Sweep, workdir: Path) -> None:
    """Write sweep.md, sweep.csv (a row each run) and sweep.png into the workdir."""
    found = cells(results, sweep.metrics)
    atomic.write_text(workdir / "sweep.md", markdown(found, sweep.metrics))
    table = io.StringIO(newline="")
    keys = list(dict.fromkeys(key for point in sweep.points.values() for key in point))
    writer = csv.DictWriter(table, ["name", *keys, "seed", *sweep.metrics, "error"], restval="")
    writer.writeheader()
    for name, runs in results.items():
        writer.writerows({"name": name, **sweep.points[name], **run} for run in runs)
    atomic.write_text(workdir / "sweep.csv", table.getvalue())
    with atomic.replacing(workdir / "sweep.png") as path:
        plot(found, sweep.metrics, path)


def markdown(cells_of: dict[str, dict[str, Cell]], metrics: tuple[str, ...]) -> str:
    """Return a table: mean +- standard deviation [95 % interval of the mean], of so many seeds."""
    lines = [f"| run | seeds | {' | '.join(metrics)} |", "|---|---|" + "---|" * len(metrics)]
    for name, row in cells_of.items():
        texts = []
        for c in row.values():
            spread = f" +- {c.std:.3g} [{c.low:.4g}, {c.high:.4g}]" if c.n > 1 else ""
            texts.append(f"{c.mean:.4g}{spread}" if c.n else "failed")
        lines.append(f"| {name} | {next(iter(row.values())).n} | {' | '.join(texts)} |")
    return "\n".join(lines) + "\n"


def plot(cells_of: dict[str, dict[str, Cell]], metrics: tuple[str, ...], path: Path) -> None:
    """Draw a panel for each metric: the means, with their intervals."""
    from matplotlib.figure import Figure  # here: it takes half a second

    names = list(cells_of)
    figure = Figure(figsize=(2.5 + 3 * len(metrics), 1.2 + 0.32 * len(names)), layout="constrained")
    for i, (metric, axis) in enumerate(zip(metrics, figure.subplots(1, len(metrics), squeeze=False)[0], strict=True)):
        for y, name in enumerate(names):
            c = cells_of[name][metric]
            if c.n > 1:
                axis.plot([c.low, c.high], [y, y], lw=2, color="tab:blue", alpha=0.5)
            axis.plot([c.mean], [y], "o", color="tab:blue")
        axis.set_title(metric, fontsize=10)
        axis.set_yticks(range(len(names)), names if i == 0 else [""] * len(names))
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.grid(alpha=0.3)
    with atomic.replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)
