"""A grid of runs over config keys and seeds, in turn, into one table: Markdown, CSV and a plot.

A sweep is a file with `get_sweep()` that returns a dict: "config", the file of the runs' config; "base", keys for all
of them; "grid", {key: values}, whose product is run, or "points", {name: {key: value}}; "seeds"; "metrics", names as
`launch.py evaluate` knows them, or "name.key" for another number of a result; "num", the samples that they measure.
"""

import csv
import itertools
import json
import logging
import runpy
from pathlib import Path
from typing import NamedTuple

import jax

from ganjax import config as configs
from ganjax import configfile, evaluate, signals, whole
from ganjax.checkpoint import steps
from ganjax.errors import UserError, nearest
from ganjax.metrics.suite import Options
from ganjax.train import train

KEYS = ("config", "base", "grid", "points", "seeds", "metrics", "num")
PASSING = ("report.", "checkpoint.", "mesh.", "data.threads", "data.resident", "data.class")  # change no result
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
    """Read a sweep's file; UserError where it is missing or says something unknown."""
    if not Path(path).is_file():
        here = [str(p) for p in sorted(Path(path).parent.glob("*.py"))] if Path(path).parent.is_dir() else []
        raise UserError(f"--config: no file {path}" + (nearest(path, here) if here else ""))
    try:
        said = dict(runpy.run_path(path)["get_sweep"]())
        seeds, metrics = tuple(said.get("seeds", (0,))), tuple(said.get("metrics", evaluate.DEFAULT))
    except Exception as error:  # the file is the user's code: anything may come
        raise UserError(f"--config={path}: {type(error).__name__}: {error}") from error
    for key in said:
        if key not in KEYS:
            raise UserError(f"{path}: {key!r} is not a key of a sweep{nearest(key, KEYS)}")
    if "config" not in said:
        raise UserError(f"{path}: 'config' is missing, the file of the runs' config, as configs/dcgan32.py")
    grid, points = said.get("grid", {}), dict(said.get("points", {}))
    odd = next((key for key, values in grid.items() if not isinstance(values, list | tuple)), None)
    if odd:
        raise UserError(f"{path}: grid: {odd!r} must have a list of values, not {grid[odd]!r}")
    if bool(grid) == bool(points):
        raise UserError(f"{path}: give either grid or points")
    for values in itertools.product(*grid.values()) if grid else ():
        point = dict(zip(grid, values, strict=True))
        points[",".join(f"{key.rpartition('.')[2]}={value}" for key, value in point.items())] = point
    if not seeds or not points:
        raise UserError(f"{path}: there is no {'point' if seeds else 'seed'} to run")
    for name in metrics:
        evaluate.metric(name.partition(".")[0])
    return Sweep(said["config"], said.get("base", {}), points, seeds, metrics, said.get("num", 2000))


def run(sweep: Sweep, workdir: str | Path, flags: list[str] | None = None) -> dict | None:
    """Train and measure every run that is not done, then write the tables; return the results, {name: [one a seed]}.

    `flags` are --config.KEY=VALUE for all. None where a signal stopped it: the same call again goes on. A run that
    fails is told, and tried again then; the others go on.
    """
    workdir, results = Path(workdir), {}
    runs = [(name, seed) for name in sweep.points for seed in sweep.seeds]
    for name in sweep.points:
        settings(sweep, name, sweep.seeds[0], flags)  # a misspelt key is told now, not after hours of other runs
    for i, (name, seed) in enumerate(runs):
        config, folder = settings(sweep, name, seed, flags), workdir / _folder(name) / f"seed{seed}"
        log.info("run %d of %d: %s, seed %d", i + 1, len(runs), name, seed)
        try:
            found = measured(config, folder, sweep)
        except UserError as error:
            log.warning("%s, seed %d failed: %s", name, seed, error)
            found = {"error": str(error)}
        if found is None:
            return None
        results.setdefault(name, []).append({"seed": seed, **found})
        jax.clear_caches()  # the programs of this run
        write(results, sweep, workdir)
    return results


def settings(sweep: Sweep, name: str, seed: int, flags: list[str] | None = None):
    """Return the config of one run."""
    said = {**sweep.base, **sweep.points[name], "seed": seed}
    own = [f"--config.{key}={value}" for key, value in said.items()]
    return configfile.load_file(sweep.config, own + (flags or []))


def measured(config, folder: Path, sweep: Sweep) -> dict | None:
    """Return {metric: value} of a run, trained or trained on first; None where a signal stopped it."""
    kept = folder / "results.json"
    said = {key: value for key, value in configs.flatten(config).items() if not key.startswith(PASSING)}
    asked = json.loads(json.dumps({"metrics": sweep.metrics, "num": sweep.num, "config": said}))
    try:
        before = json.loads(kept.read_text())
        if before["asked"] == asked:
            return before["values"]
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError) as error:
        log.warning("%s cannot be read (%s): the run is measured again", kept, error)
    train(config, folder)
    done = max(steps(folder / "checkpoints"), default=0) >= config.total_images // config.batch_size
    if signals.caught is not None or not done:
        return None
    names = tuple(dict.fromkeys(name.partition(".")[0] for name in sweep.metrics))
    found = evaluate.workdir(str(folder), names, sweep.num, Options(config.seed))
    values = {name: _value(found, name) for name in sweep.metrics}
    whole.write_text(kept, json.dumps({"asked": asked, "values": values, "results": found}, indent=2) + "\n")
    return values


def _value(results: dict, name: str) -> float:
    metric, _, key = name.partition(".")
    result = results[metric]
    if "error" in result:
        raise UserError(f"{metric}: {result['error']}")
    if (key or "value") not in result:
        raise UserError(f"{name}: the result of {metric} has no {key!r}{nearest(key, result)}")
    return result[key or "value"]


def _folder(name: str) -> str:
    return "".join(c if c.isalnum() or c in "=._-+," else "-" for c in name)


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
    whole.write_text(workdir / "sweep.md", markdown(found, sweep.metrics))
    with whole.replacing(workdir / "sweep.csv") as path, path.open("w", newline="", errors="backslashreplace") as file:
        keys = list(dict.fromkeys(key for point in sweep.points.values() for key in point))
        writer = csv.DictWriter(file, ["name", *keys, "seed", *sweep.metrics, "error"], restval="")
        writer.writeheader()
        for name, runs in results.items():
            writer.writerows({"name": name, **sweep.points[name], **run} for run in runs)
    with whole.replacing(workdir / "sweep.png") as path:
        plot(found, sweep.metrics, path)


def markdown(found: dict[str, dict[str, Cell]], metrics: tuple[str, ...]) -> str:
    """Return a table: mean +- standard deviation [95 % interval of the mean], of so many seeds."""
    lines = [f"| run | seeds | {' | '.join(metrics)} |", "|---|---|" + "---|" * len(metrics)]
    for name, row in found.items():
        texts = []
        for c in row.values():
            spread = f" +- {c.std:.3g} [{c.low:.4g}, {c.high:.4g}]" if c.n > 1 else ""
            texts.append(f"{c.mean:.4g}{spread}" if c.n else "failed")
        lines.append(f"| {name} | {next(iter(row.values())).n} | {' | '.join(texts)} |")
    return "\n".join(lines) + "\n"


def plot(found: dict[str, dict[str, Cell]], metrics: tuple[str, ...], path: Path) -> None:
    """Draw a panel for each metric: the means, with their intervals."""
    from matplotlib.figure import Figure  # here: it takes half a second

    names = list(found)
    figure = Figure(figsize=(2.5 + 3 * len(metrics), 1.2 + 0.32 * len(names)), layout="constrained")
    for i, (metric, axis) in enumerate(zip(metrics, figure.subplots(1, len(metrics), squeeze=False)[0], strict=True)):
        for y, name in enumerate(names):
            c = found[name][metric]
            if c.n > 1:
                axis.plot([c.low, c.high], [y, y], lw=2, color="tab:blue", alpha=0.5)
            axis.plot([c.mean], [y], "o", color="tab:blue")
        axis.set_title(metric, fontsize=10)
        axis.set_yticks(range(len(names)), names if i == 0 else [""] * len(names))
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
