"""Sharding hints that pure functions may give without knowing the mesh."""

import jax
from jax.sharding import PartitionSpec


def along_batch(x: jax.Array) -> jax.Array:
    """Split the first axis of x over the mesh axis "data" of `jax.set_mesh`; without such a mesh return x.

    Noise made inside a compiled step has no input whose sharding it could follow: without this hint every device
    would compute the whole batch of fakes.
    """
    if "data" not in jax.sharding.get_abstract_mesh().axis_names:
        return x
    return jax.lax.with_sharding_constraint(x, PartitionSpec("data"))
