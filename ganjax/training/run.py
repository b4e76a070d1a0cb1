"""The parts of one run: its workdir settled, its data opened, its state begun, measured and saved."""

import contextlib
import functools
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from ganjax import recipe, rng, task
from ganjax.config import derived
from ganjax.config import file as config_file
from ganjax.config.check import check
from ganjax.data.table import Dataset
from ganjax.errors import Diverged, NonFinite, UserError, nearest
from ganjax.metrics import in_loop
from ganjax.report.run_log import Report, facts, versions
from ganjax.state import State
from ganjax.system import devices
from ganjax.system.names import expanded
from ganjax.training import branch, update
from ganjax.workdir import meta as metas
from ganjax.workdir import run_folder
from ganjax.workdir.checkpoint import Checkpointer, newest_meta, steps

PROTOCOL = ("extractor", "tap", "resizer", "ddof", "n_real", "n_fake", "seed")  # what scores of a metric must share
log = logging.getLogger(__name__)


class Run(NamedTuple):
    """What the parts of one run share. attempt: rollbacks so far; each has noise of its own."""

    config: ConfigDict
    task: task.Task
    gan: recipe.Recipe
    mesh: Mesh
    dataset: Dataset
    checkpointer: Checkpointer
    report: Report
    show: Callable  # (step, {name: variables}) -> (sheet, what it says of health)
    scores: in_loop.InLoop
    attempt: int

    @property
    def total(self) -> int:
        """The step at which the run ends."""
        return self.config.total_images // self.config.batch_size

    def variables(self, state: State) -> dict[str, dict]:
        """Return what the recipe's methods take of a state."""
        return state.variables(recipe.networks_of(self.gan.methods))


class Beginning(NamedTuple):
    """Where a run goes on from. interval: what was summed since the last log."""

    state: State
    step: int
    attempt: int
    interval: dict


def checked(config: ConfigDict, workdir: Path) -> ConfigDict:
    """Return the config with absolute places. Raises UserError for values, places and settings that cannot be right."""
    config = check(config.copy_and_resolve_references())
    task.of(config).check(config)
    run_folder.make_absolute(config.data)
    if config.branch.workdir:
        config.branch.workdir = os.path.abspath(expanded(config.branch.workdir, "--config.branch.workdir"))
    run_folder.check_apart(workdir, run_folder.roots(config.data), "--workdir")  # before anything is written there
    if config.precision == "float64" and not jax.config.jax_enable_x64:
        raise UserError("config.precision = 'float64' needs jax.config.update('jax_enable_x64', True) before")
    if config.checkpoint.every_seconds and jax.process_count() > 1:
        raise UserError("config.checkpoint.every_seconds works on one host, whose clock it is: use every_images")
    return config


def settle(config: ConfigDict, workdir: Path) -> ConfigDict:
    """Fill in the values that are fixed when a run is created; compare with the run that the workdir holds."""
    path = workdir / "config.json"
    ours = [name for name in ("samples", "scalars.jsonl", "report.html") if (workdir / name).exists()]
    if ours and not path.exists():
        raise UserError(f"{workdir} holds {ours[0]} but no config.json: it is no run; choose another --workdir")
    if steps(workdir / "checkpoints"):  # before, nothing is bound yet
        saved = run_folder.read_config(workdir)
        run_folder.agree(saved, newest_meta(workdir / "checkpoints"), workdir)
        for key, (old, new) in config_file.resume(config, saved, workdir).items():
            log.info("config.%s: %r -> %r", key, old, new)
        return config
    if config.branch.workdir:
        branch.settle(config, workdir)
    if not config.schedule_images:
        config.schedule_images = config.total_images
    return config


def check_recipe(config: ConfigDict) -> None:
    """Trace the recipe, which computes nothing; UserError for nets, metrics or a score that cannot be."""
    own, gan = task.of(config), recipe.build(config)
    try:
        state = jax.eval_shape(update.initialise(config, own, gan))
        _, logged = jax.eval_shape(gan.step, state, own.spec(config, gan.parts), rng.key(0, "check"))
    except UserError:
        raise
    except (ValueError, TypeError, ZeroDivisionError) as error:  # a net that cannot be built says why
        raise UserError(f"recipe {config.recipe}: {error}") from error
    in_loop.check_in_loop(config.metrics, own.offers(config))
    name = config.checkpoint.keep_best.partition(":")[2]
    names = [*logged, *config.metrics]
    if name and name not in names:
        raise UserError(f"config.checkpoint.keep_best: {name!r} is not logged{nearest(name, names)}")


def open_data(config: ConfigDict) -> Dataset:
    """Return the data set; write what is odd about it into the log."""
    dataset = task.of(config).open(config)
    count, skipped = len(dataset.target.names), dataset.skipped
    if count < config.batch_size:
        log.warning("%d images are fewer than a batch of %d: they repeat", count, config.batch_size)
    for name, reason in skipped[:10]:
        log.warning("skipped %s: %s", name, reason)
    if len(skipped) > 10:
        log.warning("and %d more, listed in report.html", len(skipped) - 10)
    return dataset


def begin(
    config: ConfigDict, gan: recipe.Recipe, mesh: Mesh, dataset: Dataset, checkpointer: Checkpointer
) -> Beginning:
    """Return where to go on from: the newest whole checkpoint, that of the run to branch from, or a fresh state."""
    init, one = update.initialise(config, task.of(config), gan), devices.replicated(mesh)
    template, nothing = devices.template(init, one), {"sums": {}, "count": 0}
    restored = checkpointer.restore(template, functools.partial(run_folder.check_data, config.data, dataset))
    if restored is None and config.branch.workdir:
        return Beginning(*branch.begin(config, init, template, dataset), nothing)
    if restored is None:
        return Beginning(jax.jit(init, out_shardings=one)(), 0, 0, nothing)
    state, meta = restored
    log.info("resuming at %s images", f"{meta['images']:,}")
    return Beginning(state, int(meta["step"]), int(meta.get("attempt", 0)), meta.get("interval", nothing))


def measure(run: Run, step: int, state: State) -> None:
    """Log the metrics of this state, once."""
    if run.config.metrics and run.scores.at != step:
        run.report.flush()
        run.report.scores(step, run.scores.measure(step, run.variables(state)))


def save(run: Run, step: int, state: State, hurry: bool = False) -> None:
    """Save, with the metrics of this very state where `keep_best` ranks one or they have no interval of their own."""
    config, report = run.config, run.report
    report.flush()  # a state whose metrics are not finite is never saved
    ranks = config.checkpoint.keep_best.partition(":")[2] in config.metrics
    if not hurry and (ranks or not config.metrics_every_images):
        measure(run, step, state)
    interval = {"sums": report.sums, "count": report.count}  # so that a resumed run logs the same means
    meta = meta_of(config, run.dataset, run.attempt, interval)
    run.checkpointer.save(step, state, meta, _score(run, step), recipe.networks_of(run.gan.methods))


def _score(run: Run, step: int) -> dict | None:
    """Return what `keep_best` ranks the state of this step by; None, with a warning, where it has no such value."""
    request, values = run.config.checkpoint.keep_best, run.report.latest
    name, protocol = request.partition(":")[2], {}
    if name in run.config.metrics:  # of this very state, or not at all
        result = run.scores.results.get(name, {}) if run.scores.at == step else {}
        values = {name: result["value"]} if "value" in result else {}
        protocol = {key: result[key] for key in PROTOCOL if key in result}
    if not name or name in values:
        return metas.score(request, values[name], protocol) if name else None
    logged = ", ".join(sorted(run.report.latest))
    log.warning("checkpoint.keep_best: step %d has no score by %r; logged are: %s", step, name, logged)
    return None


@contextlib.contextmanager
def explained(checkpointer: Checkpointer) -> Iterator[None]:
    """Add to what is not finite where the last good checkpoint is, and what to try."""
    try:
        yield
    except NonFinite as error:
        good = checkpointer.latest()
        where = f"last good checkpoint: {checkpointer.directory / str(good)}" if good else "there is no checkpoint yet"
        advice = "Start again in another --workdir with a lower learning rate, clipping or another seed"
        if good:
            advice += f"; there --config.branch.workdir={checkpointer.directory.parent} goes on from that checkpoint"
        advice += ". Or let it roll back: --config.on_divergence=rollback"
        raise Diverged(f"{error}; {where}. {advice}") from None


def meta_of(config: ConfigDict, dataset: Dataset, attempt: int, interval: dict) -> dict:
    """Return what a checkpoint says of its run."""
    classes = list(dataset.target.classes)
    names = {"classes": classes, "channels": config.data.channels, "config": derived.flatten(config)}
    return {**names, "data": dataset.content, "versions": versions(), "attempt": attempt, "interval": interval}


def facts_of(config: ConfigDict, dataset: Dataset, mesh: Mesh, state: State) -> dict[str, str]:
    """Return what the report says of the run."""
    origin = {"branch": branch.words(config)} if config.branch.workdir else {}
    return {**origin, **facts(config, dataset, mesh, state)}
