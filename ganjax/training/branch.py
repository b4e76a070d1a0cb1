"""A branch of a run: a new workdir that goes on from another run's checkpoint, with other settings.

Whatever leaves the shapes of the networks as they are may change: batch size, learning rates, clipping, augmentation,
losses, penalties, data. Durations go on from the images that the parent has seen. The parent's workdir is only read.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_collections
import optax

from ganjax import recipe, task
from ganjax.config import derived, groups
from ganjax.config.check import branch_step
from ganjax.config.key import UNDECLARED
from ganjax.errors import UserError
from ganjax.state import State, TrainState
from ganjax.system import devices
from ganjax.training import update
from ganjax.workdir import meta as metas
from ganjax.workdir import run_folder
from ganjax.workdir.checkpoint import load_state

log = logging.getLogger(__name__)


def settle(config: ml_collections.ConfigDict, workdir: Path) -> None:
    """Fill in what a branch takes from its parent. Raises UserError if that is no run, or `workdir` itself.

    The schedules keep the parent's horizon, unless `schedule_images` is set or the branch has another `total_images`,
    which is the horizon then.
    """
    parent = Path(config.branch.workdir)
    if os.path.realpath(parent) == os.path.realpath(workdir):
        raise UserError(f"config.branch.workdir = {str(parent)!r}: a branch needs a --workdir of its own")
    saved = run_folder.read_config(parent)
    if not config.schedule_images:
        same = config.total_images == saved.total_images
        config.schedule_images = saved.schedule_images if same else config.total_images


def begin(
    config: ml_collections.ConfigDict, init: Callable[[], State], template: State, dataset
) -> tuple[State, int, int]:
    """Return the state that a branch begins with, its step and its attempt; write into the config what it came from.

    `init` is `update.initialise`'s, `template` as for `Checkpointer.restore`. Raises UserError if the parent's
    checkpoint does not fit the networks.
    """
    record, parent = config.branch, Path(config.branch.workdir)
    saved, sharding = run_folder.read_config(parent), jax.tree.leaves(template)[0].sharding
    gan, new_gan = recipe.build(saved), recipe.build(config)
    own = devices.template(update.initialise(saved, task.of(saved), gan), sharding)
    state, meta = load_state(parent / "checkpoints", own, branch_step(config))
    run_folder.agree(saved, meta, parent)
    state = _carried(state, init, template)
    if difference := metas.misfit(metas.shapes(state), metas.shapes(template)):
        raise UserError(f"{parent} cannot be gone on from with this config: {difference}")
    step = meta["images"] // config.batch_size
    if step >= config.total_images // config.batch_size:
        raise UserError(
            f"{parent} has seen {meta['images']:,} images, from which the branch goes on: give more than that, "
            f"--config.total_images={meta['images'] + groups.base().total_images}"
        )
    record.at, record.images, record.attempt = meta["step"], meta["images"], int(meta.get("attempt", 0))
    record.checkpoint = hashlib.sha256(json.dumps(meta["crc32"], sort_keys=True).encode()).hexdigest()[:16]
    record.changed = changes(saved, config)
    log.info("%s", words(config))
    if meta["data"] != dataset.content:
        log.warning("the images of this branch are not those of %s: their contents differ", parent)
    names = run_folder.class_changes(meta.get("classes", ()), dataset.target.classes) if config.data.labels else ""
    if names:
        log.warning("the classes of this branch are not named as those of %s: %s", parent, names)
    if (step, new_gan.updates) != (meta["step"], gan.updates):
        state = _moved(state, step, {name: round(step * updates) for name, updates in new_gan.updates.items()})
    return state, step, record.attempt


def changes(saved: ml_collections.ConfigDict, config: ml_collections.ConfigDict) -> tuple[str, ...]:
    """Return "key: old -> new" of each key that may change a result."""
    old, new = derived.flatten(saved), derived.flatten(config)
    declared = groups.keys_of(config)
    keys = [key for key in sorted(old.keys() | new.keys()) if declared.get(key, UNDECLARED).matters]
    changed = [key for key in keys if not key.startswith("branch.") and old.get(key) != new.get(key)]
    return tuple(f"{key}: {old.get(key)!r} -> {new.get(key)!r}" for key in changed)


def words(config: ml_collections.ConfigDict) -> str:
    """Return in a sentence what a branch came from, for the log and the report."""
    record = config.branch
    changed = "; ".join(record.changed) or "nothing"
    return (
        f"a branch of {record.workdir} at step {record.at} ({record.images:,} images, checkpoint {record.checkpoint}); "
        f"changed: {changed}"
    )


def _carried(parent: State, init: Callable[[], State], template: State) -> State:
    """Return the parent's state in the structure of the branch's: another config may nest the optimiser's state anew,
    as clipping does, and keep more or less beside the networks, as LeCam's means; what only the branch has is fresh.
    """

    def network(old: TrainState, new: TrainState) -> TrainState:
        nodes = jax.tree.leaves(old.opt_state, is_leaf=_is_moments)
        moments = {type(node): node for node in nodes}
        opt_state = jax.tree.map(lambda node: moments[type(node)], new.opt_state, is_leaf=_is_moments)
        return new.replace(step=old.step, params=old.params, mutable=old.mutable, opt_state=opt_state)

    if parent.networks.keys() != template.networks.keys():
        raise UserError(
            f"the run to branch from has the networks {', '.join(sorted(parent.networks))}, and this config "
            f"{', '.join(sorted(template.networks))}: take the same recipe"
        )
    extra = {key: parent.extra[key] for key in template.extra.keys() & parent.extra.keys()}
    if missing := template.extra.keys() - extra.keys():
        shardings = {key: jax.tree.map(lambda leaf: leaf.sharding, template.extra[key]) for key in missing}
        extra |= jax.jit(lambda: {key: init().extra[key] for key in missing}, out_shardings=shardings)()
    return template.replace(
        step=parent.step,
        networks={name: network(parent.networks[name], new) for name, new in template.networks.items()},
        ema=parent.ema,
        extra=extra,
    )


def _is_moments(node) -> bool:
    return isinstance(node, optax.ScaleByAdamState | optax.ScaleByScheduleState)


def _moved(state: State, step: int, counts: dict[str, int]) -> State:
    """Return the state at another step: that of its images at the branch's batch size.

    counts: {network: updates}. Schedules count them; Adam's bias correction counts those that its moments have had,
    which stay.
    """

    def at(leaf: jax.Array, value: int) -> jax.Array:
        return jax.device_put(jnp.asarray(value, leaf.dtype), leaf.sharding)

    def schedules(tree, count: int):
        def move(node):
            return node._replace(count=at(node.count, count)) if isinstance(node, optax.ScaleByScheduleState) else node

        return jax.tree.map(move, tree, is_leaf=lambda node: isinstance(node, optax.ScaleByScheduleState))

    networks = {
        name: network.replace(opt_state=schedules(network.opt_state, counts[name]))
        for name, network in state.networks.items()
    }
    return state.replace(step=at(state.step, step), networks=networks)
