"""A pool of earlier generated images for D: Shrivastava et al. 2017 (arXiv 1612.07828), section 2.3."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp


def empty(size: int, shape: tuple[int, int, int], dtype) -> dict[str, jax.Array]:
    """Return an empty pool for `size` images of this shape."""
    return {"images": jnp.zeros((size, *shape), dtype), "count": jnp.zeros((), jnp.int32)}


def pools(size: int, names: Sequence[str]) -> tuple[Callable, Callable]:
    """Return a game's `extra` and `show`, with a pool "pool_NAME" for the fakes of each name.

    The pool's images have the shape and dtype of the batch's images of that name; its draws use part["keys_NAME"].
    """

    def extra(batch: dict) -> dict[str, dict]:
        return {f"pool_{name}": empty(size, batch[name].shape[1:], batch[name].dtype) for name in names}

    def show(fakes: dict, extra: dict, part: dict) -> tuple[dict, dict]:
        images, extra = {}, dict(extra)
        for name in names:
            pool = f"pool_{name}"
            images[name], extra[pool] = exchange(extra[pool], fakes[name], part[f"keys_{name}"])
        return images, extra

    return extra, show


def exchange(pool: dict, images: jax.Array, keys: jax.Array) -> tuple[jax.Array, dict]:
    """Return the images that D sees for generated images (B, H, W, C), taken one after the other, and the new pool.

    Until the pool is full, each image is stored and shown. Then, with probability 1/2, it replaces a random image of
    the pool, which is shown instead. A pool of size 0 shows every image. keys: (B,).
    """
    size = len(pool["images"])
    if size == 0:
        return images, pool

    def exchange_one(pool, pair):
        image, key = pair
        swap_key, index_key = jax.random.split(key)
        full = pool["count"] >= size
        index = jnp.where(full, jax.random.randint(index_key, (), 0, size), pool["count"])
        old, swap = pool["images"][index], jax.random.bernoulli(swap_key)
        images = pool["images"].at[index].set(jnp.where(full & ~swap, old, image))
        output = jnp.where(full & swap, old, image)
        return {"images": images, "count": jnp.minimum(pool["count"] + 1, size)}, output

    pool, outputs = jax.lax.scan(exchange_one, pool, (images, keys))
    return outputs, pool
