"""The training loop, from top to bottom. It is the same for all GANs and all data."""

import contextlib
import logging
import os
import signal
import sys
from pathlib import Path

import jax
import ml_collections

from ganjax import recipe, task
from ganjax.config import derived
from ganjax.config import file as config_file
from ganjax.data.loader import Loader
from ganjax.errors import Diverged
from ganjax.metrics import in_loop
from ganjax.report import page
from ganjax.report.run_log import Report
from ganjax.state import State
from ganjax.system import devices, memory
from ganjax.system.names import expanded
from ganjax.system.signals import Stop
from ganjax.training import run as runs
from ganjax.training import update
from ganjax.training.preview import make_preview
from ganjax.training.run import Run
from ganjax.workdir.checkpoint import Checkpointer
from ganjax.workdir.lock import claim

ATTEMPTS = 3  # largest number of rollbacks in a run, not counting those of its parent
LESS = "use a smaller --config.batch_size, accumulate gradients (--config.accumulate=N), or use a smaller network"
log = logging.getLogger(__name__)


def train(config: ml_collections.ConfigDict, workdir: str | Path) -> State:
    """Train to `config.total_images`, from the newest checkpoint in `workdir` or from the start; return the state.

    Calling this again resumes a stopped run, and ends in the same bits. After the first step, SIGINT (Ctrl-C), SIGTERM
    and SIGHUP save before they stop the run; `signals.caught` is then the signal.
    Raises UserError, which names the key, value or file that the user can correct.
    """
    workdir = expanded(workdir, "--workdir")
    config = runs.validate(config, workdir)
    mesh = devices.make_mesh(config.mesh.data, config.batch_size)
    with claim(workdir), jax.set_mesh(mesh), Stop() as stop, memory.explain_exhaustion(LESS):
        config = runs.settle(config, workdir)
        runs.check_recipe(config)  # before the images are decoded, which may take a long time
        dataset = runs.open_data(config)
        with Checkpointer(workdir / "checkpoints", config.checkpoint, config.batch_size) as checkpointer:
            state, step = _attempts(config, dataset, mesh, checkpointer, stop, workdir)
        _farewell(workdir, config, step, stop.signal)
        return state


def _attempts(config, dataset, mesh, checkpointer: Checkpointer, stop: Stop, workdir: Path) -> tuple[State, int]:
    """Train to the end, rolling back to the last checkpoint if training diverges; return the state and its step."""
    own, gan = task.of(config), recipe.build(config)
    state, start, attempt, interval = runs.begin(config, gan, mesh, dataset, checkpointer)
    if jax.process_index() == 0:
        config_file.save(config, workdir / "config.json")  # only now that all checks have passed
    if (config.branch.workdir or config.init_from) and checkpointer.latest() is None:  # the source is not read again
        meta = runs.checkpoint_meta(config, dataset, attempt, interval)
        checkpointer.save(start, state, meta, networks=recipe.networks_of(gan.methods))
        checkpointer.wait()
    show = make_preview(config, own, gan.methods, dataset)
    scores, rolled_back = in_loop.InLoop(config, own, gan.methods, dataset), False
    while True:
        facts = runs.report_facts(config, dataset, mesh, state)
        report = Report(workdir, config, start, facts, dataset.skipped, rolled_back)
        report.sums, report.count = dict(interval["sums"]), interval["count"]
        run = Run(config, own, gan, mesh, dataset, checkpointer, report, show, scores, attempt)
        try:
            return _to_the_end(run, stop, state, start)
        except Diverged as error:
            if config.on_divergence == "stop" or attempt - config.branch.attempt >= ATTEMPTS:
                raise
            log.warning("%s. Rolling back, with other noise", error)
        stop.release()
        state, start, saved_attempt, interval = runs.begin(config, gan, mesh, dataset, checkpointer)
        attempt, scores.at, rolled_back = max(attempt, saved_attempt) + 1, None, True


def _to_the_end(run: Run, stop: Stop, state: State, start: int) -> tuple[State, int]:
    """Train from a state to the end or to a signal, and save the last state. Return it and its step."""
    with contextlib.closing(run.report), runs.explain_divergence(run.checkpointer, run.config.on_divergence):
        state, step = _loop(run, stop, state, start)
        run.report.finish(step, step >= run.total)  # before saving: metrics that are not finite raise here
        if step > 0 and step != run.checkpointer.latest():
            runs.save(run, step, state, hurry=step < run.total)
        run.checkpointer.wait()
        run.report.show()
    return state, step


def _loop(run: Run, stop: Stop, state: State, start: int) -> tuple[State, int]:
    """Run the steps; return the state and its step at the end, or at the step where a signal came."""
    config, report, total = run.config, run.report, run.total
    if start == 0 and run.attempt == 0:
        report.picture(0, *run.show(0, run.variables(state)))
    elif _sheet_is_missing(run, start):
        report.picture(start, run.show(start, run.variables(state))[0])  # without its values, which are logged already
    if start >= total:
        images = f"{total * config.batch_size:,}"
        log.info("nothing to do: the run has its %s images; resume it with a larger --config.total_images", images)
        return state, start
    place = f"{run.mesh.size} x {run.mesh.devices.flat[0].device_kind}"
    count = f"{len(run.dataset.target.names):,}"
    log.info("training %s on %s images, %s; the first step compiles", config.recipe, count, place)
    program = update.compile_update(config, run.task, run.gan, run.mesh, run.attempt)
    rows = update.resident(config, run.dataset, run.mesh)
    step, calls = start, 0
    with contextlib.closing(_make_loader(run).batches(start, indices=bool(rows))) as batches:
        while step < total:
            if run.checkpointer.preempted(calls):
                stop.signal = signal.SIGTERM
            if stop.signal is not None:
                report.flush()
                return state, step
            if step > start and derived.crosses(step, config.batch_size, config.metrics_every_images):
                runs.measure(run, step, state)
            if step > start and run.checkpointer.due(step):
                runs.save(run, step, state)
            if report.sheet:
                report.show()
            count = _steps_in_call(config, step, total)
            batch = update.feed(batches, count, config.steps_per_call, run.mesh)
            arguments = (state, batch, rows) if config.steps_per_call == 1 else (state, batch, rows, count)
            state, metrics = program(*arguments)
            step, calls = step + count, calls + 1
            report.write(step, metrics, count)
            if calls == 1:
                jax.block_until_ready(metrics)
                memory.trim_heap()  # memory that the compiler freed
                if jax.process_count() == 1:  # on several hosts, orbax coordinates SIGTERM
                    stop.hold()
            if _has_sheet(config, step):
                report.flush()
                report.picture(step, *run.show(step, run.variables(state)))
    return state, total


def _make_loader(run: Run) -> Loader:
    config, hosts = run.config, (jax.process_index(), jax.process_count())
    per_step = config.batch_size * run.gan.parts
    return Loader(run.dataset, per_step, config.seed, config.data.threads, *hosts, balance=config.data.balance)


def _has_sheet(config: ml_collections.ConfigDict, step: int) -> bool:
    """Return whether a sample sheet is due at this step."""
    last = config.total_images // config.batch_size
    return step == last or derived.crosses(step, config.batch_size, config.report.samples_every_images)


def _sheet_is_missing(run: Run, step: int) -> bool:
    """Return whether the sheet of this step is missing, because the run was killed after saving and before drawing."""
    alone = jax.process_count() == 1  # several hosts draw together, but may not see the same files
    sheet = page.sheet(run.report.workdir, step)
    return alone and step > 0 and _has_sheet(run.config, step) and not os.path.exists(sheet)


def _steps_in_call(config: ml_collections.ConfigDict, step: int, total: int) -> int:
    """Return the number of steps of the next device call, which ends where something is saved, drawn or logged."""
    report = config.report
    every = (config.checkpoint.every_images, config.metrics_every_images, report.samples_every_images)
    every += (report.every_images,)
    stops = [derived.next_crossing(step, config.batch_size, images) for images in every]
    return min(total, step + config.steps_per_call, *stops) - step


def _farewell(workdir: Path, config, step: int, caught: int | None) -> None:
    """Print, after a signal, whether the run is finished, and the paths of the last sheet and the report."""
    if jax.process_index():
        return
    samples = page.samples(workdir)
    if caught is not None:
        name, at = signal.Signals(caught).name, f"at {step * config.batch_size:,} images, saved"
        stopped = f"stopped by {name} {at}; run the same command to resume"
        finished = step >= config.total_images // config.batch_size
        print(f"finished {at}; then {name} came" if finished else stopped, file=sys.stderr, flush=True)
    if samples:
        print(f"samples: {samples[-1]}")
    print(f"report:  {workdir / 'report.html'}", flush=True)
