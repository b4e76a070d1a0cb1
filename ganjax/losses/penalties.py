"""Penalties that are added to a discriminator's adversarial loss.

All have one signature: `penalty(d_fn, real, fake, key)` returns a scalar, in float32 or wider, without its weight.
`d_fn` maps images (B, H, W, C) to logits (B,). `key` is one random key, or one for each image (B,): then the random
numbers of an image do not depend on its batch. Most penalties use the gradient with respect to each image, so `d_fn`
must not mix images: no batch norm with batch statistics. A penalty with further inputs is returned by a function that
takes them.

Gradients with respect to the parameters are reverse over reverse mode. The other exact route, by a directional
derivative, grad_theta phi(|g|) = grad_theta jvp(D(.; theta), x, v) with v = stop_gradient(phi'(|g|) g / |g|), needs one
more convolution for each layer and was slower (`benchmarks/penalties.py`).
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np


def squared_norms(d_fn: Callable, images: jax.Array) -> jax.Array:
    """Return |grad_x D(x)|^2 (B,) of each image, summed in float32 or wider."""
    gradient = jax.grad(lambda images: jnp.sum(d_fn(images)))(images)
    wide = _wide(gradient)
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
    1704.00028), eq. 3, without lambda. Where the gradient is 0, its norm has no derivative, and 0 is used.
    """
    return jnp.mean((_norms(d_fn, between(real, fake, key)) - 1) ** 2)


def wgan_gp_per_pixel(d_fn: Callable, real: jax.Array, fake: jax.Array, key: jax.Array) -> jax.Array:
    """As `wgan_gp`, with the mean over pixels of (|g| - 1)^2, g the gradient (C,) of the sum of D's logits with respect
    to a pixel: SinGAN's (Shaham et al. 2019, arXiv 1905.01164), in the authors' code. `d_fn` may return maps.
    """
    gradient = _wide(jax.grad(lambda images: jnp.sum(d_fn(images)))(between(real, fake, key)))
    return jnp.mean((_root(jnp.sum(gradient**2, -1)) - 1) ** 2)


def path_lengths(synthesise: Callable, ws: jax.Array, noise: jax.Array) -> jax.Array:
    """Return |J^T y| (B,), J = d image / d w at ws (B, L, D), y the noise: the path lengths of Karras et al. 2020
    (arXiv 1912.04958, eq. 4), for layers of different w the root mean square over them.

    synthesise: ws -> images (B, H, W, C). noise: (B, H, W, C), from N(0, 1 / (H W)).
    """
    gradient = jax.grad(lambda ws: jnp.sum(_wide(synthesise(ws) * noise)))(ws)
    return _root(jnp.mean(jnp.sum(_wide(gradient) ** 2, 2), 1))


def wgan_gp_one_sided(d_fn: Callable, real: jax.Array, fake: jax.Array, key: jax.Array) -> jax.Array:
    """E relu(|grad D(x)| - 1)^2 at the points of `wgan_gp`: WGAN-LP, Petzka et al. 2018 (arXiv 1709.08894), eq. 8."""
    return jnp.mean(jax.nn.relu(_norms(d_fn, between(real, fake, key)) - 1) ** 2)


def dragan(d_fn: Callable, real: jax.Array, fake: jax.Array, key: jax.Array) -> jax.Array:
    """E (|grad D(x + u s v)| - 1)^2 around real images x: Kodali et al. 2017 (arXiv 1705.07215), algorithm 1.

    u and each value of v ~ U(0, 1), as in the authors' code; s is half the standard deviation of the image's values (of
    the batch's in their code).
    """
    del fake
    shares = _uniform(key, real, 1 + real[0].size)
    spread = 0.5 * jnp.std(real, axis=tuple(range(1, real.ndim)), keepdims=True)
    shift = shares[:, 1:].reshape(real.shape) * spread
    share = shares[:, 0].reshape(-1, *(1,) * (real.ndim - 1))
    return jnp.mean((_norms(d_fn, real + share * shift) - 1) ** 2)


def lecam(mean_real: jax.Array, mean_fake: jax.Array) -> Callable:
    """Return the penalty E relu(D(x) - mean_fake)^2 + E relu(mean_real - D(G(z)))^2.

    mean_real, mean_fake: moving averages of the logits. Tseng et al. 2021 (arXiv 2104.03310), eq. 7; one-sided, as in
    the authors' code.
    """

    def penalty(d_fn, real, fake, key):
        del key
        above = jax.nn.relu(_wide(d_fn(real)) - mean_fake)
        below = jax.nn.relu(mean_real - _wide(d_fn(fake)))
        return jnp.mean(above**2) + jnp.mean(below**2)

    return penalty


def consistency(transform: Callable, of_real: bool = True, of_fake: bool = False) -> Callable:
    """Return the penalty E (D(x) - D(T(x)))^2 on real images, CR (Zhang et al. 2020, arXiv 1910.12027, eq. 4), or on
    real and fake ones, bCR (Zhao et al. 2020, arXiv 2002.04724, eq. 1). `transform`: (key, images) -> images, T.
    """

    def penalty(d_fn, real, fake, key):
        batches = [images for images, is_used in ((real, of_real), (fake, of_fake)) if is_used]
        total = jnp.float32(0)
        for i, images in enumerate(batches):  # real and generated images are transformed independently
            batch_key = jax.vmap(jax.random.fold_in, (0, None))(key, i) if key.ndim else jax.random.fold_in(key, i)
            total += jnp.mean((_wide(d_fn(images)) - _wide(d_fn(transform(batch_key, images)))) ** 2)
        return total

    return penalty


def latent_consistency(near: jax.Array) -> Callable:
    """Return the penalty E (D(G(z)) - D(G(z + dz)))^2, D's part of zCR (Zhao et al. 2020, eq. 2). near: G(z + dz)."""

    def penalty(d_fn, real, fake, key):
        del real, key
        return jnp.mean((_wide(d_fn(fake)) - _wide(d_fn(near))) ** 2)

    return penalty


def latent_diversity(fake: jax.Array, near: jax.Array) -> jax.Array:
    """Return -E |G(z) - G(z + dz)|^2, averaged over values: G's part of zCR (Zhao et al. 2020, eq. 3)."""
    return -jnp.mean(_wide(fake - near) ** 2)


def orthogonal(params: dict) -> jax.Array:
    """Return the sum over kernels W (inputs, features) of |W^T W (1 - I)|_F^2: Brock et al. 2019 (arXiv 1809.11096),
    eq. 3, without beta. Biases, scales and embeddings (parameters under "embed") are excluded.
    """
    total = jnp.float32(0)
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        names = [part.key for part in path]
        if names[-1] != "kernel" or "embed" in names:
            continue
        matrix = _wide(leaf.reshape(-1, leaf.shape[-1]))
        gram = matrix.T @ matrix
        total += jnp.sum((gram * (1 - jnp.eye(len(gram), dtype=gram.dtype))) ** 2)
    return total


def between(real: jax.Array, fake: jax.Array, key: jax.Array) -> jax.Array:
    """Return a random point, uniform on the line from each fake image to the real one at the same index."""
    share = _uniform(key, real, 1).reshape(-1, *(1,) * (real.ndim - 1))
    return fake + share * (real - fake)


def _uniform(key: jax.Array, images: jax.Array, count: int) -> jax.Array:
    """Return U(0, 1) (B, count) in the images' dtype, each row from its own key."""
    keys = key if key.ndim else jax.random.split(key, len(images))
    return jax.vmap(lambda key: jax.random.uniform(key, (count,), images.dtype))(keys)


def _norms(d_fn: Callable, images: jax.Array) -> jax.Array:
    return _root(squared_norms(d_fn, images))


def _root(square: jax.Array) -> jax.Array:
    """Return the square root, whose derivative at 0 is 0."""
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)


def _wide(x: jax.Array) -> jax.Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def correspondence(features: Sequence[jax.Array], source: Sequence[jax.Array]) -> jax.Array:
    """Return the loss of cross-domain correspondence (Ojha et al. 2021, arXiv 2104.06820, equations 1 to 3), float32.

    features, source: of each layer (B, ...), by a generator and by the one that it started from, for the same latents.
    The cosines of an image's features with those of the others, through a softmax, should be distributed as the
    source's: the Kullback-Leibler divergence from the source's distribution, averaged over images and layers.
    """

    def log_shares(layer: jax.Array) -> jax.Array:
        flat = _wide(layer.reshape(len(layer), -1))
        unit = flat / jnp.sqrt(jnp.sum(flat * flat, 1, keepdims=True) + 1e-12)
        cosines = (unit @ unit.T)[~np.eye(len(layer), dtype=bool)].reshape(len(layer), -1)
        return jax.nn.log_softmax(cosines, 1)

    total = 0.0
    for of_g, of_source in zip(features, source, strict=True):
        ours, theirs = log_shares(of_g), jax.lax.stop_gradient(log_shares(of_source))
        total += jnp.mean(jnp.sum(jnp.exp(theirs) * (theirs - ours), 1))
    return total / len(features)
