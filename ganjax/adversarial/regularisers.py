"""Regularisers, terms that are added to a side's loss in any recipe: penalties, LeCam, consistency.

`from_config` builds those of `config.penalty`. The recipe decides how D sees images for them, by its function `judge`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from ganjax.adversarial.image_keys import NEAR_D, NEAR_G, PENALTY, normal, penalty_keys, use
from ganjax.adversarial.players import DISCRIMINATOR, GENERATOR, Players
from ganjax.config.schedule import value_at
from ganjax.losses import penalties

GRADIENT = {
    "r1": penalties.r1,
    "r2": penalties.r2,
    "wgan_gp": penalties.wgan_gp,
    "wgan_gp_one_sided": penalties.wgan_gp_one_sided,
    "dragan": penalties.dragan,
}
Weight = float | ConfigDict  # a number, or a schedule of `config.schedule`; 0 turns a regulariser off


class Regulariser(NamedTuple):
    """A term of one side's objective, in each update or, with `every` > 1, in a separate update after every `every`.

    value:   (players, part, fakes of the game) -> (scalar, terms to log); None if it only has a state.
    weight:  a number, or a schedule.
    every:   must be equal for all lazy regularisers of a side; their update is scaled by it, the optimiser corrected.
    init:    () -> its state, `State.extra[name]`. advance: (state, terms, images seen) -> state, after each update.
    per_image: whether it penalises each image's own gradient, which is invalid if batch norm mixes images of a batch.
    """

    name: str
    side: str
    value: Callable | None = None
    weight: Weight = 1.0
    every: int = 1
    init: Callable | None = None
    advance: Callable | None = None
    per_image: bool = False


def from_config(
    config: ConfigDict, judge: Callable, transform: Callable, generate: Callable
) -> tuple[Regulariser, ...]:
    """Return the regularisers of `config.penalty` for a generator of latents.

    judge: (players, part, augmented) -> (images -> logits (B,)). transform: (keys, images) -> images, for consistency.
    generate: (players, part, z) -> G's output, with the draws of the part.
    """
    weights = config.penalty
    regularisers = [gradient_penalty(name, weights[name], weights.every, judge) for name in GRADIENT if weights[name]]
    if weights.lecam:
        regularisers.append(lecam(weights.lecam, weights.lecam_decay, weights.lecam_start_images, judge))
    if weights.cr:
        regularisers.append(on_logits("cr", weights.cr, penalties.consistency(transform), judge))
    if weights.bcr:
        regularisers.append(on_logits("bcr", weights.bcr, penalties.consistency(transform, of_fake=True), judge))
    if weights.zcr_d:
        regularisers.append(latent_consistency(weights.zcr_d, weights.zcr_std, judge, generate))
    if weights.zcr_g:
        regularisers.append(latent_diversity(weights.zcr_g, weights.zcr_std))
    if weights.orthogonal:
        regularisers.append(orthogonal(weights.orthogonal))
    if weights.cdc:
        regularisers.append(correspondence(weights.cdc))
    if adapts(config):
        regularisers.append(adaptive_augmentation(config.ada, config.batch_size))
    return tuple(regularisers)


def gradient_penalty(name: str, weight: Weight, every: int, judge: Callable) -> Regulariser:
    """Return a penalty of GRADIENT on D's logits, with the augmentation that D sees in training."""

    def value(players: Players, part: dict, fakes: Any) -> tuple[jax.Array, dict]:
        keys = penalty_keys(use(part["keys"], PENALTY), name)
        d_fn = judge(players, part, augmented=True)
        return GRADIENT[name](d_fn, part["image"], fakes.image, keys), {}

    return Regulariser(name, DISCRIMINATOR, value, weight, every, per_image=True)


def on_logits(name: str, weight: Weight, penalty: Callable, judge: Callable) -> Regulariser:
    """Return a penalty of `losses.penalties` on D's logits, without augmentation."""

    def value(players: Players, part: dict, fakes: Any) -> tuple[jax.Array, dict]:
        keys = penalty_keys(use(part["keys"], PENALTY), name)
        return penalty(judge(players, part, augmented=False), part["image"], fakes.image, keys), {}

    return Regulariser(name, DISCRIMINATOR, value, weight)


def lecam(weight: Weight, decay: float, start_images: int, judge: Callable) -> Regulariser:
    """Return LeCam's regulariser (Tseng et al. 2021, arXiv 2104.03310), which is 0 before `start_images`.

    Its state (3,) are sums that decay by `decay`: of the mean logits of real and of generated images, and of 1.
    """

    def value(players: Players, part: dict, fakes: Any) -> tuple[jax.Array, dict]:
        sums = players.extra["lecam"]
        started = (players.images >= start_images) & (sums[2] > 0)
        means = sums[:2] / jnp.maximum(sums[2], 1e-8)
        penalty = penalties.lecam(*means)(
            judge(players, part, augmented=False), part["image"], fakes.image, part["keys"]
        )
        return jnp.where(started, value_at(weight, players.images), 0) * penalty, {}

    def advance(sums: jax.Array, terms: dict, images: jax.Array) -> jax.Array:
        now = jnp.stack([terms["d_real"], terms["d_fake"], jnp.ones_like(terms["d_real"])])
        return (decay * sums + (1 - decay) * now).astype(sums.dtype)

    return Regulariser("lecam", DISCRIMINATOR, value, init=lambda: jnp.zeros(3), advance=advance)


def latent_consistency(weight: Weight, std: float, judge: Callable, generate: Callable) -> Regulariser:
    """Return zCR's term of D: logits of images from nearby latents, all else equal, should be close."""

    def value(players: Players, part: dict, fakes: Any) -> tuple[jax.Array, dict]:
        z = near(part["z"], use(part["keys"], NEAR_D), std)
        penalty = penalties.latent_consistency(generate(players, part, z).image)
        return penalty(judge(players, part, augmented=False), part["image"], fakes.image, part["keys"]), {}

    return Regulariser("zcr", DISCRIMINATOR, value, weight)


def latent_diversity(weight: Weight, std: float) -> Regulariser:
    """Return zCR's term of G: images from nearby latents should differ."""

    def value(players: Players, part: dict, fakes: Any) -> tuple[jax.Array, dict]:
        latents = part["z"], near(part["z"], use(part["keys"], NEAR_G), std)
        return penalties.latent_diversity(*(players["generator"](z, part["label"]).image for z in latents)), {}

    return Regulariser("zcr_g", GENERATOR, value, weight)


def orthogonal(weight: Weight) -> Regulariser:
    """Return the orthogonal regularisation of the generator's kernels (Brock et al. 2019, arXiv 1809.11096, eq. 3)."""

    def value(players: Players, part: dict, fakes: Any) -> tuple[jax.Array, dict]:
        return penalties.orthogonal(players.params("generator")), {}

    return Regulariser("orthogonal", GENERATOR, value, weight)


def correspondence(weight: Weight) -> Regulariser:
    """Return CDC's term of G: its images should be as alike as those of the generator that it started from.

    `State.frozen["source"]` holds the variables of that generator.
    """

    def value(players: Players, part: dict, fakes: Any) -> tuple[jax.Array, dict]:
        arguments = part["z"], part["label"]
        own, source = players.layers(GENERATOR), players.layers(GENERATOR, players.constants["source"])
        return penalties.correspondence(own(*arguments), source(*arguments)), {}

    return Regulariser("cdc", GENERATOR, value, weight)


def adapts(config: ConfigDict) -> bool:
    """Return whether the probability of ADA follows D's sign."""
    return bool(config.ada.policy and config.ada.target)


def adaptive_augmentation(ada: ConfigDict, batch_size: int) -> Regulariser:
    """Return ADA's controller (Karras et al. 2020, arXiv 2006.06676, section 3): its state is the probability p.

    After each update of D, p rises if the mean sign of D's logits on real images is above the target, else it falls, by
    so much that it takes `ada.images` images from 0 to 1. It stays in [0, ada.most].
    """

    def advance(p: jax.Array, terms: dict, images: jax.Array) -> jax.Array:
        step = jnp.sign(terms["d_sign"] - ada.target) * (batch_size / ada.images)
        return jnp.clip(p + step, 0, ada.most).astype(p.dtype)

    return Regulariser("ada", DISCRIMINATOR, init=lambda: jnp.asarray(ada.p, jnp.float32), advance=advance)


def ada_p(config: ConfigDict, players: Players) -> jax.Array | float:
    """Return the present probability of ADA's operations."""
    return players.extra["ada"] if adapts(config) else value_at(config.ada.p, players.images)


def near(z: jax.Array, keys: jax.Array, std: float) -> jax.Array:
    """Return latents near z (B, D), each shifted by N(0, std^2) noise drawn with its own key."""
    return z + std * normal(keys, z)
