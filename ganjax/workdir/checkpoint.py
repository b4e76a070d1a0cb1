"""Checkpoints: save, restore, keep the best. The only file that knows orbax.

checkpoints/<step>/ holds the items `state` (the whole State), `ema` (the variables that some method needs, averaged
where they are, restored alone for sampling) and `meta` (JSON, with a crc32 of each leaf and of itself: a flipped bit on
disk is otherwise read silently; and the score for `keep_best`).
"""

import dataclasses
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from orbax.checkpoint.checkpoint_managers import preservation_policy as keep

from ganjax.config.derived import crosses
from ganjax.errors import NonFinite, UserError
from ganjax.state import State
from ganjax.system import console
from ganjax.workdir import meta as metas

log = logging.getLogger(__name__)


@dataclasses.dataclass
class KeepEvery(keep.PreservationPolicy):
    """Keep the first checkpoint at or past each multiple of `images`: saves rarely fall on the multiple itself."""

    images: int
    batch_size: int

    def should_preserve(self, checkpoints, *, context) -> list[bool]:
        before, preserved = 0, []
        for info in checkpoints:  # in the order of their steps
            multiple = info.step * self.batch_size // self.images
            preserved.append(multiple > before)
            before = max(before, multiple)
        return preserved


@dataclasses.dataclass
class KeepBest(keep.PreservationPolicy):
    """Keep the best checkpoint of each metric and protocol: a change of `keep_best` loses none.

    scores: {step: as `meta.score`, or None}, which the owner keeps up to date.
    """

    scores: dict[int, dict | None]

    def should_preserve(self, checkpoints, *, context) -> list[bool]:
        best = metas.bests({info.step: self.scores.get(info.step) for info in checkpoints}).values()
        return [info.step in best for info in checkpoints]


def _manager(
    directory: Path, config: ml_collections.ConfigDict, batch_size: int, scores: dict[int, dict | None]
) -> ocp.CheckpointManager:
    policies = [keep.LatestN(config.keep_last)]
    if config.keep_every_images:
        policies.append(KeepEvery(config.keep_every_images, batch_size))
    if config.keep_best:
        policies.append(KeepBest(scores))
    options = ocp.CheckpointManagerOptions(
        cleanup_tmp_directories=True, preservation_policy=keep.AnyPreservationPolicy(policies)
    )
    return ocp.CheckpointManager(directory.resolve(), options=options)


class Checkpointer:
    """Use it in a `with`: leaving waits for the save in flight, also on an exception."""

    def __init__(self, directory: Path, config: ml_collections.ConfigDict, batch_size: int):
        self.directory, self.config, self.batch_size = directory, config, batch_size
        directory.mkdir(parents=True, exist_ok=True)
        self.scores = {step: metas.score_in(directory / str(step)) for step in steps(directory)}
        self.manager = _manager(directory, config, batch_size, self.scores)
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
        """Return whether a save falls on this step, by images, or by seconds on a single host (clocks differ)."""
        by_images = crosses(step, self.batch_size, self.config.every_images)
        seconds = self.config.every_seconds
        by_seconds = seconds and jax.process_count() == 1 and time.monotonic() - self.saved_at >= seconds
        return bool(by_images or by_seconds) and step != self.latest()

    def preempted(self, call: int) -> bool:
        """Return whether the scheduler is about to stop this multi-host run; the same on every host.

        `call` counts these questions: the hosts agree on one of them, so none may be left out.
        """
        return jax.process_count() > 1 and self.manager.reached_preemption(call)

    def latest(self) -> int | None:
        return self.manager.latest_step()

    def save(
        self, step: int, state: State, meta: dict, score: dict | None = None, networks: Sequence[str] = ()
    ) -> None:
        """Write one checkpoint, in the background. NonFinite, and nothing is written, for a NaN in the state.

        score: what `keep_best` ranks this checkpoint by, as `meta.score` returns it. networks: those that the methods
        of a trained model need; by default those that are averaged.
        """
        host, names = jax.device_get(state), networks or tuple(state.ema)
        for path, leaf in jax.tree_util.tree_leaves_with_path(host):
            if jnp.issubdtype(leaf.dtype, jnp.floating) and not np.isfinite(leaf).all():
                raise NonFinite(f"the state is not finite at step {step}, first in {jax.tree_util.keystr(path)}")
        meta = {**meta, "format": metas.FORMAT, "step": step, "images": step * self.batch_size, "score": score}
        meta |= {"crc32": metas.digest(host), "crc32_ema": metas.digest(host.variables(names))}
        meta["shapes"] = metas.shapes(host)
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state),
            ema=ocp.args.StandardSave(state.variables(names)),
            meta=ocp.args.JsonSave(metas.seal(meta)),
        )
        self.scores[step] = score  # before the manager decides what to keep
        try:
            saved = self.manager.save(step, args=items, force=True)
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

    def restore(self, template: State, check: Callable[[dict], None] | None = None) -> tuple[State, dict] | None:
        """Return the newest state that is whole, and its meta; None where there is no checkpoint.

        `template` is a State of ShapeDtypeStructs with shardings. Damaged newer checkpoints are moved beside the
        others, to `damaged/`, with a warning. Raises UserError when there are some and none can be read; and, with
        nothing moved, for one whose leaves have other shapes. `check` may raise another, having seen a meta.
        """
        bad = []
        self.wait()
        for step in sorted(self.manager.all_steps(), reverse=True):
            folder = self.directory / str(step)
            try:
                meta = metas.read(folder)
                if check:
                    check(meta)
                difference = metas.misfit(meta["shapes"], metas.shapes(template))
                state = None if difference else self._restore(step, template, meta)
            except (MemoryError, PermissionError, jax.errors.JaxRuntimeError, UserError):
                raise  # the machine's fault or the user's, not the checkpoint's
            except Exception as error:  # orbax raises bare Exception, ValueError, JSONDecodeError, ... for bad files
                log.warning("checkpoint %s is damaged and left out: %s", folder, _first(error))
                bad.append((step, error))
                continue
            if difference:
                raise UserError(
                    f"{folder} does not fit the networks of this config: {difference}. Give the config that it was "
                    "trained with, with the same version of ganjax, or choose another --workdir"
                )
            self._set_aside([step for step, _ in bad])
            return state, meta
        if bad:
            raise UserError(
                f"no checkpoint in {self.directory} can be read ({_first(bad[0][1])}); was it written by another "
                "version? Choose another --workdir to start anew"
            )
        return None

    def _restore(self, step: int, template: State, meta: dict) -> State:
        return _whole(self.manager.restore(step, args=_state_of(template)).state, meta)

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


def _state_of(template: State) -> ocp.args.Composite:
    return ocp.args.Composite(state=ocp.args.StandardRestore(template))


def _whole(state: State, meta: dict) -> State:
    """Return the state. Raises ValueError if it is not the one that the meta speaks of."""
    metas.verify(state, meta["crc32"])
    if int(state.step) != meta["step"]:
        raise ValueError(f"its state is of step {int(state.step)}, its meta of step {meta['step']}")
    return state


def _metadata(item: Path) -> Any:
    """Return the tree of an item with the shape and dtype of each leaf, without its data."""
    with console.quiet(), ocp.PyTreeCheckpointer() as reader:
        return reader.metadata(item.resolve()).item_metadata.tree


def _first(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def steps(directory: Path) -> list[int]:
    """Return the steps of the checkpoints, in order, without those that are still being written."""
    names = [f.name for f in directory.iterdir() if f.is_dir()] if directory.is_dir() else ()
    return sorted(int(name) for name in names if name.isdecimal() and name == str(int(name)))


def newest_meta(directory: Path) -> dict | None:
    """Return the meta of the newest checkpoint whose meta can be read; None where there is none."""
    for step in reversed(steps(directory)):
        try:
            return metas.read(directory / str(step))
        except (OSError, ValueError):  # said where it is restored
            continue
    return None


def chosen(directory: Path, step: int | str | None = None) -> list[int]:
    """Return the steps that a request stands for, the first choice first: a step, "best" by `checkpoint.keep_best`, or
    None for the newest, after which come the older ones. Raises UserError if there is none.
    """
    if not directory.is_dir():
        raise UserError(f"{directory} is missing: nothing has been saved there yet")
    there = steps(directory)
    if step == "best":
        best = list(metas.bests({s: metas.score_in(directory / str(s)) for s in there}).values())
        if not best:
            raise UserError(f"{directory} has no best checkpoint: train with --config.checkpoint.keep_best=min:NAME")
        return best[-1:]
    if not there or (step is not None and step not in there):
        names = ", ".join(map(str, there)) or "none"
        raise UserError(f"{directory} has no checkpoint{'' if step is None else f' {step}'}; there is: {names}")
    return there[::-1] if step is None else [step]


def load_ema(directory: Path, step: int | str | None = None) -> tuple[dict, dict]:
    """Return ({network: variables as NumPy arrays}, meta) on any machine, whatever it was saved on.

    step: an int, None for the newest that is whole, "best" by `checkpoint.keep_best`. Raises UserError if there is
    none.
    """
    return _first_whole(directory, step, _load_ema)


def load_state(directory: Path, template: State, step: int | str | None = None) -> tuple[State, dict]:
    """Return (the whole state, meta) of another run's checkpoint, which stays as it is; `step` as for `load_ema`.

    Raises UserError if there is none, and for one whose leaves have other shapes than the template's.
    """

    def load(folder: Path) -> tuple[State, dict]:
        meta = metas.read(folder)
        if difference := metas.misfit(meta["shapes"], metas.shapes(template)):
            raise UserError(f"{folder} cannot be gone on from with this config: {difference}")
        with console.quiet(), ocp.Checkpointer(ocp.StandardCheckpointHandler()) as reader:
            state = reader.restore((folder / "state").resolve(), args=ocp.args.StandardRestore(template))
        return _whole(state, meta), meta

    return _first_whole(directory, step, load)


def _first_whole(directory: Path, step: int | str | None, load: Callable[[Path], tuple]) -> tuple:
    candidates = chosen(directory, step)
    for candidate in candidates:
        folder = directory / str(candidate)
        try:
            return load(folder)
        except (MemoryError, jax.errors.JaxRuntimeError, UserError):
            raise
        except Exception as error:  # see restore
            if step is not None:
                raise UserError(f"{folder} is damaged: {_first(error)}") from error
            log.warning("checkpoint %s is damaged and left out: %s", folder, _first(error))
    raise UserError(f"no checkpoint in {directory} can be read")


def _load_ema(path: Path) -> tuple[dict, dict]:
    meta = metas.read(path)
    tree = _metadata(path / "ema")
    as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
    with console.quiet(), ocp.PyTreeCheckpointer() as reader:
        ema = reader.restore((path / "ema").resolve(), args=ocp.args.PyTreeRestore(item=tree, restore_args=as_numpy))
    metas.verify(ema, meta["crc32_ema"])
    return ema, meta
