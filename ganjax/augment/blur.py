"""Gaussian blur with a standard deviation that may change while a compiled program runs."""

import jax
import jax.numpy as jnp
import numpy as np

from ganjax.ops import resample

RADIUS = 6  # pixels: three deviations of the widest blur, 2


def blur(images: jax.Array, sigma: float | jax.Array) -> jax.Array:
    """Return images (B, H, W, C) blurred by a Gaussian of `sigma` pixels, at most 2; borders are repeated.

    sigma: a scalar, traced or not. With 0 the images stay as they are, to the bit.
    """
    offsets = np.arange(-RADIUS, RADIUS + 1)
    wide = jnp.maximum(jnp.asarray(sigma, images.dtype), 1e-3)
    taps = jax.nn.softmax(-(offsets**2) / (2 * wide**2)).astype(images.dtype)
    for axis in (1, 2):
        margin = [(RADIUS, RADIUS) if i == axis else (0, 0) for i in (1, 2)]
        padded, size = resample.pad(images, margin, "edge"), images.shape[axis]
        views = [jax.lax.slice_in_dim(padded, i, i + size, axis=axis) for i in range(len(offsets))]
        images = sum(tap * view for tap, view in zip(taps, views, strict=True))
    return images
