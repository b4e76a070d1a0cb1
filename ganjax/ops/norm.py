"""Normalisation of images (B, H, W, C) without parameters."""

import jax
import jax.numpy as jnp


def instance_norm(x: jax.Array, epsilon: float = 1e-5) -> jax.Array:
    """Normalise each channel of each image to mean 0 and variance 1 over its pixels (Ulyanov et al. 2016, arXiv
    1607.08022). The statistics are float32 at least; the result has x's dtype.
    """
    return normalised(x, *moments(x), epsilon)


def moments(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the mean and variance (B, 1, 1, C) of each channel of each image, in float32 or wider."""
    y = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    mean = jnp.mean(y, (1, 2), keepdims=True)
    return mean, jnp.mean((y - mean) ** 2, (1, 2), keepdims=True)


def normalised(x: jax.Array, mean: jax.Array, variance: jax.Array, epsilon: float = 1e-5) -> jax.Array:
    """Return (x - mean) / sqrt(variance + epsilon), computed in the mean's dtype, in x's dtype."""
    return ((x.astype(mean.dtype) - mean) * jax.lax.rsqrt(variance + epsilon)).astype(x.dtype)


def pixel_norm(x: jax.Array, epsilon: float = 1e-8) -> jax.Array:
    """Divide each pixel's channels (the last axis) by their root mean square: Karras et al. 2018 (arXiv 1710.10196),
    section 4.2. The statistics are float32 at least; the result has x's dtype.
    """
    y = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return (y * jax.lax.rsqrt(jnp.mean(y**2, -1, keepdims=True) + epsilon)).astype(x.dtype)
