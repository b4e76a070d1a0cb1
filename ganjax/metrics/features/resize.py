"""The three ways in which the tools for FID resize: they differ, and FID with them (Parmar et al. 2022, 2104.11222).

Each takes images (B, H, W, C), uint8 or float32 in [0, 255], and gives float32 (B, height, width, C) in [0, 255], not
rounded. All are pure, and can be jitted with `height` and `width` fixed.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np


def tf1_bilinear(images: jax.Array, height: int, width: int) -> jax.Array:
    """Resize as TensorFlow 1: pixel i is taken at i H / height, between two neighbours; no antialiasing.

    Equal to the bit to torch-fidelity's outside `jit`; inside, multiply and add are fused, to within 5e-5.
    """
    return _bilinear(images, height, width, lambda i, scale: i * scale)


def torch_bilinear(images: jax.Array, height: int, width: int) -> jax.Array:
    """Resize as PyTorch's `interpolate` without antialiasing: pixel i is taken at (i + 1/2) H / height - 1/2."""

    def source(i, scale):
        # PyTorch's CPU kernel rounds once, after a fused multiply-add.
        exact = (i.astype(np.float64) + 0.5) * np.float64(scale) - 0.5
        return np.maximum(exact, 0).astype(np.float32)

    return _bilinear(images, height, width, source)


def pillow_bicubic(images: jax.Array, height: int, width: int) -> jax.Array:
    """Resize as Pillow does float images, antialiased (a = -1/2); then clip, as clean-FID does: columns, then rows."""
    x = _float(images)
    for axis, size, out in ((2, images.shape[2], width), (1, images.shape[1], height)):
        if out != size:
            matrix = jnp.asarray(_bicubic_matrix(size, out))
            x = jnp.moveaxis(jnp.tensordot(x, matrix, (axis, 1), precision="highest"), -1, axis)
    return jnp.clip(x, 0, 255)


def _float(images: jax.Array) -> jax.Array:
    if images.ndim != 4 or images.dtype not in (jnp.uint8, jnp.float32):
        raise ValueError(
            f"images must be (B, H, W, C), uint8 or float32 in [0, 255], not {images.dtype} {images.shape}"
        )
    return jnp.asarray(images).astype(jnp.float32)


def _bilinear(images, height, width, source):
    x = _float(images)
    for axis, size, out in ((2, images.shape[2], width), (1, images.shape[1], height)):
        # In float32, as the peers do: a pixel that falls on its neighbour's edge must fall on the same side.
        at = source(np.arange(out, dtype=np.float32), np.float32(size / out))
        low = np.minimum(at.astype(np.int32), size - 1)
        high = np.minimum(low + 1, size - 1)
        share = (at - low.astype(np.float32)).reshape([-1 if i == axis else 1 for i in range(4)])
        first, second = jnp.take(x, low, axis), jnp.take(x, high, axis)
        x = first + (second - first) * share
    return x


@functools.lru_cache(maxsize=64)
def _bicubic_matrix(size: int, out: int) -> np.ndarray:
    """Return the weights (out, size), float32 from float64: cubic convolution stretched by the reduction, rows sum 1.

    A row sees the pixels whose centres round into its window, as Pillow counts them.
    """
    scale = size / out
    stretch = max(scale, 1.0)
    centre = (np.arange(out) + 0.5)[:, None] * scale
    pixel = np.arange(size)[None]
    first = np.maximum(np.trunc(centre - 2 * stretch + 0.5), 0)
    last = np.minimum(np.trunc(centre + 2 * stretch + 0.5), size)
    t = np.abs((pixel - centre + 0.5) / stretch)
    near = (1.5 * t - 2.5) * t * t + 1
    far = ((-0.5 * t + 2.5) * t - 4) * t + 2
    weights = np.where(t < 1, near, np.where(t < 2, far, 0.0)) * ((pixel >= first) & (pixel < last))
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)
