"""Penalties on the slope of a discriminator with respect to its images.

One signature for all: `penalty(d_fn, real, fake, key)` -> float32 scalar, or wider, without its weight. `d_fn` maps
images (B, H, W, C) to logits (B,); `key` is for those that draw. What is penalised is each image's own gradient, so
`d_fn` must not mix images: no batch norm with the batch's statistics.

Their gradient with respect to the parameters is reverse over reverse mode. The other exact route, that of a directional
derivative, grad_theta phi(|g|) = grad_theta jvp(D(.; theta), x, v) with v = stop_gradient(phi'(|g|) g / |g|), needs one
more convolution for each layer and was slower (`benchmarks/penalties.py`).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def squared_norms(d_fn: Callable, images: jax.Array) -> jax.Array:
    """Return |grad_x D(x)|^2 (B,) of each image, summed in float32 or wider."""
    gradient = jax.grad(lambda images: jnp.sum(d_fn(images)))(images)
    wide = gradient.astype(jnp.promote_types(gradient.dtype, jnp.float32))
    return jnp.sum(wide**2, tuple(range(1, wide.ndim)))


def r1(d_fn: Callable, real: jax.Array, fake: jax.Array, key: jax.Array) -> jax.Array:
    """1/2 E |grad D(x)|^2 on real images: Mescheder et al. 2018 (arXiv 1801.04406), eq. 9, without gamma."""
    del fake, key
    return 0.5 * jnp.mean(squared_norms(d_fn, real))


def r2(d_fn: Callable, real: jax.Array, fake: jax.Array, key: jax.Array) -> jax.Array:
    """1/2 E |grad D(x)|^2 on generated images: Mescheder et al. 2018, eq. 10, without gamma."""
    del real, key
    return 0.5 * jnp.mean(squared_norms(d_fn, fake))


def wgan_gp(d_fn: Callable, real: jax.Array, fake: jax.Array, key: jax.Array) -> jax.Array:
    """E (|grad D(x)| - 1)^2 at x = fake + u (real - fake), u ~ U(0, 1) for each pair: Gulrajani et al. 2017 (arXiv
    1704.00028), eq. 3, without lambda. Where the gradient is 0 its norm has no derivative: 0 is taken.
    """
    square = squared_norms(d_fn, between(real, fake, key))
    norm = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
    return jnp.mean((norm - 1) ** 2)


def between(real: jax.Array, fake: jax.Array, key: jax.Array) -> jax.Array:
    """Return one uniform point on the line from each fake image to its real one."""
    share = jax.random.uniform(key, (len(real),) + (1,) * (real.ndim - 1), real.dtype)
    return fake + share * (real - fake)
