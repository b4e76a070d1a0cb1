"""Common parts of recipes from noise: one generator of latents and one discriminator, with the options of the config.

A recipe provides the two networks and the two losses. All random draws of an image use that image's own key, so that
they depend neither on the number of devices nor on gradient accumulation.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from ganjax.adversarial import alternate, generating, regularisers
from ganjax.adversarial.alternate import Game, rms
from ganjax.adversarial.conditions import class_losses
from ganjax.adversarial.image_keys import (
    ADA,
    AUGMENT,
    FAKE,
    LABEL,
    LAYERS,
    NOISE,
    PAIR,
    PENALTY,
    REAL,
    SMALL,
    dropout_key,
    noise_key,
    normal,
    use,
)
from ganjax.adversarial.players import DISCRIMINATOR, GENERATOR, Player, Players
from ganjax.augment import ada, diffaugment
from ganjax.config.derived import dtypes, horizon
from ganjax.config.schedule import is_schedule, value_at
from ganjax.data import labels
from ganjax.errors import UserError
from ganjax.losses import logits as losses
from ganjax.ops.shard import along_batch
from ganjax.recipe import Recipe
from ganjax.state import DOutput, GOutput

NOTHING = DOutput((None,))


class Eyes(NamedTuple):
    """What stands between images and D: a frozen network, a second size.

    frozen: () -> {name: arrays}, the frozen weights on the host.
    see:    (these, images, images seen, small) -> the input of D. small: the generator's own images at its smaller
            size, as augmented as the images; None for real images, and for generators without a second size.
    """

    frozen: Callable = dict
    see: Callable = lambda constants, images, images_seen, small: images


class Fakes(NamedTuple):
    """Generated images (B, H, W, C), and what D sees of them: augmented, and through the eyes."""

    image: jax.Array
    view: Any


class Judge:
    """D's outputs on images with the config's noise and augmentation, and the terms that the config adds to losses."""

    def __init__(self, config: ConfigDict, eyes: Eyes = Eyes()):  # noqa: B008 - it is immutable
        """Read the config's augmentation, noise and condition. Raises UserError if they are invalid."""
        check(config)
        self.eyes = eyes
        self.config, self.horizon = config, max(horizon(config), 1)
        self.transform = diffaugment.policy(config.diffaugment)
        self.ada = ada.policy(config.ada.policy) if config.ada.policy else None
        self.paired = losses.adversarial(config.loss.kind).paired or config.loss.feature_matching > 0

    def real(self, players: Players, part: dict) -> DOutput:
        """Return D's output on the real images of the part."""
        keys = use(part["keys"], REAL)
        return self.output(players, part, self.see(players, part["image"], keys, self.draws(part, keys)), keys)

    def fake(self, players: Players, part: dict, fakes: Fakes) -> DOutput:
        """Return D's output on generated images, whose view both updates share."""
        return self.output(players, part, fakes.view, use(part["keys"], FAKE))

    def fakes(self, players: Players, part: dict, out: GOutput) -> Fakes:
        """Return the images of a generator with their view."""
        keys = use(part["keys"], FAKE)
        view = self.see(players, out.image, keys, self.draws(part, keys), out.aux.get("small"))
        return Fakes(out.image, view)

    def draws(self, part: dict, keys: jax.Array) -> jax.Array:
        """Return the keys (B,) of ADA: those of a real and a generated image, or one that the pair shares."""
        return jax.random.clone(use(part["keys"], PAIR) if self.config.ada.paired else keys)

    def real_if_paired(self, players: Players, part: dict) -> DOutput:
        """Return `real` if G's loss needs it (relativistic, feature matching), else an empty output."""
        return self.real(players, part) if self.paired else NOTHING

    def output(self, players: Players, part: dict, view: Any, keys: jax.Array, **inputs) -> DOutput:
        """Return D's output on a view. inputs: further arguments of D. keys (B,): of its dropout."""
        return players[DISCRIMINATOR](view, part["label"], rngs={"dropout": dropout_key(keys)}, **inputs)

    def see(
        self, players: Players, images: jax.Array, keys: jax.Array, draws: jax.Array, small: jax.Array | None = None
    ) -> Any:
        """Return what D sees of images, after noise and augmentation drawn with these keys (B,), ADA's with `draws`."""
        images = self.augmented(players, images, keys, draws)
        small = None if small is None else self.augmented(players, small, use(keys, SMALL), use(draws, SMALL))
        return self.eyes.see(players.constants, images, players.images, small)

    def augmented(self, players: Players, images: jax.Array, keys: jax.Array, draws: jax.Array) -> jax.Array:
        """Return images with instance noise (Sonderby et al. 2017, arXiv 1610.04490), and augmented, both drawn with
        these keys (B,), ADA with `draws`.
        """
        noise = self.config.loss.instance_noise
        if noise:
            decay = 1.0 if is_schedule(noise) else jnp.maximum(1 - players.images / self.horizon, 0)
            images = images + value_at(noise, players.images) * decay * normal(use(keys, NOISE), images)
        images = self.transform(use(keys, AUGMENT), images)
        return self.ada(use(draws, ADA), images, regularisers.ada_p(self.config, players)) if self.ada else images

    def penalty_logits(self, players: Players, part: dict, augmented: bool) -> Callable:
        """Return images -> logits (B,) for a penalty. Every call uses the same augmentation, if any, and the same
        dropout mask, so that a penalty compares D's logits or gradients, not its noise.
        """
        keys = use(part["keys"], PENALTY)
        dropout = dropout_key(keys)

        def logits(images):
            if augmented:
                images = self.augmented(players, images, *(jax.random.clone(keys) for _ in range(2)))
            rngs = {"dropout": jax.random.clone(dropout)}
            view = self.eyes.see(players.constants, images, players.images, None)
            return players[DISCRIMINATOR](view, part["label"], rngs=rngs).logits[0]

        return logits

    def d_total(self, loss: jax.Array, real: DOutput, fake: DOutput, part: dict) -> tuple[jax.Array, dict]:
        """Return D's total loss, including that of a class head, and the terms to log."""
        terms, total = {"d_loss": loss, **logit_stats(real, fake)}, loss
        if real.classes is not None:
            terms["d_class_loss"] = class_losses(self.config, (real, fake), part["label"])
            total += self.config.condition.d_weight * terms["d_class_loss"]
        return total, terms

    def g_total(self, loss: jax.Array, real: DOutput, fake: DOutput, part: dict) -> tuple[jax.Array, dict]:
        """Return G's total loss, including those of a class head and of feature matching, and the terms to log."""
        terms, total = {"g_loss": loss}, loss
        if fake.classes is not None:
            terms["g_class_loss"] = class_losses(self.config, (fake,), part["label"])
            total += self.config.condition.g_weight * terms["g_class_loss"]
        if self.config.loss.feature_matching:
            terms["g_features_loss"] = losses.feature_matching(real.features[-1], fake.features[-1])
            total += self.config.loss.feature_matching * terms["g_features_loss"]
        return total, terms


def logit_stats(real: DOutput, fake: DOutput) -> dict[str, jax.Array]:
    """Return the terms to log of D's outputs: means and signs of its logits, also of the differences of real and fake
    ones, and the RMS of its last features.
    """
    real_logits, fake_logits = real.logits[0], fake.logits[0]
    return {
        "d_real": jnp.mean(real_logits),
        "d_fake": jnp.mean(fake_logits),
        "d_sign": jnp.mean(jnp.sign(real_logits)),
        "d_sign_fake": jnp.mean(jnp.sign(fake_logits)),
        "d_pairs": jnp.mean(jnp.sign(real_logits - fake_logits)),
        "d_features": rms(real.features[-1]),
    }


def build(
    config: ConfigDict,
    generator: nn.Module,
    discriminator: nn.Module,
    judge: Judge,
    d_loss: Callable,
    g_loss: Callable,
    own_reals: bool = False,
    styled: bool = False,
    further: tuple[regularisers.Regulariser, ...] = (),
    constrain: Callable | None = None,
) -> Recipe:
    """Return the recipe of these networks and losses, with the regularisers of `config.penalty`.

    own_reals: whether G's update has real images and keys of its own, as `Game.own_reals`. styled: whether G takes the
    argument `keys`, one for each image, and has the methods `map` and `synthesize`. further: regularisers of the
    recipe's own. constrain: of both networks, as `Player.constrain`.
    """
    dtype = dtypes(config.precision)[1]
    label_sets = labels.conditional_labels(config)
    transform = judge.transform if config.diffaugment else diffaugment.shift_and_flip

    def latents(key: jax.Array, count: int) -> jax.Array:
        return along_batch(generating.LATENTS[config.latent](key, (count, config.model.z_dim), dtype))

    def starts(batch: dict) -> dict[str, tuple]:
        label = jnp.zeros((1, len(label_sets.sizes)), jnp.int32) if label_sets else None
        image = jnp.zeros((1, *batch["image"].shape[1:]), dtype)
        view = jax.eval_shape(judge.eyes.see, judge.eyes.frozen(), image, jnp.zeros((), jnp.int32), None)
        image = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), view)
        return {GENERATOR: (jnp.zeros((1, config.model.z_dim), dtype), label), DISCRIMINATOR: (image, label)}

    def part_of(batch: dict, i: int | jax.Array, key: jax.Array) -> dict[str, Any]:
        """Return the real images, labels, keys and latents of D's i-th update. G's update, the last, has new latents,
        and all else of D's last update, unless it has its own.

        Update i takes every n-th image from the i-th on, so that each device keeps its own images.
        """
        n, (z_key, keys_key) = config.d_steps + own_reals, jax.random.split(key)
        index = jnp.minimum(i, n - 1)
        image, label = (x.reshape(-1, n, *x.shape[1:])[:, index] for x in (batch["image"], batch["label"]))
        keys = jax.random.split(jax.random.fold_in(keys_key, index), config.batch_size)
        label = with_dropout(label_sets.attributes(label), keys, config.condition.dropout) if label_sets else None
        z = latents(jax.random.fold_in(z_key, i), config.batch_size)
        return {"image": image, "label": label, "keys": keys, "z": z}

    def images_of(players: Players, part: dict, z: jax.Array) -> GOutput:
        keys = jax.random.clone(part["keys"])  # the same draws for each z
        draws = {"keys": use(keys, LAYERS)} if styled else {"rngs": {"noise": noise_key(keys)}}
        return players[GENERATOR](z, part["label"], **draws)

    def generate(players: Players, part: dict) -> Fakes:
        return judge.fakes(players, part, images_of(players, part, part["z"]))

    def d_loss_and_p(players: Players, part: dict, fakes: Fakes) -> tuple[jax.Array, dict]:
        total, terms = d_loss(players, part, fakes)
        return total, terms | {"ada_p": jnp.asarray(regularisers.ada_p(config, players), jnp.float32)}

    players = {
        GENERATOR: Player(generator, GENERATOR, True, constrain),
        DISCRIMINATOR: Player(discriminator, DISCRIMINATOR, constrain=constrain),
    }
    penalties = regularisers.from_config(config, judge.penalty_logits, transform, images_of) + further
    eyes, d_loss_logged = judge.eyes.frozen, d_loss_and_p if judge.ada else d_loss
    game = Game(players, starts, part_of, generate, d_loss_logged, g_loss, penalties, frozen=eyes, own_reals=own_reals)
    return alternate.build(config, game, generating.methods(config, generator, latents, label_sets, styled))


def with_dropout(attributes: jax.Array, keys: jax.Array, chance: float) -> jax.Array:
    """Return attributes int32 (B, A), of some images, drawn with their keys (B,), all unknown: -1."""
    if not chance:
        return attributes
    drop = jax.vmap(lambda key: jax.random.bernoulli(key, chance))(use(keys, LABEL))
    return jnp.where(drop[:, None], -1, attributes)


def check(config: ConfigDict) -> None:
    """Raise UserError, which names the key and the way out, if options of the config contradict each other."""
    if config.loss.label_smoothing and config.loss.kind not in losses.SMOOTHED:
        raise UserError(
            f"config.loss.label_smoothing: the loss {config.loss.kind!r} has no targets to smooth; set it to 0"
        )
    if config.accumulate > 1 and config.model.get("discriminator", {}).get("dropout"):
        raise UserError("config.accumulate: dropout draws for a whole batch; set model.discriminator.dropout to 0")
    if config.accumulate > 1 and config.penalty.get("cdc"):
        raise UserError("config.accumulate: penalty.cdc compares the images of the whole batch; turn one of them off")
    if config.accumulate > 1 and config.penalty.get("path_length"):
        raise UserError("config.accumulate: path_length needs the mean of the whole batch; turn one of them off")
    if config.accumulate > 1 and config.loss.feature_matching:
        raise UserError("config.accumulate: feature_matching needs the means of the whole batch; turn one of them off")
    for name, text, policy in (
        ("diffaugment", config.diffaugment, diffaugment.policy),
        ("ada.policy", config.ada.policy, ada.policy),
    ):
        try:
            policy(text)
        except ValueError as error:
            raise UserError(f"config.{name}: {error}") from error
    if config.ada.policy and config.ada.target and is_schedule(config.ada.p):
        raise UserError("config.ada.p is a schedule, but p would follow the sign of D: set config.ada.target to 0")
    if config.ada.policy and config.ada.target and config.loss.kind in losses.UNSIGNED:
        raise UserError(
            f"config.ada.target: the sign of a logit says nothing with the loss {config.loss.kind!r}: set it to 0, and "
            "ada.p to a number or a schedule"
        )
