"""The parts of one run: checks, workdir, data, initial state, metrics and checkpoints."""

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
from ganjax.training import branch, initial, update
from ganjax.workdir import meta as metas
from ganjax.workdir import run_folder
from ganjax.workdir.checkpoint import Checkpointer, newest_meta, steps

PROTOCOL = ("extractor", "tap", "resizer", "ddof", "n_real", "n_fake", "seed")  # equal in comparable metric values
log = logging.getLogger(__name__)


class Run(NamedTuple):
    """The shared objects of one run. attempt: the number of rollbacks so far; it selects the noise."""

    config: ConfigDict
    task: task.Task
    gan: recipe.Recipe
    mesh: Mesh
    dataset: Dataset
    checkpointer: Checkpointer
    report: Report
    show: Callable  # (step, {name: variables}) -> (sheet, health statistics)
    scores: in_loop.InLoop
    attempt: int

    @property
    def total(self) -> int:
        """The last step of the run."""
        return self.config.total_images // self.config.batch_size

    def variables(self, state: State) -> dict[str, dict]:
        """Return {name: variables} of the networks that the recipe's methods need."""
        return state.variables(recipe.networks_of(self.gan.methods))


class Beginning(NamedTuple):
    """The point where training starts or resumes. interval: sums of metrics since the last log, and their count."""

    state: State
    step: int
    attempt: int
    interval: dict


def validate(config: ConfigDict, workdir: Path) -> ConfigDict:
    """Return a checked copy of the config, with absolute paths. Raises UserError for invalid values and paths."""
    config = check(config.copy_and_resolve_references())
    task.of(config).check(config)
    run_folder.make_absolute(config.data)
    if config.branch.workdir:
        config.branch.workdir = os.path.abspath(expanded(config.branch.workdir, "--config.branch.workdir"))
    run_folder.check_apart(workdir, run_folder.roots(config.data), "--workdir")  # before anything is written there
    if config.auto and not config.chosen:
        raise UserError("config.auto: in Python, pass the config that ganjax.training.auto.choose returns")
    if config.precision == "float64" and not jax.config.jax_enable_x64:
        raise UserError("config.precision = 'float64' needs jax.config.update('jax_enable_x64', True) first")
    if config.checkpoint.every_seconds and jax.process_count() > 1:
        raise UserError("config.checkpoint.every_seconds works on one host only: use config.checkpoint.every_images")
    return config


def settle(config: ConfigDict, workdir: Path) -> ConfigDict:
    """Fill in the values that are fixed when a run is created, or compare them with the run that the workdir holds.

    Raises UserError if the workdir holds something else than a run, or a run that this config may not resume.
    """
    path = workdir / "config.json"
    outputs = [name for name in ("samples", "scalars.jsonl", "report.html") if (workdir / name).exists()]
    if outputs and not path.exists():
        raise UserError(f"{workdir} holds {outputs[0]} but no config.json: it is no run; choose another --workdir")
    if steps(workdir / "checkpoints"):  # before the first checkpoint, every key may still change
        saved = run_folder.read_config(workdir)
        run_folder.agree(saved, newest_meta(workdir / "checkpoints"), workdir)
        for key, (old, new) in config_file.resume(config, saved, workdir).items():
            log.info("config.%s: %r -> %r", key, old, new)
        return config
    if own := task.of(config).settle:
        own(config)
    initial.settle(config, workdir)
    if config.branch.workdir:
        branch.settle(config, workdir)
    if not config.schedule_images:
        config.schedule_images = config.total_images
    return config


def check_recipe(config: ConfigDict) -> None:
    """Trace one step of the recipe without computing it. Raises UserError for invalid networks, metrics or scores."""
    own_task, gan = task.of(config), recipe.build(config)
    try:
        state = jax.eval_shape(update.initialise(config, own_task, gan))
        source = {"source": state.ema["generator"]} if config.get("penalty", {}).get("cdc") else {}
        state = state.replace(frozen=gan.frozen() | source)
        _, metrics = jax.eval_shape(gan.step, state, own_task.spec(config, gan.parts), rng.key(0, "check"))
    except UserError:
        raise
    except (ValueError, TypeError, ZeroDivisionError) as error:  # raised by a network that cannot be built
        raise UserError(f"recipe {config.recipe}: {error}") from error
    in_loop.check_in_loop(config.metrics, own_task.offers(config))
    name = config.checkpoint.keep_best.partition(":")[2]
    names = [*metrics, *config.metrics]
    if name and name not in names:
        raise UserError(f"config.checkpoint.keep_best: {name!r} is not logged{nearest(name, names)}")


def open_data(config: ConfigDict) -> Dataset:
    """Return the dataset; log a warning if it is smaller than a batch, or if files were skipped."""
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
    """Return the newest intact checkpoint, else that of the run to branch from, else a fresh state."""
    beginning = _begin(config, gan, mesh, dataset, checkpointer)
    at_start = checkpointer.latest() is None
    frozen = gan.frozen() | initial.source(config, beginning.state, checkpointer.directory.parent, at_start)
    return beginning._replace(state=beginning.state.replace(frozen=devices.replicate(frozen, mesh)))


def _begin(
    config: ConfigDict, gan: recipe.Recipe, mesh: Mesh, dataset: Dataset, checkpointer: Checkpointer
) -> Beginning:
    """Return the beginning with a state that has no frozen networks."""
    init, replicated = update.initialise(config, task.of(config), gan), devices.replicated(mesh)
    template, empty = devices.template(init, replicated), {"sums": {}, "count": 0}
    checkpoint = checkpointer.restore(template, functools.partial(run_folder.check_data, config.data, dataset))
    if checkpoint is None and config.branch.workdir:
        return Beginning(*branch.begin(config, init, template, dataset), empty)
    if checkpoint is None:
        state = jax.jit(init, out_shardings=replicated)()
        return Beginning(initial.transfer(config, state) if config.init_from else state, 0, 0, empty)
    state, meta = checkpoint
    log.info("resuming at %s images", f"{meta['images']:,}")
    return Beginning(state, int(meta["step"]), int(meta.get("attempt", 0)), meta.get("interval", empty))


def measure(run: Run, step: int, state: State) -> None:
    """Log the metrics of this state, unless this step is already measured."""
    if run.config.metrics and run.scores.at != step:
        run.report.flush()
        run.report.scores(step, run.scores.measure(step, run.variables(state)))


def save(run: Run, step: int, state: State, hurry: bool = False) -> None:
    """Save a checkpoint. Measure the state first if `keep_best` ranks a metric, or if metrics have no own interval.

    hurry: do not measure, because a signal asked the run to stop.
    """
    config, report = run.config, run.report
    report.flush()  # raises if the metrics are not finite: such a state is never saved
    ranks = config.checkpoint.keep_best.partition(":")[2] in config.metrics
    if not hurry and (ranks or not config.metrics_every_images):
        measure(run, step, state)
    interval = {"sums": report.sums, "count": report.count}  # so that a resumed run logs the same means
    meta = checkpoint_meta(config, run.dataset, run.attempt, interval)
    run.checkpointer.save(step, state, meta, _score(run, step), recipe.networks_of(run.gan.methods))


def _score(run: Run, step: int) -> dict | None:
    """Return the score by which `keep_best` ranks the state of this step; None, with a warning, if there is none."""
    request, values = run.config.checkpoint.keep_best, run.report.latest
    name, protocol = request.partition(":")[2], {}
    if name in run.config.metrics:  # a metric counts only if it was measured on this very state
        result = run.scores.results.get(name, {}) if run.scores.at == step else {}
        values = {name: result["value"]} if "value" in result else {}
        protocol = {key: result[key] for key in PROTOCOL if key in result}
    if not name or name in values:
        return metas.score(request, values[name], protocol) if name else None
    names = ", ".join(sorted(run.report.latest))
    log.warning("checkpoint.keep_best: step %d has no score by %r; logged are: %s", step, name, names)
    return None


@contextlib.contextmanager
def explain_divergence(checkpointer: Checkpointer, on_divergence: str = "stop") -> Iterator[None]:
    """Turn NonFinite into Diverged, whose message adds the last good checkpoint and advice."""
    try:
        yield
    except NonFinite as error:
        step = checkpointer.latest()
        where = f"last good checkpoint: {checkpointer.directory / str(step)}" if step else "there is no checkpoint yet"
        advice = "Start again in another --workdir with a lower learning rate, clipping or another seed"
        if step:
            advice += f"; there --config.branch.workdir={checkpointer.directory.parent} continues from that checkpoint"
        if on_divergence != "rollback":
            advice += ". Or let it roll back: --config.on_divergence=rollback"
        raise Diverged(f"{error}; {where}. {advice}") from None


def checkpoint_meta(config: ConfigDict, dataset: Dataset, attempt: int, interval: dict) -> dict:
    """Return the metadata of a checkpoint: classes, config, data, versions, attempt, interval."""
    classes = list(dataset.target.classes)
    names = {"classes": classes, "channels": config.data.channels, "config": derived.flatten(config)}
    return {**names, "data": dataset.content, "versions": versions(), "attempt": attempt, "interval": interval}


def report_facts(config: ConfigDict, dataset: Dataset, mesh: Mesh, state: State) -> dict[str, str]:
    """Return the facts of the run for its report, by title."""
    origin = {"branch": branch.describe(config)} if config.branch.workdir else {}
    return {**origin, **facts(config, dataset, mesh, state)}
