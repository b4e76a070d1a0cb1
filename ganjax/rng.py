"""Random keys as a function of (seed, stream, step): named streams, never a carried key."""

import zlib

import jax


def key(seed: int, stream: str, step: int | jax.Array = 0) -> jax.Array:
    """Return the typed key of one use of randomness at one step.

    `stream` names the use ("init", "train", "augment", ...), so that adding a use never changes another.
    `step` may be a traced int32 scalar. The same arguments give the same key on every host and device.
    """
    stream_key = jax.random.fold_in(jax.random.key(seed), zlib.crc32(stream.encode()))
    return jax.random.fold_in(stream_key, step)
