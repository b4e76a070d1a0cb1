"""Save and restore checkpoints, and keep the best. Only this file uses orbax.

checkpoints/<step>/ has the items `state` (the whole State), `ema` (the variables that the methods need, averaged if the
network has an average; sampling restores only these) and `meta` (JSON: the score for `keep_best`, and a crc32 of each
leaf and of itself, since orbax reads a flipped bit without an error).
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
    """Keep the best checkpoint of each metric, mode and protocol, so that a change of `keep_best` deletes none.

    scores: {step: as `meta.score`, or None}, which the owner updates.
    """

    scores: dict[int, dict | None]

    def should_preserve(self, checkpoints, *, context) -> list[bool]:
        best = metas.best_steps({info.step: self.scores.get(info.step) for info in checkpoints}).values()
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
    """Saves and restores a run's checkpoints; leaving its `with` waits for the save in progress, after errors, too."""

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
                raise self._write_error(problem) from problem

    def due(self, step: int) -> bool:
        """Return whether to save at this step, by images, or by seconds on a single host (hosts' clocks differ)."""
        by_images = crosses(step, self.batch_size, self.config.every_images)
        seconds = self.config.every_seconds
        by_seconds = seconds and jax.process_count() == 1 and time.monotonic() - self.saved_at >= seconds
        return bool(by_images or by_seconds) and step != self.latest()

    def preempted(self, call: int) -> bool:
        """Return whether the scheduler is about to stop this multi-host run; the same on every host.

        call: the number of this call. The hosts agree on one call, so every host must make all of them.
        """
        return jax.process_count() > 1 and self.manager.reached_preemption(call)

    def latest(self) -> int | None:
        return self.manager.latest_step()

    def save(
        self, step: int, state: State, meta: dict, score: dict | None = None, networks: Sequence[str] = ()
    ) -> None:
        """Write a checkpoint in the background. Raises NonFinite, and writes nothing, if the state is not finite.

        score: by which `keep_best` ranks this checkpoint, from `meta.score`. networks: those that the methods of a
        trained model need; by default those with an average.
        """
        state = state.replace(frozen={})
        host, names = jax.device_get(state), networks or tuple(state.ema)
        for path, leaf in jax.tree_util.tree_leaves_with_path(host):
            if jnp.issubdtype(leaf.dtype, jnp.floating) and not np.isfinite(leaf).all():
                raise NonFinite(f"the state is not finite at step {step}, first in {jax.tree_util.keystr(path)}")
        meta = {**meta, "format": metas.FORMAT, "step": step, "images": step * self.batch_size, "score": score}
        meta |= {"crc32": metas.digest(host), "crc32_ema": metas.digest(host.variables(names))}
        meta["shapes"] = metas.shapes(host)
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(_stored(state)),
            ema=ocp.args.StandardSave(state.variables(names)),
            meta=ocp.args.JsonSave(metas.seal(meta)),
        )
        self.scores[step] = score  # before the manager decides what to keep
        try:
            saved = self.manager.save(step, args=items, force=True)
        except (OSError, ValueError) as problem:  # perhaps of the previous save, which ran in the background
            raise self._write_error(problem) from problem
        if not saved:
            raise RuntimeError(f"orbax did not save step {step} in {self.directory}")
        self.saved_at = time.monotonic()

    def wait(self) -> None:
        """Wait until the save in progress is on disk. Raises UserError if it failed."""
        try:
            self.manager.wait_until_finished()
        except (OSError, ValueError) as problem:
            raise self._write_error(problem) from problem

    def _write_error(self, problem: Exception) -> UserError:
        full = "No space left" in str(problem)
        reason = "the disk is full; free some space, and" if full else f"{_first_line(problem)}; fix that, and"
        return UserError(
            f"a checkpoint could not be written to {self.directory}: {reason} run the same command again: it resumes "
            "from the last intact checkpoint"
        )

    def restore(self, template: State, check: Callable[[dict], None] | None = None) -> tuple[State, dict] | None:
        """Return the newest intact state and its meta; None if there is no checkpoint.

        template: a State of ShapeDtypeStructs with shardings. check: is given each meta, and may raise UserError.
        Damaged newer checkpoints are moved to `damaged/` beside `directory`, with a warning. Raises UserError if there
        are checkpoints but none can be read, and, without moving any, if the leaves have other shapes.
        """
        damaged = []
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
                log.warning("checkpoint %s is damaged and skipped: %s", folder, _first_line(error))
                damaged.append((step, error))
                continue
            if difference:
                raise UserError(
                    f"{folder} does not fit the networks of this config: {difference}. Use the config that it was "
                    "trained with, and the same version of ganjax, or choose another --workdir"
                )
            self._set_aside([step for step, _ in damaged])
            return state, meta
        if damaged:
            raise UserError(
                f"no checkpoint in {self.directory} can be read ({_first_line(damaged[0][1])}); was it written by "
                "another version? Choose another --workdir to start anew"
            )
        return None

    def _restore(self, step: int, template: State, meta: dict) -> State:
        return _verify_state(State(**self.manager.restore(step, args=_restore_args(template)).state), meta)

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


def _restore_args(template: State) -> ocp.args.Composite:
    return ocp.args.Composite(state=ocp.args.StandardRestore(_stored(template)))


def _stored(state: State) -> dict[str, Any]:
    """Return the fields of a state that a checkpoint holds: all but `frozen`, which the recipe makes anew."""
    return {"step": state.step, "networks": state.networks, "ema": state.ema, "extra": state.extra}


def _verify_state(state: State, meta: dict) -> State:
    """Return the state. Raises ValueError if its bytes or its step differ from the meta."""
    metas.verify(state, meta["crc32"])
    if int(state.step) != meta["step"]:
        raise ValueError(f"its state is of step {int(state.step)}, its meta of step {meta['step']}")
    return state


def _metadata(item: Path) -> Any:
    """Return the tree of an item with the shape and dtype of each leaf, without its data."""
    with console.quiet(), ocp.PyTreeCheckpointer() as reader:
        metadata = reader.metadata(item.resolve()).item_metadata
    if metadata is None:
        raise ValueError(f"{item / '_METADATA'} cannot be parsed")
    return metadata.tree


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def steps(directory: Path) -> list[int]:
    """Return the steps of the checkpoints, in order, without those that are still being written."""
    names = [f.name for f in directory.iterdir() if f.is_dir()] if directory.is_dir() else ()
    return sorted(int(name) for name in names if name.isdecimal() and name == str(int(name)))


def newest_meta(directory: Path) -> dict | None:
    """Return the meta of the newest checkpoint with a readable meta; None if there is none."""
    for step in reversed(steps(directory)):
        try:
            return metas.read(directory / str(step))
        except (OSError, ValueError):  # `restore` logs it
            continue
    return None


def candidate_steps(directory: Path, step: int | str | None = None) -> list[int]:
    """Return the steps to try for a request, in order: the step, the one that is "best" by `checkpoint.keep_best`, or,
    for None, all from the newest to the oldest. Raises UserError if there is none.
    """
    if not directory.is_dir():
        raise UserError(f"{directory} is missing: nothing has been saved there yet")
    saved_steps = steps(directory)
    if step == "best":
        best = list(metas.best_steps({s: metas.score_in(directory / str(s)) for s in saved_steps}).values())
        if not best:
            raise UserError(f"{directory} has no best checkpoint: train with --config.checkpoint.keep_best=min:NAME")
        return best[-1:]
    if not saved_steps or (step is not None and step not in saved_steps):
        names = ", ".join(map(str, saved_steps)) or "none"
        raise UserError(f"{directory} has no checkpoint{'' if step is None else f' {step}'}; there is: {names}")
    return saved_steps[::-1] if step is None else [step]


def load_ema(directory: Path, step: int | str | None = None) -> tuple[dict, dict]:
    """Return ({network: variables as NumPy arrays}, meta), on any machine, whichever machine saved them.

    step: an int, None for the newest intact one, or "best" by `checkpoint.keep_best`. Raises UserError if there is
    none.
    """
    return _load_first_intact(directory, step, _load_ema)


def load_state(directory: Path, template: State, step: int | str | None = None) -> tuple[State, dict]:
    """Return (the whole state, meta) of another run's checkpoint, which is not changed; `step` as for `load_ema`.

    Raises UserError if there is none, or if its leaves have other shapes than the template's.
    """

    def load(folder: Path) -> tuple[State, dict]:
        meta = metas.read(folder)
        if difference := metas.misfit(meta["shapes"], metas.shapes(template)):
            raise UserError(f"{folder} cannot be continued with this config: {difference}")
        with console.quiet(), ocp.Checkpointer(ocp.StandardCheckpointHandler()) as reader:
            state = reader.restore((folder / "state").resolve(), args=ocp.args.StandardRestore(_stored(template)))
        return _verify_state(State(**state), meta), meta

    return _load_first_intact(directory, step, load)


def _load_first_intact(directory: Path, step: int | str | None, load: Callable[[Path], tuple]) -> tuple:
    for candidate in candidate_steps(directory, step):
        folder = directory / str(candidate)
        try:
            return load(folder)
        except (MemoryError, jax.errors.JaxRuntimeError, UserError):
            raise
        except Exception as error:  # as in `restore`
            if step is not None:
                raise UserError(f"{folder} is damaged: {_first_line(error)}") from error
            log.warning("checkpoint %s is damaged and skipped: %s", folder, _first_line(error))
    raise UserError(f"no checkpoint in {directory} can be read")


def _load_ema(path: Path) -> tuple[dict, dict]:
    meta = metas.read(path)
    tree = _metadata(path / "ema")
    as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
    with console.quiet(), ocp.PyTreeCheckpointer() as reader:
        ema = reader.restore((path / "ema").resolve(), args=ocp.args.PyTreeRestore(item=tree, restore_args=as_numpy))
    metas.verify(ema, meta["crc32_ema"])
    return ema, meta
