"""The compiled step: gather and augment a batch, then the recipe's step; several of them in one call."""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from ganjax import rng
from ganjax.augment import damage, transforms
from ganjax.config import derived
from ganjax.data.cache import Dataset
from ganjax.errors import UserError
from ganjax.recipe import Recipe
from ganjax.system import devices

SHARE = 0.25  # of a device's memory that resident images may take
CPU_BYTES = 256 << 20  # likewise, where the device is the host


def compile_update(
    config: ml_collections.ConfigDict, gan: Recipe, mesh: jax.sharding.Mesh, attempt: int = 0
) -> Callable:
    """Return the jitted (state, batch, rows) -> (state, metrics): augmentation, then the recipe's step.

    batch: {"image": uint8 (B, H, W, C), "label": int32 (B,)}; or, with the whole set in `rows` under the same names,
    {"index": int32 (B,)}. Both random keys follow from the state's own step; the state is donated.

    With config.steps_per_call = K > 1 it is (state, batches, rows, count): each array of the batches has a leading
    axis of K, of which the first `count` are done, and so has each metric. One program serves every count, so how the
    steps of a run are divided into calls does not change its bits.
    """
    again = f", attempt {attempt}" if attempt else ""  # after a rollback other noise is drawn
    size, dtype = derived.size(config), derived.dtypes(config.precision)[1]

    def update(state, batch, rows):
        if rows:
            index = lambda name: batch.get(f"{name}_index", batch.get("index"))  # noqa: E731
            batch = {name: array.at[index(name)].get(mode="promise_in_bounds") for name, array in rows.items()}
        for name in ("image", "a", "b"):
            if name in batch:
                # Pairs are cut and turned alike.
                stream = f"augment{again}" + (" b" if name == "b" and config.data.paired == "no" else "")
                image = transforms.normalise(batch[name], dtype)
                key = rng.key(config.seed, stream, state.step)
                batch = {**batch, name: transforms.augment(image, key, *size, config.augment)}
        if config.data.paired == "self":
            keys = jax.random.split(rng.key(config.seed, f"damage{again}", state.step), config.batch_size)
            damaged = damage.damage(batch["b"], keys, config.damage.kinds, config.damage.chance)
            batch = {**batch, "a": damaged.astype(dtype)}
        return gan.step(state, batch, rng.key(config.seed, f"train{again}", state.step))

    def updates(state, batches, rows, count):
        def body(i, carry):
            state, logged = carry
            state, metrics = update(state, jax.tree.map(lambda array: array[i], batches), rows)
            return state, jax.tree.map(lambda all_of, one: all_of.at[i].set(one), logged, metrics)

        first = jax.tree.map(lambda array: array[0], batches)
        _, shapes = jax.eval_shape(update, state, first, rows)
        logged = jax.tree.map(lambda metric: jnp.zeros(config.steps_per_call, metric.dtype), shapes)
        return jax.lax.fori_loop(0, count, body, (state, logged))

    one = devices.replicated(mesh)
    kept = {"out_shardings": (one, one), "donate_argnums": 0}
    if config.steps_per_call == 1:
        return jax.jit(update, in_shardings=(one, devices.batched(mesh), one), **kept)
    return jax.jit(updates, in_shardings=(one, devices.batched(mesh, 1), one, one), **kept)


def initialise(config: ml_collections.ConfigDict, gan: Recipe) -> Callable:
    """Return the jit-able () -> GANState of the config's seed."""
    return lambda: gan.init(rng.key(config.seed, "init"), batch_shapes(config, gan))


def batch_shapes(config: ml_collections.ConfigDict, gan: Recipe) -> dict[str, jax.ShapeDtypeStruct]:
    """Return the shapes and dtypes of the batch that the recipe's step is given."""
    count, (height, width) = config.batch_size * gan.d_steps, derived.size(config)
    image = jax.ShapeDtypeStruct((count, height, width, config.data.channels), derived.dtypes(config.precision)[1])
    if config.data.domains == 2:
        return {"a": image, "b": image}
    return {"image": image, "label": jax.ShapeDtypeStruct((count,), np.int32)}


def resident(config: ml_collections.ConfigDict, dataset: Dataset, mesh: jax.sharding.Mesh) -> dict[str, jax.Array]:
    """Return the `rows` of the update, on every device, as `config.data.resident` says; {} where they stay on the host.

    "auto" holds them if they fit: a quarter of a device's memory, or 256 MiB on a CPU. UserError where "yes" cannot be.
    """
    if config.data.domains == 2:
        arrays = {"a": dataset.a.images, "b": dataset.b.images}
        if config.data.paired == "self":
            del arrays["a"]  # the update makes it of B
    else:
        labels = dataset.labels if config.data.labels else np.full(len(dataset.images), -1, np.int32)
        arrays = {"image": dataset.images, "label": labels}
    wish, nbytes = config.data.resident, sum(array.nbytes for name, array in arrays.items() if name != "label")
    capacity = (mesh.local_devices[0].memory_stats() or {}).get("bytes_limit")
    limit = SHARE * capacity if capacity else CPU_BYTES
    if wish == "yes" and capacity and nbytes > capacity:
        raise UserError(
            f"config.data.resident = 'yes': the images take {nbytes / 2**30:.1f} GiB, the device has "
            f"{capacity / 2**30:.1f} GiB; use 'no', or a smaller config.data.load_size"
        )
    if wish == "no" or (wish == "auto" and nbytes > limit):
        return {}
    return devices.replicate(arrays, mesh)


def feed(
    batches: Iterator[dict[str, np.ndarray]], count: int, steps_per_call: int, mesh: jax.sharding.Mesh
) -> dict[str, jax.Array]:
    """Return the next `count` batches as the update wants them: stacked to `steps_per_call`, unless that is 1."""
    taken = [next(batches) for _ in range(count)]
    if steps_per_call == 1:
        return devices.put(taken[0], mesh)
    taken += taken[-1:] * (steps_per_call - count)  # never looked at
    stacked = {name: np.stack([batch[name] for batch in taken]) for name in taken[0]}
    return devices.put(stacked, mesh, axis=1)
