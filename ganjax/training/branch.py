"""A branch of a run: a new workdir that continues from a checkpoint of another run, its parent, with other settings.

Settings that do not change the networks' shapes may differ: batch size, learning rates, clipping, augmentation, losses,
penalties, data. Durations count from the images that the parent has seen. The parent's workdir is only read.
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
    """Fill in `schedule_images` from the parent. Raises UserError if the parent is no run, or is `workdir` itself.

    The schedules keep the parent's horizon, unless `schedule_images` is set, or the branch has another `total_images`,
    which then is the horizon.
    """
    parent = Path(config.branch.workdir)
    if os.path.realpath(parent) == os.path.realpath(workdir):
        raise UserError(f"config.branch.workdir = {str(parent)!r} is this run's --workdir: choose another --workdir")
    saved = run_folder.read_config(parent)
    if not config.schedule_images:
        same = config.total_images == saved.total_images
        config.schedule_images = saved.schedule_images if same else config.total_images


def begin(
    config: ml_collections.ConfigDict, init: Callable[[], State], template: State, dataset
) -> tuple[State, int, int]:
    """Return the initial state of a branch, its step and its attempt; record the origin in `config.branch`.

    init: as `update.initialise` returns it. template: as `Checkpointer.restore` takes it. Raises UserError if the
    parent's checkpoint does not fit the networks, or has reached `total_images`.
    """
    record, parent = config.branch, Path(config.branch.workdir)
    saved, sharding = run_folder.read_config(parent), jax.tree.leaves(template)[0].sharding
    gan, new_gan = recipe.build(saved), recipe.build(config)
    parent_template = devices.template(update.initialise(saved, task.of(saved), gan), sharding)
    state, meta = load_state(parent / "checkpoints", parent_template, branch_step(config))
    run_folder.agree(saved, meta, parent)
    state = _transfer(state, init, template)
    if difference := metas.misfit(metas.shapes(state), metas.shapes(template)):
        raise UserError(f"{parent} cannot be branched from with this config: {difference}")
    step = meta["images"] // config.batch_size
    if step >= config.total_images // config.batch_size:
        raise UserError(
            f"{parent} has seen {meta['images']:,} images, from which the branch continues: set a larger total, such "
            f"as --config.total_images={meta['images'] + groups.base().total_images}"
        )
    record.at, record.images, record.attempt = meta["step"], meta["images"], int(meta.get("attempt", 0))
    record.checkpoint = hashlib.sha256(json.dumps(meta["crc32"], sort_keys=True).encode()).hexdigest()[:16]
    record.changed = changes(saved, config)
    log.info("%s", describe(config))
    if meta["data"] != dataset.content:
        log.warning("the images of this branch are not those of %s: their contents differ", parent)
    names = run_folder.class_changes(meta.get("classes", ()), dataset.target.classes) if config.data.labels else ""
    if names:
        log.warning("the class names of this branch are not those of %s: %s", parent, names)
    if (step, new_gan.updates) != (meta["step"], gan.updates):
        state = _at_step(state, step, {name: round(step * updates) for name, updates in new_gan.updates.items()})
    return state, step, record.attempt


def changes(saved: ml_collections.ConfigDict, config: ml_collections.ConfigDict) -> tuple[str, ...]:
    """Return "key: old -> new" for each changed key that may affect results."""
    old, new = derived.flatten(saved), derived.flatten(config)
    declared = groups.keys_of(config)
    keys = [key for key in sorted(old.keys() | new.keys()) if declared.get(key, UNDECLARED).matters]
    changed = [key for key in keys if not key.startswith("branch.") and old.get(key) != new.get(key)]
    return tuple(f"{key}: {old.get(key)!r} -> {new.get(key)!r}" for key in changed)


def describe(config: ml_collections.ConfigDict) -> str:
    """Return a sentence on the origin of a branch, for the log and the report."""
    record = config.branch
    changed = "; ".join(record.changed) or "nothing"
    return (
        f"a branch of {record.workdir} at step {record.at} ({record.images:,} images, checkpoint {record.checkpoint}); "
        f"changed: {changed}"
    )


def _transfer(parent: State, init: Callable[[], State], template: State) -> State:
    """Return the parent's state in the structure of the branch's state. Another config may nest the optimiser's state
    differently (clipping), and have more or fewer entries in `extra` (LeCam's sums): new entries are initialised.
    """

    def network(old: TrainState, new: TrainState) -> TrainState:
        nodes = jax.tree.leaves(old.opt_state, is_leaf=_is_moments)
        moments = {type(node): node for node in nodes}
        opt_state = jax.tree.map(lambda node: moments[type(node)], new.opt_state, is_leaf=_is_moments)
        return new.replace(step=old.step, params=old.params, mutable=old.mutable, opt_state=opt_state)

    if parent.networks.keys() != template.networks.keys():
        raise UserError(
            f"the run to branch from has the networks {', '.join(sorted(parent.networks))}, but this config has "
            f"{', '.join(sorted(template.networks))}: use the same recipe"
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


def _at_step(state: State, step: int, counts: dict[str, int]) -> State:
    """Return the state with another step, which follows from its images and the branch's batch size.

    counts: {network: updates}, the new counts of the schedules. Adam's own count, for its bias correction, stays: it
    counts the updates that the moments have had.
    """

    def at(leaf: jax.Array, value: int) -> jax.Array:
        return jax.device_put(jnp.asarray(value, leaf.dtype), leaf.sharding)

    def with_count(tree, count: int):
        def replace(node):
            return node._replace(count=at(node.count, count)) if isinstance(node, optax.ScaleByScheduleState) else node

        return jax.tree.map(replace, tree, is_leaf=lambda node: isinstance(node, optax.ScaleByScheduleState))

    networks = {
        name: network.replace(opt_state=with_count(network.opt_state, counts[name]))
        for name, network in state.networks.items()
    }
    return state.replace(step=at(state.step, step), networks=networks)
