"""The compiled step: gather and prepare a batch, then run the recipe's step; one or several steps per device call."""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from ganjax import rng
from ganjax.data.loader import Batch
from ganjax.data.table import Dataset
from ganjax.errors import UserError
from ganjax.recipe import Recipe
from ganjax.system import devices
from ganjax.task import Task

SHARE = 0.25  # largest share of a device's memory for resident images
CPU_BYTES = 256 << 20  # largest size of resident images on a CPU


def compile_update(
    config: ml_collections.ConfigDict, task: Task, gan: Recipe, mesh: jax.sharding.Mesh, attempt: int = 0
) -> Callable:
    """Return the jitted (state, batch, rows) -> (state, metrics): the task's preparation, then the recipe's step.

    batch: {table: {column: uint8 or int32 (B, ...)}} or, if `rows` holds the whole tables under the same names,
    {table: {"index": int32 (B,)}}. All random keys depend on the state's step; the state is donated.

    With config.steps_per_call = K > 1 the function takes (state, batches, rows, count). Each array of the batches, and
    each metric, has a leading axis of size K, of which the first `count` steps are run. One program serves every count,
    so the division of steps into calls does not change the bits of a run.
    """
    again = f", attempt {attempt}" if attempt else ""  # after a rollback, other noise is drawn

    def update(state, batch, rows):
        if rows:
            batch = {name: gather(columns, batch[name]["index"]) for name, columns in rows.items()}

        def key_of(stream):
            # The attempt goes before the table's name: "augment b" becomes "augment, attempt 1 b".
            name, _, table = stream.partition(" ")
            return rng.key(config.seed, f"{name}{again}{' ' if table else ''}{table}", state.step)

        return gan.step(state, task.prepare(config, batch, key_of), key_of("train"))

    def updates(state, batches, rows, count):
        def body(i, carry):
            state, stacked = carry
            state, metrics = update(state, jax.tree.map(lambda array: array[i], batches), rows)
            return state, jax.tree.map(lambda values, value: values.at[i].set(value), stacked, metrics)

        first = jax.tree.map(lambda array: array[0], batches)
        _, shapes = jax.eval_shape(update, state, first, rows)
        stacked = jax.tree.map(lambda metric: jnp.zeros(config.steps_per_call, metric.dtype), shapes)
        return jax.lax.fori_loop(0, count, body, (state, stacked))

    whole = devices.replicated(mesh)
    settings = {"out_shardings": (whole, whole), "donate_argnums": 0}
    if config.steps_per_call == 1:
        return jax.jit(update, in_shardings=(whole, devices.batched(mesh), whole), **settings)
    return jax.jit(updates, in_shardings=(whole, devices.batched(mesh, 1), whole, whole), **settings)


def gather(columns: dict[str, jax.Array], index: jax.Array) -> dict[str, jax.Array]:
    """Return the rows of the columns at these indices, int32 (B,), which must be in bounds."""
    return {name: column.at[index].get(mode="promise_in_bounds") for name, column in columns.items()}


def initialise(config: ml_collections.ConfigDict, task: Task, gan: Recipe) -> Callable:
    """Return the jit-able function () -> State, with the config's seed."""
    return lambda: gan.init(rng.key(config.seed, "init"), task.spec(config, gan.parts))


def resident(config: ml_collections.ConfigDict, dataset: Dataset, mesh: jax.sharding.Mesh) -> Batch:
    """Return the `rows` of `compile_update`, on every device; {} if `config.data.resident` keeps images on the host.

    With "auto" images are resident if they fit into a quarter of a device's memory, or 256 MiB on a CPU. Raises
    UserError if "yes" is impossible.
    """
    columns = {name: table.columns for name, table in dataset.tables.items()}
    request, nbytes = config.data.resident, sum(table.images.nbytes for table in dataset.tables.values())
    capacity = (mesh.local_devices[0].memory_stats() or {}).get("bytes_limit")
    limit = SHARE * capacity if capacity else CPU_BYTES
    if request == "yes" and capacity and nbytes > capacity:
        raise UserError(
            f"config.data.resident = 'yes': the images take {nbytes / 2**30:.1f} GiB, but the device has "
            f"{capacity / 2**30:.1f} GiB; use 'no', or a smaller config.data.load_size"
        )
    if request == "no" or (request == "auto" and nbytes > limit):
        return {}
    return devices.replicate(columns, mesh)


def feed(batches: Iterator[Batch], count: int, steps_per_call: int, mesh: jax.sharding.Mesh) -> Batch:
    """Return the next `count` batches on the devices: unstacked if steps_per_call is 1, else stacked to this length."""
    batch_list = [next(batches) for _ in range(count)]
    if steps_per_call == 1:
        return devices.put(batch_list[0], mesh)
    batch_list += batch_list[-1:] * (steps_per_call - count)  # padding, which the program ignores
    return devices.put(jax.tree.map(lambda *arrays: np.stack(arrays), *batch_list), mesh, axis=1)
