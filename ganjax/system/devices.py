"""Devices: start-up on several hosts, the mesh, shardings, and global arrays from each host's batch."""

import os
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from ganjax.errors import UserError


def start(
    distributed: bool = False,
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    deterministic: bool = False,
    precision: str = "float32",
) -> None:
    """Set up JAX before its first use.

    With `distributed`, join the other hosts; JAX detects arguments that are None on TPU pods, SLURM and Open MPI.
    `deterministic` selects deterministic kernels on a GPU; the precision "float64" enables 64-bit types. Raises
    UserError if the hosts cannot be joined.
    """
    if deterministic:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true".strip()
    if precision == "float64":
        jax.config.update("jax_enable_x64", True)
    if distributed:
        try:
            jax.distributed.initialize(coordinator, num_processes, process_id)
        except (ValueError, RuntimeError) as error:
            raise UserError(
                f"--distributed: {error} Outside TPU pods, SLURM and Open MPI give --coordinator=HOST:PORT, "
                "--num_processes and --process_id"
            ) from error


def make_mesh(data: int, batch_size: int) -> Mesh:
    """Return the mesh ("data",) over `data` devices, -1 for all. Raises UserError if the batch cannot be split."""
    # In the order of hosts, so that each host holds its own rows of the global batch. `jax.make_mesh` would order the
    # devices by topology.
    devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    count = len(devices) if data == -1 else data
    if not 1 <= count <= len(devices):
        raise UserError(f"config.mesh.data = {data}: there are {len(devices)} devices; -1 uses all of them")
    if batch_size % count:
        near = max(count, batch_size // count * count)
        raise UserError(
            f"config.batch_size = {batch_size} cannot be split over {count} devices: take {near} or {near + count}, or "
            "set config.mesh.data"
        )
    if jax.process_count() > 1 and count != len(devices):
        raise UserError(f"config.mesh.data = {data}: on several hosts it must be -1, all {len(devices)} devices")
    return Mesh(np.array(devices[:count]), ("data",), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Return the sharding that holds a whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def template(init: Callable, sharding: NamedSharding) -> Any:
    """Return the tree that init() would return, as ShapeDtypeStructs with this sharding, without computing it."""
    shapes = jax.eval_shape(init)
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), shapes)


def batched(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """Return the sharding that splits `axis` over the devices."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, "data"))


def put(batch: Any, mesh: Mesh, axis: int = 0) -> Any:
    """Return the global batch, a tree of arrays, from each host's slice. `axis` is the batch axis."""
    split = batched(mesh, axis)
    return jax.tree.map(lambda value: jax.make_array_from_process_local_data(split, value), batch)


def replicate(arrays: Any, mesh: Mesh) -> Any:
    """Put a tree of arrays, which is the same on every host, on every device."""
    whole = replicated(mesh)
    return jax.tree.map(lambda array: jax.make_array_from_callback(array.shape, whole, lambda i: array[i]), arrays)
