"""Random keys as a function of (seed, stream, step): named streams, never a carried key."""

import zlib

import jax
import numpy as np

from ganjax.errors import UserError

SEED = (0, 2**32 - 1)  # JAX uses 32 bits of a seed: a larger seed would give the images of a smaller one


def key(seed: int, stream: str, step: int | jax.Array = 0) -> jax.Array:
    """Return the typed key of one use of randomness at one step.

    `stream` names the use ("init", "train", "augment", ...), so that a new use never changes another.
    `step` may be a traced int32 scalar. The same arguments give the same key on every host and device. Raises UserError
    for a seed that is no whole number of 32 bits, which JAX would truncate or refuse.
    """
    low, high = SEED
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not low <= seed <= high:
        raise UserError(f"a seed must be a whole number from {low} to {high}")
    stream_key = jax.random.fold_in(jax.random.key(seed), zlib.crc32(stream.encode()))
    return jax.random.fold_in(stream_key, step)
