"""The first weights of a run from those of another: `config.init_from`, for fine-tuning on few works.

Each array of the new networks that has the name and shape of one of the source's starts from it; the others, such as
those of new classes or of another resolution, are initialised as usual. Averaged networks start from the average. The
optimisers, the number of images and the schedules start anew: a branch (`training.branch`) continues them.
"""

import logging
import os
from pathlib import Path

import jax
import ml_collections
from flax.traverse_util import flatten_dict, unflatten_dict

from ganjax import recipe, task
from ganjax.config.numbers import short_repr
from ganjax.errors import UserError
from ganjax.state import State
from ganjax.system import devices
from ganjax.system.names import expanded
from ganjax.training import update
from ganjax.workdir import run_folder, weights_file
from ganjax.workdir.checkpoint import load_state

SOURCE = "source.safetensors"
NAMED = 8  # arrays that the log names
log = logging.getLogger(__name__)


def settle(config: ml_collections.ConfigDict, workdir: Path) -> None:
    """Make the path in `config.init_from` absolute.

    Raises UserError if it is no run and no file, or `workdir` itself.
    """
    if not config.init_from:
        if config.get("penalty", {}).get("cdc"):
            raise UserError("config.penalty.cdc compares with the run of config.init_from: set it, or cdc to 0")
        return
    if config.branch.workdir:
        raise UserError("config.init_from and config.branch.workdir: a run starts from one other run; leave out one")
    source, step = parse(config.init_from)
    if os.path.realpath(source) == os.path.realpath(workdir):
        raise UserError(f"config.init_from = {str(source)!r} is this run's --workdir: choose another --workdir")
    if source.suffix != weights_file.SUFFIX:
        run_folder.read_config(source)
    elif not source.is_file():
        raise UserError(f"config.init_from: there is no file {source}")
    config.init_from = f"{os.path.abspath(source)}{'' if step is None else f':{step}'}"


def parse(text: str) -> tuple[Path, int | str | None]:
    """Return the path and the step, None for the newest, of WORKDIR, WORKDIR:STEP, WORKDIR:best or FILE.safetensors.

    Raises UserError for another step.
    """
    whole = expanded(text, "--config.init_from")
    path, colon, step = text.rpartition(":")
    if not colon or whole.exists():
        return whole, None
    if step != "best" and not step.isdecimal():
        raise UserError(f"config.init_from = {short_repr(text)}: after the colon stands a step, or best")
    return expanded(path, "--config.init_from"), step if step == "best" else int(step)


def transfer(config: ml_collections.ConfigDict, state: State) -> State:
    """Return a fresh state with the weights of `config.init_from`, and log which arrays start anew.

    Raises UserError if the source cannot be read, or if none of its arrays fits a network.
    """
    source, step = parse(config.init_from)
    networks, origin = _load(source, step, jax.tree.leaves(state)[0].sharding)
    kept, anew = [], []

    def fitted(name: str, variables: dict) -> dict:
        old, new = flatten_dict(networks.get(name, {}), sep="."), flatten_dict(variables, sep=".")
        fits = {key for key, leaf in new.items() if key in old and old[key].shape == leaf.shape}
        kept.extend(fits)
        anew.extend(f"{name}.{key}" for key in sorted(new.keys() - fits))
        place = {key: jax.device_put(old[key].astype(new[key].dtype), new[key].sharding) for key in fits}
        return unflatten_dict({tuple(key.split(".")): leaf for key, leaf in {**new, **place}.items()})

    trained = {}
    for name, network in state.networks.items():
        variables = fitted(name, network.variables)
        mutable = {key: value for key, value in variables.items() if key != "params"}
        trained[name] = network.replace(params=variables["params"], mutable=mutable)
    if not kept:
        raise UserError(f"config.init_from: no array of {origin} fits a network of this config, recipe {config.recipe}")
    averages = {name: jax.tree.map(lambda leaf: leaf.copy(), trained[name].variables) for name in state.ema}
    log.info("starting from %s: %d of %d arrays", origin, len(kept), len(kept) + len(anew))
    if anew:
        more = f" and {len(anew) - NAMED} more" if len(anew) > NAMED else ""
        log.warning("initialised anew, as they do not fit: %s%s", ", ".join(anew[:NAMED]), more)
    return state.replace(networks=trained, ema=averages)


def source(config: ml_collections.ConfigDict, state: State, workdir: Path, at_start: bool) -> dict:
    """Return {"source": the averaged generator that the run started from}, if its config needs it, else {}.

    It is kept in `workdir`, as checkpoints do not hold it. Raises UserError if its file is missing or damaged.
    """
    if not config.get("penalty", {}).get("cdc"):
        return {}
    path = workdir / SOURCE
    if at_start and jax.process_index() == 0:
        weights_file.write(path, {"generator": state.ema["generator"]}, {"config": config.to_dict()})
    networks = {"generator": state.ema["generator"]} if at_start else weights_file.read(path)[0]
    return {"source": jax.device_get(networks["generator"])}


def networks_of(workdir: Path, step: int | str | None, sharding=None) -> tuple[dict[str, dict], dict]:
    """Return ({network: variables}, meta) of a run's checkpoint, averaged where the state has an average.

    Raises UserError if there is none.
    """
    config = run_folder.read_config(workdir)
    gan = recipe.build(config)
    sharding = sharding or devices.replicated(devices.make_mesh(1, config.batch_size))
    template = devices.template(update.initialise(config, task.of(config), gan), sharding)
    state, meta = load_state(workdir / "checkpoints", template, step)
    return state.variables(tuple(state.networks)), meta


def _load(source: Path, step: int | str | None, sharding) -> tuple[dict[str, dict], str]:
    """Return ({network: variables}, a description of their origin)."""
    if source.suffix == weights_file.SUFFIX:
        networks, about = weights_file.read(source)
        return networks, f"{source} ({about.get('images', 0):,} images)"
    networks, meta = networks_of(source, step, sharding)
    return networks, f"{source} at step {meta['step']} ({meta['images']:,} images)"
