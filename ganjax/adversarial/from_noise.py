"""What recipes from noise share: one generator of latents and one discriminator, under the options of the config.

A recipe brings the two networks and the two losses. Every random draw of an image follows from a key of its own, so
that neither devices nor accumulation change it.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from ganjax.adversarial import alternate, regularisers
from ganjax.adversarial.alternate import Game, rms
from ganjax.adversarial.conditions import class_losses
from ganjax.adversarial.image_keys import AUGMENT, FAKE, LABEL, NOISE, PENALTY, REAL, dropout_key, normal, use
from ganjax.adversarial.players import DISCRIMINATOR, GENERATOR, Player, Players
from ganjax.augment import diffaugment
from ganjax.config.derived import dtypes, horizon
from ganjax.config.schedule import is_schedule, value_at
from ganjax.data import labels
from ganjax.errors import UserError
from ganjax.losses import logits as losses
from ganjax.ops.shard import along_batch
from ganjax.recipe import Method, Recipe
from ganjax.state import DOutput

NOTHING = DOutput((None,))


class Judge:
    """D's outputs on images as D is to see them, and what the config adds to both losses."""

    def __init__(self, config: ConfigDict):
        """Read the config's augmentation, noise and conditions. Raises UserError for those that cannot be."""
        check(config)
        self.config, self.horizon = config, max(horizon(config), 1)
        self.transform = diffaugment.policy(config.diffaugment)
        self.paired = losses.adversarial(config.loss.kind).paired or config.loss.feature_matching > 0

    def real(self, players: Players, part: dict) -> DOutput:
        """Return D's output on the real images of the part."""
        return self.output(players, part, part["image"], use(part["keys"], REAL))

    def fake(self, players: Players, part: dict, fakes: jax.Array) -> DOutput:
        """Return D's output on generated images (B, H, W, C)."""
        return self.output(players, part, fakes, use(part["keys"], FAKE))

    def real_if_paired(self, players: Players, part: dict) -> DOutput:
        """Return `real` where G's loss needs it (relativistic, feature matching), else an output of nothing."""
        return self.real(players, part) if self.paired else NOTHING

    def output(self, players: Players, part: dict, images: jax.Array, keys: jax.Array) -> DOutput:
        """Return D's output on images, after noise and augmentation by these keys (B,)."""
        view = self.view(images, keys, players.images)
        return players[DISCRIMINATOR](view, part["label"], rngs={"dropout": dropout_key(keys)})

    def view(self, images: jax.Array, keys: jax.Array, images_seen: jax.Array) -> jax.Array:
        """Return what D sees of images: under instance noise (Sonderby et al. 2017, arXiv 1610.04490), augmented."""
        noise = self.config.loss.instance_noise
        if noise:
            falls = 1.0 if is_schedule(noise) else jnp.maximum(1 - images_seen / self.horizon, 0)
            images = images + value_at(noise, images_seen) * falls * normal(use(keys, NOISE), images)
        return self.transform(use(keys, AUGMENT), images)

    def penalised(self, players: Players, part: dict, augmented: bool) -> Callable:
        """Return images -> logits (B,) for a penalty, which compares D's answers, or its slopes, not its noise: every
        call has the same augmentation, if any, and drops the same units.
        """
        keys = use(part["keys"], PENALTY)
        dropout = dropout_key(keys)

        def logits(images):
            if augmented:
                images = self.view(images, jax.random.clone(keys), players.images)
            rngs = {"dropout": jax.random.clone(dropout)}
            return players[DISCRIMINATOR](images, part["label"], rngs=rngs).logits[0]

        return logits

    def d_total(self, loss: jax.Array, real: DOutput, fake: DOutput, part: dict) -> tuple[jax.Array, dict]:
        """Return D's whole loss, with that of a class head, and what is logged."""
        terms, total = {"d_loss": loss, **logit_stats(real, fake)}, loss
        if real.classes is not None:
            terms["d_class_loss"] = class_losses(self.config, (real, fake), part["label"])
            total += self.config.condition.d_weight * terms["d_class_loss"]
        return total, terms

    def g_total(self, loss: jax.Array, real: DOutput, fake: DOutput, part: dict) -> tuple[jax.Array, dict]:
        """Return G's whole loss, with that of a class head and of D's features, and what is logged."""
        terms, total = {"g_loss": loss}, loss
        if fake.classes is not None:
            terms["g_class_loss"] = class_losses(self.config, (fake,), part["label"])
            total += self.config.condition.g_weight * terms["g_class_loss"]
        if self.config.loss.feature_matching:
            terms["g_features_loss"] = losses.feature_matching(real.features[-1], fake.features[-1])
            total += self.config.loss.feature_matching * terms["g_features_loss"]
        return total, terms


def logit_stats(real: DOutput, fake: DOutput) -> dict[str, jax.Array]:
    """Return what is logged of D's outputs: means, signs, of pairs too, and the size of its last features."""
    of_real, of_fake = real.logits[0], fake.logits[0]
    return {
        "d_real": jnp.mean(of_real),
        "d_fake": jnp.mean(of_fake),
        "d_sign": jnp.mean(jnp.sign(of_real)),
        "d_sign_fake": jnp.mean(jnp.sign(of_fake)),
        "d_pairs": jnp.mean(jnp.sign(of_real - of_fake)),
        "d_features": rms(real.features[-1]),
    }


def build(
    config: ConfigDict, generator: nn.Module, discriminator: nn.Module, judge: Judge, d_loss: Callable, g_loss: Callable
) -> Recipe:
    """Return the recipe of these networks and losses, with the regularisers of `config.penalty`."""
    dtype = dtypes(config.precision)[1]
    label_sets = labels.conditional_labels(config)
    consistent = judge.transform if config.diffaugment else diffaugment.shift_and_flip

    def latents(key: jax.Array, count: int) -> jax.Array:
        return along_batch(jax.random.normal(key, (count, config.model.z_dim), dtype))

    def starts(batch: dict) -> dict[str, tuple]:
        label = jnp.zeros((1, len(label_sets.sizes)), jnp.int32) if label_sets else None
        image = jnp.zeros((1, *batch["image"].shape[1:]), dtype)
        return {GENERATOR: (jnp.zeros((1, config.model.z_dim), dtype), label), DISCRIMINATOR: (image, label)}

    def part_of(batch: dict, i: int | jax.Array, key: jax.Array) -> dict[str, Any]:
        """Return the real images, labels, keys and latents of D's i-th update; G's, the last, has only latents new.

        Each takes every n-th image, so that each device keeps its own.
        """
        n, (z_key, keys_key) = config.d_steps, jax.random.split(key)
        own = jnp.minimum(i, n - 1)
        image, label = (x.reshape(-1, n, *x.shape[1:])[:, own] for x in (batch["image"], batch["label"]))
        keys = jax.random.split(jax.random.fold_in(keys_key, own), config.batch_size)
        label = shown_labels(label, keys) if label_sets else None
        z = latents(jax.random.fold_in(z_key, i), config.batch_size)
        return {"image": image, "label": label, "keys": keys, "z": z}

    def shown_labels(label: jax.Array, keys: jax.Array) -> jax.Array:
        shown = label_sets.attributes(label)
        if not config.condition.dropout:
            return shown
        hidden = jax.vmap(lambda key: jax.random.bernoulli(key, config.condition.dropout))(use(keys, LABEL))
        return jnp.where(hidden[:, None], -1, shown)

    def generate(players: Players, part: dict) -> jax.Array:
        return players[GENERATOR](part["z"], part["label"]).image

    def inputs(key: jax.Array, count: int, batch: dict | None = None) -> dict[str, jax.Array]:
        noise = {"z": latents(key, count)}
        return {**noise, "label": label_sets.draw(jax.random.fold_in(key, LABEL), count)} if label_sets else noise

    def sample(variables: dict, key: jax.Array, inputs: dict) -> dict[str, jax.Array]:
        return {"image": generator.apply(variables[GENERATOR], inputs["z"], inputs.get("label"), train=False).image}

    players = {
        GENERATOR: Player(generator, GENERATOR, averaged=True),
        DISCRIMINATOR: Player(discriminator, DISCRIMINATOR),
    }
    penalties = regularisers.from_config(config, judge.penalised, consistent)
    game = Game(players, starts, part_of, generate, d_loss, g_loss, penalties)
    return alternate.build(config, game, {"sample": Method((GENERATOR,), inputs, sample)})


def check(config: ConfigDict) -> None:
    """Raise UserError for what of the config cannot be right, naming the key and the way out."""
    if config.loss.label_smoothing and config.loss.kind not in losses.SMOOTHED:
        raise UserError(
            f"config.loss.label_smoothing: the loss {config.loss.kind!r} has no targets to smooth; set it to 0"
        )
    if config.accumulate > 1 and config.model.discriminator.get("dropout"):
        raise UserError("config.accumulate: dropout draws for a whole batch; set model.discriminator.dropout to 0")
    if config.accumulate > 1 and config.loss.feature_matching:
        raise UserError("config.accumulate: feature_matching needs the means of the whole batch; set one of them off")
    try:
        diffaugment.policy(config.diffaugment)
    except ValueError as error:
        raise UserError(f"config.diffaugment: {error}") from error
