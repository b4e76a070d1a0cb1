"""One update of D and one of G, with the loss, penalties, augmentation and conditions of a config."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from ganjax.adversarial.image_keys import (
    AUGMENT,
    DRAWING,
    DROPOUT,
    FAKE,
    NEAR_D,
    NEAR_G,
    NOISE,
    PENALTY,
    POINT,
    REAL,
    normal,
    use,
)
from ganjax.augment import diffaugment
from ganjax.data import labels
from ganjax.losses import logits as losses
from ganjax.losses import penalties
from ganjax.state import TrainState

GRADIENT = {
    "r1": penalties.r1,
    "r2": penalties.r2,
    "wgan_gp": penalties.wgan_gp,
    "wgan_gp_one_sided": penalties.wgan_gp_one_sided,
    "dragan": penalties.dragan,
}


class Updates:
    """The updates of a config's two networks; pure, after `__init__`.

    A part is a dict of one update's images: "image", "z", "keys" (B,), "label" (B, attributes) or None; for D also
    "fake", and "near" (of near latents) where they are penalised. Terms are scalars that are logged.
    """

    def __init__(self, config, nets):
        self.config, self.nets, self.weights = config, nets, config.penalty
        loss = losses.KINDS[config.loss.kind]
        self.loss = loss(config.loss.label_smoothing) if config.loss.kind in losses.SMOOTHED else loss()
        self.acgan = config.condition.kind == "acgan"
        self.known = labels.of(config) if config.condition.kind != "none" else None
        self.gradient = {name: penalty for name, penalty in GRADIENT.items() if self.weights[name]}
        # Every so many updates of D, the gradient penalties are an update of their own; 0: part of each.
        self.lazy = self.weights.every if self.gradient and self.weights.every > 1 else 0
        self.transform = diffaugment.policy(config.diffaugment)
        self.consistent = self.transform if config.diffaugment else diffaugment.shift_and_flip

    def generate(self, params, mutable, z, label):
        """Return G's images (B, H, W, C) in [-1, 1] and its collections after them."""
        variables = {"params": params, **mutable}
        return self.nets.generator.apply(variables, z, label, train=True, mutable=list(mutable))

    def fakes(self, g: TrainState, part: dict) -> dict:
        """Return what D's update needs of G; no gradient goes through it."""
        return {"fake": self.generate(g.params, g.mutable, part["z"], part["label"])[0], **self.nears(g, part)}

    def nears(self, g: TrainState, part: dict) -> dict:
        if not self.weights.zcr_d:
            return {}
        z = near(part["z"], use(part["keys"], NEAR_D), self.weights.zcr_std)
        return {"near": self.generate(g.params, g.mutable, z, part["label"])[0]}

    def view(self, image, keys, noise_std):
        """Return what D sees of images: under instance noise (Sonderby et al. 2017, arXiv 1610.04490), augmented."""
        if self.config.loss.instance_noise:
            image = image + noise_std * normal(use(keys, NOISE), image)
        return self.transform(use(keys, AUGMENT), image)

    def judge(self, params, mutable, image, label, dropout):
        """Return D's (logits, features, class logits or None) and its collections after them; dropout: one key."""
        variables, rngs = {"params": params, **mutable}, {"dropout": dropout}
        out, moved = self.nets.discriminator.apply(
            variables, image, label, train=True, mutable=list(mutable), rngs=rngs
        )
        logits, features, *classes = out
        return (logits, features, classes[0] if classes else None), moved

    def d(self, d: TrainState, part: dict, noise_std, count, lecam, images_seen) -> tuple:
        """Return (D, LeCam's sums, terms) after one update, and the lazy penalties' own where `count` says so."""

        def gradients(part):
            found = jax.grad(self._d_objective, has_aux=True)(d.params, d.mutable, part, noise_std, lecam, images_seen)
            return found[0], *found[1]

        grads, mutable, terms = accumulated(gradients, part, self.config.accumulate)
        new = d.apply_gradients(grads=grads, mutable=mutable)
        terms["d_grad_norm"] = optax.tree.norm(grads)
        if self.lazy:
            own = lambda new: self._penalty_update(new, part, noise_std)  # noqa: E731
            none = {f"penalty_{name}": jnp.zeros((), terms["d_loss"].dtype) for name in self.gradient}
            new, logged = jax.lax.cond(count % self.lazy == 0, own, lambda new: (new, none), new)
            terms |= jax.tree.map(lambda value: self.lazy * value, logged)  # its mean over the updates is the penalty
        if self.weights.lecam:
            moved = jnp.stack([terms["d_real"], terms["d_fake"], jnp.ones_like(terms["d_real"])])
            decay = self.weights.lecam_decay
            lecam = (decay * lecam + (1 - decay) * moved).astype(lecam.dtype)
        return new, lecam, terms

    def _d_objective(self, params, mutable, part, noise_std, lecam, images_seen):
        # Real and fake pass apart: batch norm gives each statistics of its own.
        before, label = mutable, part["label"]
        real_keys, fake_keys = use(part["keys"], REAL), use(part["keys"], FAKE)
        image, fake_image = (
            self.view(part["image"], real_keys, noise_std),
            self.view(part["fake"], fake_keys, noise_std),
        )
        real, mutable = self.judge(params, mutable, image, label, dropout_key(real_keys))
        fake, mutable = self.judge(params, mutable, fake_image, label, dropout_key(fake_keys))
        terms = {"d_loss": self.loss.d(real[0], fake[0])}
        total = terms["d_loss"]
        if self.acgan:
            terms["d_class_loss"] = sum(losses.class_loss(out[2], label, self.known.sizes) for out in (real, fake)) / 2
            total += self.config.condition.d_weight * terms["d_class_loss"]
        extras = self._other_penalties(params, before, part, lecam, images_seen)
        if self.gradient and not self.lazy:
            extras |= self._gradient_penalties(params, before, part, noise_std)[1]
        terms |= extras | {
            "d_real": jnp.mean(real[0]),
            "d_fake": jnp.mean(fake[0]),
            "d_sign": jnp.mean(jnp.sign(real[0])),
            "d_sign_fake": jnp.mean(jnp.sign(fake[0])),
            "d_pairs": jnp.mean(jnp.sign(real[0] - fake[0])),
            "d_features": rms(real[1]),
        }
        return total + sum(extras.values()), (mutable, terms)

    def _logits(self, params, mutable, part) -> Callable:
        """Return images -> logits; D's collections stay, and every call drops the same units: a penalty compares D's
        answers, or its slopes, not its noise.
        """
        dropout = dropout_key(use(part["keys"], PENALTY))

        def logits(x):
            return self.judge(params, mutable, x, part["label"], jax.random.clone(dropout))[0][0]

        return logits

    def _gradient_penalties(self, params, mutable, part, noise_std):
        plain, keys = self._logits(params, mutable, part), use(part["keys"], PENALTY)

        def d_fn(x):  # each penalty is taken under the same augmentation
            return plain(self.view(x, jax.random.clone(keys), noise_std))

        terms = {
            f"penalty_{name}": self.weights[name] * penalty(d_fn, part["image"], part["fake"], points(keys, name))
            for name, penalty in self.gradient.items()
        }
        return sum(terms.values()), terms

    def _penalty_update(self, d: TrainState, part: dict, noise_std) -> tuple:
        def gradients(part):
            objective = jax.grad(self._gradient_penalties, has_aux=True)
            grads, terms = objective(d.params, d.mutable, part, noise_std)
            return grads, {}, terms

        grads, _, terms = accumulated(gradients, part, self.config.accumulate)
        return d.apply_gradients(grads=jax.tree.map(lambda g: self.lazy * g, grads)), terms

    def _other_penalties(self, params, mutable, part, lecam, images_seen) -> dict:
        weights, used = self.weights, {}
        if weights.lecam:
            started = (images_seen >= weights.lecam_start_images) & (lecam[2] > 0)
            means = lecam[:2] / jnp.maximum(lecam[2], 1e-8)
            used["lecam"] = jnp.where(started, weights.lecam, 0), penalties.lecam(*means)
        if weights.cr:
            used["cr"] = weights.cr, penalties.consistency(self.consistent)
        if weights.bcr:
            used["bcr"] = weights.bcr, penalties.consistency(self.consistent, of_fake=True)
        if weights.zcr_d:
            used["zcr"] = weights.zcr_d, penalties.latent_consistency(part["near"])
        d_fn, keys = self._logits(params, mutable, part), use(part["keys"], PENALTY)
        return {
            f"penalty_{name}": weight * penalty(d_fn, part["image"], part["fake"], points(keys, name))
            for name, (weight, penalty) in used.items()
        }

    def g(self, g: TrainState, d: TrainState, part: dict, noise_std, made=None) -> tuple:
        """Return (G, terms) after one update through D; `made`: jax.vjp of `generate` at this part, if it was taken."""

        def gradients(part):
            make = lambda params: self.generate(params, g.mutable, part["z"], part["label"])  # noqa: E731
            fake, pull_back, mutable = made or jax.vjp(make, g.params, has_aux=True)
            slope, terms = jax.grad(self._g_objective, has_aux=True)(fake, d, part, noise_std)
            (grads,) = pull_back(slope)
            if self.weights.zcr_g:
                terms["penalty_zcr_g"], more = jax.value_and_grad(self._latent_diversity)(g.params, g.mutable, part)
                grads = jax.tree.map(jnp.add, grads, more)
            return grads, mutable, terms

        grads, mutable, terms = accumulated(gradients, part, self.config.accumulate)
        if self.weights.orthogonal:
            penalty = lambda params: self.weights.orthogonal * penalties.orthogonal(params)  # noqa: E731
            terms["penalty_orthogonal"], more = jax.value_and_grad(penalty)(g.params)
            grads = jax.tree.map(jnp.add, grads, more)
        terms["g_grad_norm"] = optax.tree.norm(grads)
        return g.apply_gradients(grads=grads, mutable=mutable), terms

    def _g_objective(self, fake, d: TrainState, part, noise_std):
        config, label, real = self.config, part["label"], None
        real_keys, fake_keys = use(part["keys"], REAL), use(part["keys"], FAKE)
        if self.loss.paired or config.loss.feature_matching:
            image = self.view(part["image"], real_keys, noise_std)
            real, _ = self.judge(d.params, d.mutable, image, label, dropout_key(real_keys))
        image = self.view(fake, fake_keys, noise_std)
        out, _ = self.judge(d.params, d.mutable, image, label, dropout_key(fake_keys))
        terms = {"g_loss": self.loss.g(real[0] if real else None, out[0])}
        total = terms["g_loss"]
        if self.acgan:
            terms["g_class_loss"] = losses.class_loss(out[2], label, self.known.sizes)
            total += config.condition.g_weight * terms["g_class_loss"]
        if config.loss.feature_matching:
            terms["g_features_loss"] = losses.feature_matching(real[1], out[1])
            total += config.loss.feature_matching * terms["g_features_loss"]
        return total, terms

    def _latent_diversity(self, params, mutable, part):
        latents = part["z"], near(part["z"], use(part["keys"], NEAR_G), self.weights.zcr_std)
        images = [self.generate(params, mutable, z, part["label"])[0] for z in latents]
        return self.weights.zcr_g * penalties.latent_diversity(*images)


def near(z: jax.Array, keys: jax.Array, std: float) -> jax.Array:
    """Return latents near z (B, D), each moved by N(0, std^2) of its own key."""
    return z + std * normal(keys, z)


def points(keys: jax.Array, penalty: str) -> jax.Array:
    """Return the keys (B,) that a penalty draws by: no two penalties share one. Those that do not draw use none."""
    return use(keys, POINT + DRAWING.index(penalty)) if penalty in DRAWING else keys


def dropout_key(keys: jax.Array) -> jax.Array:
    """Return the one key of D's dropout over a batch of these keys."""
    return jax.random.fold_in(keys[0], DROPOUT)


def rms(tree: Any) -> jax.Array:
    """Return the root mean square of all values."""
    leaves = jax.tree.leaves(tree)
    wide = [leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32)) for leaf in leaves]
    return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in wide) / sum(leaf.size for leaf in leaves))


def accumulated(gradients: Callable, batch: dict, parts: int) -> tuple:
    """Return gradients(batch) -> (grads, mutable, terms), of `parts` parts in turn: means of grads and terms.

    The parts' collections are equal (spectral vectors follow from the weights alone), so the last part's are kept.
    """
    if parts == 1:
        return gradients(batch)

    def split(x):
        # To JAX's checker of keys a reshaped key is a used one; each pass folds its own uses from these.
        x = jax.random.clone(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x
        return jnp.moveaxis(x.reshape(len(x) // parts, parts, *x.shape[1:]), 1, 0)

    stacked = jax.tree.map(split, batch)
    first = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), stacked)
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(gradients, first))

    def body(carry, part):
        grads, mutable, terms = gradients(part)
        total = jax.tree.map(lambda a, b: a + b / parts, (carry[0], carry[2]), (grads, terms))
        return (total[0], mutable, total[1]), None

    return jax.lax.scan(body, zeros, stacked)[0]
