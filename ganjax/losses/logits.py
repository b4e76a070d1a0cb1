"""Adversarial losses: logits -> scalar.

All have one signature: `d(real_logits, fake_logits)` and `g(real_logits, fake_logits)`, with logits (B,) or (B, ...) of
any float dtype, return a scalar, the mean over all logits, in float32 or wider. A loss that does not need the real
logits ignores them.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from ganjax.errors import UserError, nearest

# Losses of differences of logits, or with targets 0 and 1: a logit's sign does not separate real from generated.
UNSIGNED = ("wasserstein", "relativistic", "least_squares")
softplus = jax.nn.softplus


class Loss(NamedTuple):
    """d, g: the losses of D and G. paired: whether g needs the real logits, from the updated discriminator."""

    d: Callable
    g: Callable
    paired: bool = False


def _mean(x: jax.Array) -> jax.Array:
    return jnp.mean(x, dtype=jnp.promote_types(x.dtype, jnp.float32))


def _cross_entropy(real_logits, fake_logits, label_smoothing: float = 0.0) -> jax.Array:
    real = optax.sigmoid_binary_cross_entropy(real_logits, jnp.full_like(real_logits, 1 - label_smoothing))
    return _mean(real) + _mean(softplus(fake_logits))


def non_saturating(label_smoothing: float = 0.0) -> Loss:
    """Goodfellow et al. 2014 (arXiv 1406.2661), section 3, with the non-saturating generator loss.

    D: E softplus(-D(x)) + E softplus(D(G(z)));  G: E softplus(-D(G(z))). Equal to binary cross-entropy on logits.
    `label_smoothing` = s sets the target of real images to 1 - s, one-sided (Salimans et al. 2016, section 3.4).
    """
    return Loss(
        lambda real_logits, fake_logits: _cross_entropy(real_logits, fake_logits, label_smoothing),
        lambda real_logits, fake_logits: _mean(softplus(-fake_logits)),
    )


def saturating(label_smoothing: float = 0.0) -> Loss:
    """Goodfellow et al. 2014, eq. 1, the minimax loss: D as above; G: -E softplus(D(G(z))) = E log(1 - D(G(z)))."""
    return Loss(
        lambda real_logits, fake_logits: _cross_entropy(real_logits, fake_logits, label_smoothing),
        lambda real_logits, fake_logits: -_mean(softplus(fake_logits)),
    )


def least_squares() -> Loss:
    """Mao et al. 2017 (arXiv 1611.04076), eq. 9: D: E (D(x) - 1)^2 / 2 + E D(G(z))^2 / 2;  G: E (D(G(z)) - 1)^2 / 2."""
    return Loss(
        lambda real_logits, fake_logits: (_mean((real_logits - 1) ** 2) + _mean(fake_logits**2)) / 2,
        lambda real_logits, fake_logits: _mean((fake_logits - 1) ** 2) / 2,
    )


def hinge() -> Loss:
    """Lim & Ye 2017 (arXiv 1705.02894): D: E relu(1 - D(x)) + E relu(1 + D(G(z)));  G: -E D(G(z))."""
    relu = jax.nn.relu
    return Loss(
        lambda real_logits, fake_logits: _mean(relu(1 - real_logits)) + _mean(relu(1 + fake_logits)),
        lambda real_logits, fake_logits: -_mean(fake_logits),
    )


def wasserstein() -> Loss:
    """Arjovsky et al. 2017 (arXiv 1701.07875), eq. 3: D: E D(G(z)) - E D(x);  G: -E D(G(z)). It needs a penalty."""
    return Loss(
        lambda real_logits, fake_logits: _mean(fake_logits) - _mean(real_logits),
        lambda real_logits, fake_logits: -_mean(fake_logits),
    )


def relativistic() -> Loss:
    """RpGAN, relativistic pairing: Jolicoeur-Martineau 2018 (arXiv 1807.00734); Huang et al. 2024 (arXiv 2501.05441).

    D: E softplus(-(D(x) - D(G(z))));  G: E softplus(-(D(G(z)) - D(x))), over pairs of one real and one fake image.
    """
    return Loss(
        lambda real_logits, fake_logits: _mean(softplus(fake_logits - real_logits)),
        lambda real_logits, fake_logits: _mean(softplus(real_logits - fake_logits)),
        paired=True,
    )


KINDS = {
    "non_saturating": non_saturating,
    "saturating": saturating,
    "least_squares": least_squares,
    "hinge": hinge,
    "wasserstein": wasserstein,
    "relativistic": relativistic,
}
SMOOTHED = ("non_saturating", "saturating")  # kinds with targets that can be smoothed
# The factors of D's and G's loss in CycleGAN, pix2pix and CUT: D's loss is the mean, not the sum, over real and fake
# images, and G's least squares loss has no factor 1/2.
HALVED = {"least_squares": (1.0, 2.0), "hinge": (0.5, 1.0), "non_saturating": (0.5, 1.0)}


def adversarial(kind: str, label_smoothing: float = 0.0, halved: bool = False) -> Loss:
    """Return the loss `kind` (`config.loss.kind`) on the logits of `DOutput`: tuples, over whose scales it is summed.

    label_smoothing: for SMOOTHED kinds; the others ignore it. halved: multiply by the factors of HALVED, as image
    translators do; then only kinds of HALVED are allowed. Raises UserError if `kind` is not allowed.
    """
    kinds = HALVED if halved else KINDS
    if kind not in kinds:
        raise UserError(f"config.loss.kind = {kind!r} is none of {', '.join(kinds)}{nearest(kind, kinds)}")
    loss = KINDS[kind](label_smoothing) if kind in SMOOTHED else KINDS[kind]()
    d_factor, g_factor = HALVED[kind] if halved else (1, 1)

    def d(real_logits: tuple, fake_logits: tuple) -> jax.Array:
        return sum(d_factor * loss.d(*pair) for pair in zip(real_logits, fake_logits, strict=True))

    def g(real_logits: tuple, fake_logits: tuple) -> jax.Array:
        real_logits = real_logits if loss.paired else (None,) * len(fake_logits)
        return sum(g_factor * loss.g(*pair) for pair in zip(real_logits, fake_logits, strict=True))

    return Loss(d, g, loss.paired)


def class_loss(class_logits: jax.Array, labels: jax.Array, sizes: Sequence[int]) -> jax.Array:
    """Return the cross-entropy of AC-GAN's class head (Odena et al. 2017, arXiv 1610.09585), eq. 3: a float32 scalar.

    class_logits: (B, sum of sizes), one block for each of A attributes. labels: int32 (B, A); an unknown label, -1,
    adds 0 to the mean over images and attributes.
    """
    total, start = 0.0, 0
    wide = class_logits.astype(jnp.promote_types(class_logits.dtype, jnp.float32))
    for a, size in enumerate(sizes):
        logits, label = wide[:, start : start + size], labels[:, a]
        entropy = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(label, 0))
        total, start = total + jnp.where(label >= 0, entropy, 0), start + size
    return jnp.mean(total) / len(sizes)


def feature_matching(real_features: jax.Array, fake_features: jax.Array) -> jax.Array:
    """Return the mean over D's features f of (E f(x) - E f(G(z)))^2.

    Salimans et al. 2016 (arXiv 1606.03498), section 3.1.
    """
    means = (jnp.mean(f, 0, dtype=jnp.promote_types(f.dtype, jnp.float32)) for f in (real_features, fake_features))
    return jnp.mean(jnp.square(jnp.subtract(*means)))
