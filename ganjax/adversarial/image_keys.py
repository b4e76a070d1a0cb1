"""Random draws with one key per image, so that the draws of an image do not depend on the batch that it is in."""

import jax

# Uses of an image's key in a step. A key is either drawn from or folded further, never both: the bits drawn from a key
# are not independent of the keys folded from it.
REAL, FAKE, PENALTY, LABEL, NEAR_D, NEAR_G, LAYERS, PAIR = range(8)
NOISE, DROPOUT, AUGMENT, POINT = range(4)  # uses of each of those keys
DRAWING = ("wgan_gp", "wgan_gp_one_sided", "dragan", "cr", "bcr")  # penalties that draw; their uses count from POINT
SMALL, QUADRANT, MARGIN, ADA, PATH = range(POINT + len(DRAWING), POINT + len(DRAWING) + 5)


def use(keys: jax.Array, name: int) -> jax.Array:
    """Return the keys (B,) for one use of each of `keys`."""
    return jax.vmap(jax.random.fold_in, (0, None))(keys, name)


def penalty_keys(keys: jax.Array, penalty: str) -> jax.Array:
    """Return the keys (B,) that a penalty draws with; no two penalties share a key. A penalty that draws nothing gets
    `keys`.
    """
    return use(keys, POINT + DRAWING.index(penalty)) if penalty in DRAWING else keys


def dropout_key(keys: jax.Array) -> jax.Array:
    """Return the single key of D's dropout for a batch with these keys."""
    return jax.random.fold_in(keys[0], DROPOUT)


def noise_key(keys: jax.Array) -> jax.Array:
    """Return the single key of the noise in G's layers for a batch with these keys."""
    return use(keys, LAYERS)[0]


def normal(keys: jax.Array, like: jax.Array) -> jax.Array:
    """Return N(0, 1) noise of the shape and dtype of `like` (B, ...), each row drawn with its own key."""
    return jax.vmap(lambda key: jax.random.normal(key, like.shape[1:], like.dtype))(keys)
