"""Earlier generated images that D is shown again: Shrivastava et al. 2017 (arXiv 1612.07828), section 2.3."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp


def empty(size: int, shape: tuple[int, int, int], dtype) -> dict[str, jax.Array]:
    """Return a pool of `size` images of that shape, none of which is there yet."""
    return {"images": jnp.zeros((size, *shape), dtype), "count": jnp.zeros((), jnp.int32)}


def pools(size: int, names: Sequence[str]) -> tuple[Callable, Callable]:
    """Return a game's `extra` and `show`: a pool "pool_NAME" for the fakes of each name, whose images have the shape
    and dtype of the batch's of that name, and whose draws follow from part["keys_NAME"].
    """

    def extra(batch: dict) -> dict[str, dict]:
        return {f"pool_{name}": empty(size, batch[name].shape[1:], batch[name].dtype) for name in names}

    def show(fakes: dict, extra: dict, part: dict) -> tuple[dict, dict]:
        shown, extra = {}, dict(extra)
        for name in names:
            pool = f"pool_{name}"
            shown[name], extra[pool] = exchange(extra[pool], fakes[name], part[f"keys_{name}"])
        return shown, extra

    return extra, show


def exchange(pool: dict, images: jax.Array, keys: jax.Array) -> tuple[jax.Array, dict]:
    """Return what D is shown for images (B, H, W, C), one after the other, and the pool after it; keys (B,).

    Until the pool is full each image goes in and is shown. Then, with probability 1/2, it takes the place of a random
    one, which is shown instead. A pool of size 0 shows every image.
    """
    size = len(pool["images"])
    if size == 0:
        return images, pool

    def one(pool, pair):
        image, key = pair
        swap_key, place_key = jax.random.split(key)
        full = pool["count"] >= size
        place = jnp.where(full, jax.random.randint(place_key, (), 0, size), pool["count"])
        old, swap = pool["images"][place], jax.random.bernoulli(swap_key)
        stays = full & ~swap
        stored = pool["images"].at[place].set(jnp.where(stays, old, image))
        shown = jnp.where(full & swap, old, image)
        return {"images": stored, "count": jnp.minimum(pool["count"] + 1, size)}, shown

    pool, shown = jax.lax.scan(one, pool, (images, keys))
    return shown, pool
