"""Normalisation of images (B, H, W, C) without parameters."""

import jax
import jax.numpy as jnp


def instance_norm(x: jax.Array, epsilon: float = 1e-5) -> jax.Array:
    """Give every channel of every image mean 0 and variance 1 over its pixels (Ulyanov et al. 2016, arXiv 1607.08022).

    The statistics are float32 at least; the result has x's dtype.
    """
    return normalised(x, *moments(x), epsilon)


def moments(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return mean and variance (B, 1, 1, C) of every channel of every image, float32 at least."""
    y = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    mean = jnp.mean(y, (1, 2), keepdims=True)
    return mean, jnp.mean((y - mean) ** 2, (1, 2), keepdims=True)


def normalised(x: jax.Array, mean: jax.Array, variance: jax.Array, epsilon: float = 1e-5) -> jax.Array:
    """Return (x - mean) / sqrt(variance + epsilon), computed as they are, in x's dtype."""
    return ((x.astype(mean.dtype) - mean) * jax.lax.rsqrt(variance + epsilon)).astype(x.dtype)


def pixel_norm(x: jax.Array, epsilon: float = 1e-8) -> jax.Array:
    """Divide the vector of channels (the last axis) by the root of its mean square: Karras et al. 2018 (arXiv
    1710.10196), section 4.2. Statistics in float32 at least; the result has x's dtype.
    """
    y = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return (y * jax.lax.rsqrt(jnp.mean(y**2, -1, keepdims=True) + epsilon)).astype(x.dtype)
