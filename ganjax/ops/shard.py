"""Sharding constraints for pure functions that do not know the mesh. Without `jax.set_mesh` they do nothing."""

import jax
from jax.sharding import PartitionSpec


def along_batch(x: jax.Array) -> jax.Array:
    """Shard the first axis of x over the mesh axis "data", if it can be split evenly.

    Noise that a compiled step generates has no input whose sharding it could follow: without this constraint every
    device would compute the whole batch of fakes.
    """
    devices = jax.sharding.get_abstract_mesh().shape.get("data", 1)
    return _constrain(x, PartitionSpec("data")) if x.shape[0] % devices == 0 else x


def everywhere(x: jax.Array) -> jax.Array:
    """Replicate x on all devices of all hosts."""
    return _constrain(x, PartitionSpec())


def _constrain(x: jax.Array, spec: PartitionSpec) -> jax.Array:
    if "data" not in jax.sharding.get_abstract_mesh().axis_names:
        return x
    return jax.lax.with_sharding_constraint(x, spec)
