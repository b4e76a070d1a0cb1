"""Adversarial losses: logits -> scalar.

One signature for all: `d_loss(real_logits, fake_logits)` and `g_loss(real_logits, fake_logits)`, logits (B,) or
(B, ...) of any float dtype, the result a float32 scalar, or wider (a mean over everything). A loss that needs no real
logits ignores them.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax


class Loss(NamedTuple):
    d: Callable
    g: Callable


def _mean(x: jax.Array) -> jax.Array:
    return jnp.mean(x, dtype=jnp.promote_types(x.dtype, jnp.float32))


def non_saturating(label_smoothing: float = 0.0) -> Loss:
    """Goodfellow et al. 2014 (arXiv 1406.2661), section 3, with the non-saturating generator loss.

    D: E softplus(-D(x)) + E softplus(D(G(z)));  G: E softplus(-D(G(z))). Equal to binary cross-entropy on logits.
    `label_smoothing` = s sets the target of real images to 1 - s, one-sided (Salimans et al. 2016, section 3.4).
    """

    def d_loss(real_logits, fake_logits):
        real = optax.sigmoid_binary_cross_entropy(real_logits, jnp.full_like(real_logits, 1 - label_smoothing))
        return _mean(real) + _mean(jax.nn.softplus(fake_logits))

    def g_loss(real_logits, fake_logits):
        del real_logits
        return _mean(jax.nn.softplus(-fake_logits))

    return Loss(d_loss, g_loss)
