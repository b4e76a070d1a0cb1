"""The three resizing methods of the tools for FID, which give different FIDs (Parmar et al. 2022, arXiv 2104.11222).

Each function takes images (B, H, W, C), uint8 or float32 in [0, 255], and returns float32 (B, height, width, C) in
[0, 255], not rounded. All are pure, and can be jitted with `height` and `width` static.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np


def tf1_bilinear(images: jax.Array, height: int, width: int) -> jax.Array:
    """Resize as TensorFlow 1: pixel i is interpolated at i H / height, between two neighbours; no antialiasing.

    Outside `jit` the result equals torch-fidelity's to the bit; inside, where multiply and add are fused, to 5e-5.
    """
    return _bilinear(images, height, width, lambda i, scale: i * scale)


def torch_bilinear(images: jax.Array, height: int, width: int) -> jax.Array:
    """Resize as PyTorch's `interpolate`: pixel i is interpolated at (i + 1/2) H / height - 1/2; no antialiasing."""

    def source(i, scale):
        # PyTorch's CPU kernel rounds once, after a fused multiply-add.
        exact = (i.astype(np.float64) + 0.5) * np.float64(scale) - 0.5
        return np.maximum(exact, 0).astype(np.float32)

    return _bilinear(images, height, width, source)


def pillow_bicubic(images: jax.Array, height: int, width: int) -> jax.Array:
    """Resize as Pillow resizes float images, bicubic (a = -1/2) and antialiased, first the width; clip as clean-FID."""
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
        # In float32, as in the peers: positions on the border between two pixels must fall on the same side.
        positions = source(np.arange(out, dtype=np.float32), np.float32(size / out))
        low = np.minimum(positions.astype(np.int32), size - 1)
        high = np.minimum(low + 1, size - 1)
        share = (positions - low.astype(np.float32)).reshape([-1 if i == axis else 1 for i in range(4)])
        first, second = jnp.take(x, low, axis), jnp.take(x, high, axis)
        x = first + (second - first) * share
    return x


@functools.lru_cache(maxsize=64)
def _bicubic_matrix(size: int, out: int) -> np.ndarray:
    """Return float32 weights (out, size), computed in float64: cubic convolution, stretched by the reduction factor.

    Rows sum to 1. A row covers the pixels whose centres round into its window, as in Pillow.
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
