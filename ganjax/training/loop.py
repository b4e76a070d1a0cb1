"""The training loop. It knows no particular GAN."""

import contextlib
import functools
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import ml_collections

from ganjax import data, recipe, rng
from ganjax.config import derived
from ganjax.config import file as config_file
from ganjax.config.check import check
from ganjax.errors import Diverged, NonFinite, UserError, nearest
from ganjax.inference.model import labels_of, sampler, translator
from ganjax.metrics import in_loop
from ganjax.report import page
from ganjax.report.run_log import Report, facts, versions
from ganjax.state import GANState
from ganjax.system import devices, memory
from ganjax.system.memory import trim_heap
from ganjax.system.names import expanded
from ganjax.system.signals import Stop
from ganjax.training import branch, preview, update
from ganjax.workdir import meta as metas
from ganjax.workdir import run_folder
from ganjax.workdir.checkpoint import Checkpointer, newest_meta, steps
from ganjax.workdir.lock import claim

ATTEMPTS = 3  # rollbacks in a run, without those of the run that it branched from
LESS = "take a smaller --config.batch_size, or its parts in turn, --config.accumulate=N, or a smaller network"
PROTOCOL = ("extractor", "tap", "resizer", "ddof", "n_real", "n_fake", "seed")  # what scores of a metric must share
log = logging.getLogger(__name__)


class _Run(NamedTuple):
    """What the parts of one run share."""

    config: ml_collections.ConfigDict
    gan: recipe.Recipe
    mesh: jax.sharding.Mesh
    dataset: data.cache.Dataset
    checkpointer: Checkpointer
    report: Report
    draw: Callable  # (EMA variables, num, seed) -> images
    scores: in_loop.InLoop
    attempt: int  # rollbacks so far: each has noise of its own


def train(config: ml_collections.ConfigDict, workdir: str | Path) -> GANState:
    """Train to `config.total_images`, from the newest checkpoint in `workdir` or from the start; return the state.

    The same call again goes on where the last one was stopped, to the same bits. SIGINT (Ctrl-C), SIGTERM and SIGHUP
    save first, once a step has been made; `signals.caught` then says which it was.
    UserError names what the user can mend: a key, a value, a file.
    """
    workdir = expanded(workdir, "--workdir")
    config = check(config.copy_and_resolve_references())
    run_folder.make_absolute(config.data)
    if config.branch.workdir:
        config.branch.workdir = os.path.abspath(expanded(config.branch.workdir, "--config.branch.workdir"))
    run_folder.check_apart(workdir, run_folder.roots(config.data), "--workdir")  # before anything is written there
    if config.precision == "float64" and not jax.config.jax_enable_x64:
        raise UserError("config.precision = 'float64' needs jax.config.update('jax_enable_x64', True) before")
    if config.checkpoint.every_seconds and jax.process_count() > 1:
        raise UserError("config.checkpoint.every_seconds works on one host, whose clock it is: use every_images")
    mesh = devices.make_mesh(config.mesh.data, config.batch_size)
    with claim(workdir), jax.set_mesh(mesh), Stop() as stop, memory.enough(LESS):
        config = _settle(config, workdir)
        _check(config, recipe.build(config))  # before the images are decoded, which may take long
        dataset = _open(config)
        gan = recipe.build(config)
        with Checkpointer(workdir / "checkpoints", config.checkpoint, config.batch_size) as checkpointer:
            state, start, attempt, interval = _begin(config, gan, mesh, dataset, checkpointer)
            if jax.process_index() == 0:
                config_file.save(config, workdir / "config.json")  # now that it has shown to be sound
            if config.branch.workdir and checkpointer.latest() is None:  # from here on a run as any other
                checkpointer.save(start, state, _meta(config, dataset, attempt, interval))
                checkpointer.wait()
            draw = translator(gan, dataset.a, config) if config.data.domains == 2 else sampler(gan)
            scores, rolled_back = in_loop.InLoop(config, dataset, draw), False
            while True:
                said = _facts(config, dataset, mesh, state)
                report = Report(workdir, config, start, said, dataset.skipped, rolled_back)
                report.sums, report.count = dict(interval["sums"]), interval["count"]
                run = _Run(config, gan, mesh, dataset, checkpointer, report, draw, scores, attempt)
                try:
                    state, step = _to_the_end(run, stop, state, start)
                    break
                except Diverged as error:
                    if config.on_divergence == "stop" or attempt - config.branch.attempt >= ATTEMPTS:
                        raise
                    log.warning("%s. Rolling back, with other noise", error)
                stop.release()
                state, start, kept, interval = _begin(config, gan, mesh, dataset, checkpointer)
                attempt, scores.at, rolled_back = max(attempt, kept) + 1, None, True
        _farewell(workdir, config, step, stop.signal)
        return state


def _to_the_end(run: _Run, stop: Stop, state: GANState, start: int) -> tuple[GANState, int]:
    """Train on from a state; save the last one, whatever the interval. Return it and its step."""
    config, checkpointer = run.config, run.checkpointer
    with contextlib.closing(run.report), _explained(checkpointer):
        state, step = _loop(run, stop, state, start)
        done = step >= config.total_images // config.batch_size
        run.report.finish(step, done)  # judged before it is saved
        if step > 0 and step != checkpointer.latest():
            _save(run, step, state, hurry=not done)
        checkpointer.wait()
        run.report.show()
    return state, step


def _loop(run: _Run, stop: Stop, state: GANState, start: int) -> tuple[GANState, int]:
    """Return the state and its step, at the end or where a signal stopped it."""
    config, report = run.config, run.report
    total = config.total_images // config.batch_size
    if start >= total:
        log.info(
            "nothing to do: the run has its %s images; go on with a larger --config.total_images",
            f"{total * config.batch_size:,}",
        )
        if _unshown(run, start):
            report.picture(start, preview.of(config, run.gan, run.dataset, run.draw)(start, state.ema)[0])
        return state, start
    where = f"{run.mesh.size} x {run.mesh.devices.flat[0].device_kind}"
    log.info(
        "training %s on %s images, %s; the first step compiles", config.recipe, f"{len(run.dataset.images):,}", where
    )
    program = update.compile_update(config, run.gan, run.mesh, run.attempt)
    show = preview.of(config, run.gan, run.dataset, run.draw)
    rows = update.resident(config, run.dataset, run.mesh)
    hosts = {"process": jax.process_index(), "processes": jax.process_count()}
    per_step = config.batch_size * run.gan.d_steps
    loader = data.loader.of(run.dataset, per_step, config, **hosts)
    if start == 0 and run.attempt == 0:
        report.picture(0, *show(0, state.ema))
    elif _unshown(run, start):
        report.picture(start, show(start, state.ema)[0])  # its values are logged already
    step, calls = start, 0
    with contextlib.closing(loader.batches(start, indices=bool(rows))) as batches:
        while step < total:
            if run.checkpointer.preempted(calls):
                stop.signal = signal.SIGTERM
            if stop.signal is not None:
                report.flush()
                return state, step
            if step > start and derived.crosses(step, config.batch_size, config.metrics_every_images):
                _measure(run, step, state)
            if step > start and run.checkpointer.due(step):
                _save(run, step, state)
            if report.sheet:
                report.show()
            count = _together(config, step, total)
            batch = update.feed(batches, count, config.steps_per_call, run.mesh)
            state, metrics = program(state, batch, rows, *([count] if config.steps_per_call > 1 else []))
            step, calls = step + count, calls + 1
            report.write(step, metrics, count)
            if calls == 1:
                jax.block_until_ready(metrics)
                trim_heap()  # what compiling took
                if jax.process_count() == 1:  # several hosts agree on SIGTERM by orbax
                    stop.hold()
            if _is_shown(config, step):
                report.flush()
                report.picture(step, *show(step, state.ema))
    return state, total


def _is_shown(config: ml_collections.ConfigDict, step: int) -> bool:
    last = config.total_images // config.batch_size
    return step == last or derived.crosses(step, config.batch_size, config.report.samples_every_images)


def _unshown(run: _Run, step: int) -> bool:
    """Say whether the sheet of this step is missing: a kill came between saving and showing."""
    alone = jax.process_count() == 1  # hosts may see different files, and draw together
    sheet = page.sheet(run.report.workdir, step)
    return alone and step > 0 and _is_shown(run.config, step) and not os.path.exists(sheet)


def _together(config: ml_collections.ConfigDict, step: int, total: int) -> int:
    """Return how many steps go into one call: up to where something is saved, shown or logged."""
    report = config.report
    every = (config.checkpoint.every_images, config.metrics_every_images, report.samples_every_images)
    every += (report.every_images,)
    stops = [derived.next_crossing(step, config.batch_size, images) for images in every]
    return min(total, step + config.steps_per_call, *stops) - step


def _check(config: ml_collections.ConfigDict, gan: recipe.Recipe) -> None:
    """Trace the recipe, which computes nothing; UserError for nets, metrics or a score that cannot be."""
    try:
        state = jax.eval_shape(update.initialise(config, gan))
        _, logged = jax.eval_shape(gan.step, state, update.batch_shapes(config, gan), rng.key(0, "check"))
    except (ValueError, TypeError, ZeroDivisionError) as error:  # a net that cannot be built says why
        raise UserError(f"recipe {config.recipe}: {error}") from error
    in_loop.check_in_loop(config.metrics, config)
    name = config.checkpoint.keep_best.partition(":")[2]
    known = [*logged, *config.metrics]
    if name and name not in known:
        raise UserError(f"config.checkpoint.keep_best: {name!r} is not logged{nearest(name, known)}")


def _begin(config, gan, mesh, dataset, checkpointer) -> tuple[GANState, int, int, dict]:
    """Return the state to go on from, its step, its rollbacks and what was summed since the last log: of the newest
    whole checkpoint, or a fresh one.
    """
    init, one = update.initialise(config, gan), devices.replicated(mesh)
    template = devices.template(init, one)
    restored = checkpointer.restore(template, functools.partial(run_folder.check_data, config.data, dataset))
    if restored is None and config.branch.workdir:
        return *branch.begin(config, init, template, dataset), {"sums": {}, "count": 0}
    if restored is None:
        return jax.jit(init, out_shardings=one)(), 0, 0, {"sums": {}, "count": 0}
    state, meta = restored
    log.info("resuming at %s images", f"{meta['images']:,}")
    return state, int(meta["step"]), int(meta.get("attempt", 0)), meta.get("interval", {"sums": {}, "count": 0})


def _measure(run: _Run, step: int, state: GANState) -> None:
    """Log the metrics of this state, once."""
    if run.config.metrics and run.scores.at != step:
        run.report.flush()
        run.report.scores(step, run.scores.measure(step, state.ema))


def _save(run: _Run, step: int, state: GANState, hurry: bool = False) -> None:
    """Save, with the metrics of this very state where `keep_best` ranks one or they have no interval of their own."""
    config, report = run.config, run.report
    report.flush()  # a state whose metrics are not finite is never saved
    ranks = config.checkpoint.keep_best.partition(":")[2] in config.metrics
    if not hurry and (ranks or not config.metrics_every_images):
        _measure(run, step, state)
    interval = {"sums": report.sums, "count": report.count}  # so that a resumed run logs the same means
    meta = _meta(config, run.dataset, run.attempt, interval)
    run.checkpointer.save(step, state, meta, _score(run, step))


def _score(run: _Run, step: int) -> dict | None:
    """Return what `keep_best` ranks the state of this step by; None, with a warning, where it has no such value."""
    request, values = run.config.checkpoint.keep_best, run.report.latest
    name, protocol = request.partition(":")[2], {}
    if name in run.config.metrics:  # of this very state, or not at all
        result = run.scores.results.get(name, {}) if run.scores.at == step else {}
        values = {name: result["value"]} if "value" in result else {}
        protocol = {key: result[key] for key in PROTOCOL if key in result}
    if not name or name in values:
        return metas.score(request, values[name], protocol) if name else None
    known = ", ".join(sorted(run.report.latest))
    log.warning("checkpoint.keep_best: step %d has no score by %r; logged are: %s", step, name, known)
    return None


@contextlib.contextmanager
def _explained(checkpointer: Checkpointer) -> Iterator[None]:
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


def _settle(config: ml_collections.ConfigDict, workdir: Path) -> ml_collections.ConfigDict:
    """Fill in what the first start decides; compare with the run that the workdir holds."""
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


def _open(config: ml_collections.ConfigDict) -> data.cache.Dataset:
    """Return the data set; write its classes into the config, and what is odd about it into the log."""
    dataset = data.open_data(config.data)
    if config.data.labels:
        config.data.classes, config.data.class_counts = dataset.classes, dataset.class_counts
    if config.data.domains == 2 and config.data.paired != "self":
        config.data.paired = "yes" if dataset.paired else "no"
        config.data.side_by_side = dataset.side_by_side
    if labels_of(config) and len(dataset.classes) < 2:
        raise UserError(
            f"config.condition.kind = {config.condition.kind!r} needs two classes or more, and {config.data.name} has "
            f"{len(dataset.classes)}: make a sub-folder for each, or set --config.condition.kind=none"
        )
    if len(dataset.images) < config.batch_size:
        log.warning("%d images are fewer than a batch of %d: they repeat", len(dataset.images), config.batch_size)
    for name, reason in dataset.skipped[:10]:
        log.warning("skipped %s: %s", name, reason)
    if len(dataset.skipped) > 10:
        log.warning("and %d more, listed in report.html", len(dataset.skipped) - 10)
    return dataset


def _meta(config: ml_collections.ConfigDict, dataset: data.cache.Dataset, attempt: int, interval: dict) -> dict:
    names = {"classes": list(dataset.classes), "channels": config.data.channels, "config": derived.flatten(config)}
    return {**names, "data": dataset.content, "versions": versions(), "attempt": attempt, "interval": interval}


def _facts(config: ml_collections.ConfigDict, dataset, mesh: jax.sharding.Mesh, state: GANState) -> dict[str, str]:
    origin = {"branch": branch.words(config)} if config.branch.workdir else {}
    return {**origin, **facts(config, dataset, mesh, state)}


def _farewell(workdir: Path, config, step: int, caught: int | None) -> None:
    if jax.process_index():
        return
    samples = page.samples(workdir)
    if caught is not None:
        name, at = signal.Signals(caught).name, f"at {step * config.batch_size:,} images, saved"
        stopped = f"stopped by {name} {at}; the same command goes on from there"
        done = step >= config.total_images // config.batch_size
        print(f"finished {at}; then {name} came" if done else stopped, file=sys.stderr, flush=True)
    if samples:
        print(f"samples: {samples[-1]}")
    print(f"report:  {workdir / 'report.html'}", flush=True)
