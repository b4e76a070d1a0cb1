"""Checkpoints: save, restore, keep the best. The only file that knows orbax.

checkpoints/<step>/ holds the items `state` (the whole GANState), `ema` (the generator's averaged variables, restored
alone for sampling) and `meta` (JSON, with a crc32 of each leaf: a flipped bit on disk is otherwise read silently).
"""

import dataclasses
import json
import logging
import math
import shutil
import time
import zlib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from orbax.checkpoint.checkpoint_managers import preservation_policy as keep

from ganjax import console
from ganjax.config import crosses
from ganjax.errors import NonFinite, UserError
from ganjax.state import GANState

FORMAT = 1
WORST = 1e300  # a score that is not finite: orbax would take NaN for the best
log = logging.getLogger(__name__)


def digest(tree: Any) -> dict[str, int]:
    """Return {leaf path: crc32 of its bytes} of a tree of replicated or host arrays."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): zlib.crc32(np.ascontiguousarray(leaf)) for path, leaf in leaves}


@dataclasses.dataclass
class KeepEvery(keep.PreservationPolicy):
    """Keep the first checkpoint at or past each multiple of `images`: saves rarely fall on the multiple itself."""

    images: int
    batch_size: int

    def should_preserve(self, checkpoints, *, context) -> list[bool]:
        before, kept = 0, []
        for info in checkpoints:  # in the order of their steps
            multiple = info.step * self.batch_size // self.images
            kept.append(multiple > before)
            before = max(before, multiple)
        return kept


def _manager(directory: Path, config: ml_collections.ConfigDict | None, batch_size: int) -> ocp.CheckpointManager:
    policies = []
    if config is not None:
        policies = [keep.LatestN(config.keep_last)]
        if config.keep_every_images:
            policies.append(KeepEvery(config.keep_every_images, batch_size))
        if config.keep_best:
            score = lambda metrics: metrics["score"]  # noqa: E731
            policies.append(keep.BestN(get_metric_fn=score, n=1, reverse=True, keep_checkpoints_without_metrics=False))
    options = ocp.CheckpointManagerOptions(
        cleanup_tmp_directories=config is not None,
        best_fn=lambda metrics: metrics["score"],
        best_mode="min",
        preservation_policy=keep.AnyPreservationPolicy(policies) if policies else keep.PreserveAll(),
        read_only=config is None,
        lightweight_initialize=config is None,  # `_best` reads the metrics, also where one of them is damaged
    )
    return ocp.CheckpointManager(directory.resolve(), options=options)


class Checkpointer:
    """Use it in a `with`: leaving waits for the save in flight, also on an exception."""

    def __init__(self, directory: Path, config: ml_collections.ConfigDict, batch_size: int):
        self.directory, self.config, self.batch_size = directory, config, batch_size
        directory.mkdir(parents=True, exist_ok=True)
        _set_metrics_aside(directory)
        self.manager = _manager(directory, config, batch_size)
        self.saved_at = time.monotonic()

    def __enter__(self) -> "Checkpointer":
        return self

    def __exit__(self, kind, error, trace) -> None:
        try:
            self.manager.close()
        except (OSError, ValueError) as problem:
            if error is None:
                raise self._unwritten(problem) from problem

    def due(self, step: int) -> bool:
        """Say whether a save falls on this step, by images, or by seconds on a single host (clocks differ)."""
        by_images = crosses(step, self.batch_size, self.config.every_images)
        seconds = self.config.every_seconds
        by_seconds = seconds and jax.process_count() == 1 and time.monotonic() - self.saved_at >= seconds
        return bool(by_images or by_seconds) and step != self.latest()

    def preempted(self, call: int) -> bool:
        """Say whether the scheduler is about to stop this multi-host run; the same on every host.

        `call` counts these questions: the hosts agree on one of them, so none may be left out.
        """
        return jax.process_count() > 1 and self.manager.reached_preemption(call)

    def latest(self) -> int | None:
        return self.manager.latest_step()

    def save(self, step: int, state: GANState, meta: dict, scalars: dict[str, float]) -> None:
        """Write one checkpoint, in the background. NonFinite, and nothing is written, for a NaN in the state."""
        host = jax.device_get(state)
        for path, leaf in jax.tree_util.tree_leaves_with_path(host):
            if jnp.issubdtype(leaf.dtype, jnp.floating) and not np.isfinite(leaf).all():
                raise NonFinite(f"the state is not finite at step {step}, first in {jax.tree_util.keystr(path)}")
        meta = {**meta, "format": FORMAT, "step": step, "images": step * self.batch_size, "crc32": digest(host)}
        meta["crc32_ema"] = digest(host.ema)
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state),
            ema=ocp.args.StandardSave(state.ema),
            meta=ocp.args.JsonSave(meta),
        )
        try:
            saved = self.manager.save(step, args=items, metrics=self._score(scalars), force=True)
        except (OSError, ValueError) as problem:  # also of the save before, which went on in the background
            raise self._unwritten(problem) from problem
        if not saved:
            raise RuntimeError(f"orbax did not save step {step} in {self.directory}")
        self.saved_at = time.monotonic()

    def wait(self) -> None:
        """Return when the save in flight is on disk; UserError if it failed."""
        try:
            self.manager.wait_until_finished()
        except (OSError, ValueError) as problem:
            raise self._unwritten(problem) from problem

    def _unwritten(self, problem: Exception) -> UserError:
        full = "No space left" in str(problem)
        reason = "the disk is full; free some space, and" if full else f"{_first(problem)}; mend that, and"
        return UserError(
            f"a checkpoint could not be written to {self.directory}: {reason} give the same command again: it goes on "
            "from the last whole checkpoint"
        )

    def _score(self, scalars: dict[str, float]) -> dict[str, float] | None:
        if not self.config.keep_best:
            return None
        mode, name = self.config.keep_best.split(":", 1)
        if name not in scalars:
            log.warning("checkpoint.keep_best: no scalar %r yet; there is: %s", name, ", ".join(sorted(scalars)))
            return None
        value = scalars[name] if mode == "min" else -scalars[name]
        return {"score": value if math.isfinite(value) else WORST}

    def restore(self, template: GANState) -> tuple[GANState, dict] | None:
        """Return the newest state that is whole, and its meta; None where there is no checkpoint.

        `template` is a GANState of ShapeDtypeStructs with shardings. Damaged newer checkpoints are moved beside the
        others, to `damaged/`, with a warning. UserError when there are some and none can be read.
        """
        bad = []
        for step in sorted(self.manager.all_steps(), reverse=True):
            try:
                state, meta = self._restore(step, template)
            except (MemoryError, PermissionError, jax.errors.JaxRuntimeError):
                raise  # the machine's fault, not the checkpoint's
            except Exception as error:  # orbax raises bare Exception, ValueError, JSONDecodeError, ... for bad files
                log.warning("checkpoint %s is damaged and left out: %s", self.directory / str(step), _first(error))
                bad.append((step, error))
                continue
            self._set_aside([step for step, _ in bad])
            return state, meta
        if bad:
            raise UserError(
                f"no checkpoint in {self.directory} can be read ({_first(bad[0][1])}); was it written by another "
                "version? Choose another --workdir to start anew"
            )
        return None

    def _restore(self, step: int, template: GANState) -> tuple[GANState, dict]:
        items = ocp.args.Composite(state=ocp.args.StandardRestore(template), meta=ocp.args.JsonRestore())
        restored = self.manager.restore(step, args=items)
        _verify(restored.state, restored.meta["crc32"])
        return restored.state, restored.meta

    def _set_aside(self, steps: list[int]) -> None:
        if not steps:
            return
        if jax.process_index() == 0:
            for step in steps:
                target = self.directory.parent / "damaged" / f"{step}-{time.time_ns()}"
                target.parent.mkdir(exist_ok=True)
                shutil.move(self.directory / str(step), target)
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices("ganjax.checkpoint.set_aside")
        self.manager.reload()


def _verify(tree: Any, expected: dict[str, int]) -> None:
    found = digest(jax.device_get(tree))
    wrong = [name for name in expected if found.get(name) != expected[name]]
    if wrong:
        raise ValueError(f"the bytes of {wrong[0]} do not match their checksum")


def _first(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def steps(directory: Path) -> list[int]:
    """Return the steps of the whole checkpoints, in order; none where the folder is missing."""
    if not directory.is_dir():
        return []
    with console.quiet(), _manager(directory, None, 1) as manager:
        return sorted(manager.all_steps())


def _score_of(metrics: Path) -> float | None:
    """Return the score that a checkpoint's item `metrics` holds; None if it is damaged."""
    try:
        score = json.loads((metrics / "metrics").read_bytes())["score"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return score if isinstance(score, int | float) and not math.isnan(score) else None


def _best(directory: Path, steps: list[int]) -> int | None:
    """Return the step of the least score, the newest of equals; None where no checkpoint has one."""
    scores = {step: _score_of(directory / str(step) / "metrics") for step in steps}
    return min((step for step in steps if scores[step] is not None), key=lambda s: (scores[s], -s), default=None)


def _set_metrics_aside(directory: Path) -> None:
    """Move damaged items `metrics` beside the checkpoints: orbax would read none of these for one of them."""
    for metrics in sorted(directory.glob("*/metrics")) if jax.process_index() == 0 else ():
        if metrics.parent.name.isdigit() and _score_of(metrics) is None:
            log.warning("%s is damaged and left out: checkpoint.keep_best no longer knows this checkpoint", metrics)
            target = directory.parent / "damaged" / f"{metrics.parent.name}-metrics-{time.time_ns()}"
            target.parent.mkdir(exist_ok=True)
            shutil.move(metrics, target)


def load_ema(directory: Path, step: int | str | None = None) -> tuple[dict, dict]:
    """Return (the generator's averaged variables as NumPy arrays, meta) on any machine, whatever it was saved on.

    step: an int, None for the newest that is whole, "best" by `checkpoint.keep_best`. UserError where there is none.
    """
    if not directory.is_dir():
        raise UserError(f"{directory} is missing: nothing has been saved there yet")
    with console.quiet(), _manager(directory, None, 1) as manager:
        steps = sorted(manager.all_steps(), reverse=True)
        if step == "best":
            step = _best(directory, steps)
            if step is None:
                raise UserError(
                    f"{directory} has no best checkpoint: train with --config.checkpoint.keep_best=min:NAME"
                )
        if not steps or (step is not None and step not in steps):
            there = ", ".join(map(str, sorted(steps))) or "none"
            raise UserError(f"{directory} has no checkpoint {'' if step is None else step}; there is: {there}")
    for candidate in steps if step is None else [step]:
        try:
            return _load_ema(directory / str(candidate))
        except Exception as error:  # see restore
            if step is not None:
                raise UserError(f"{directory / str(step)} is damaged: {_first(error)}") from error
            log.warning("checkpoint %s is damaged and left out: %s", directory / str(candidate), _first(error))
    raise UserError(f"no checkpoint in {directory} can be read")


def _load_ema(path: Path) -> tuple[dict, dict]:
    meta = json.loads(next((path / "meta").glob("metadata")).read_text())
    with console.quiet(), ocp.PyTreeCheckpointer() as reader:
        tree = reader.metadata((path / "ema").resolve()).item_metadata.tree
        as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
        ema = reader.restore((path / "ema").resolve(), args=ocp.args.PyTreeRestore(item=tree, restore_args=as_numpy))
    _verify(ema, meta["crc32_ema"])
    return ema, meta
