"""The keys of the adversarial step in a config, and what of them cannot be right."""

from typing import NamedTuple

import flax.linen as nn
from ml_collections import ConfigDict

from ganjax.adversarial.updates import GRADIENT
from ganjax.augment import diffaugment
from ganjax.data import labels
from ganjax.errors import UserError, nearest
from ganjax.losses import logits as losses
from ganjax.nets.conditional import Classified, Projected

CONDITIONS = ("none", "projection", "acgan")


class Nets(NamedTuple):
    """What a recipe brings.

    generator(z, label, train=) -> images; discriminator(images, label, train=) -> (logits, features[, class logits]).
    g_mixes, d_mixes: whether images of a batch see each other, by batch norm. d_bounded: whether D's slope is bounded.
    """

    generator: nn.Module
    discriminator: nn.Module
    z_dim: int
    g_mixes: bool
    d_mixes: bool
    d_bounded: bool = False


def conditioned(config: ConfigDict, discriminator: nn.Module, weight: str) -> nn.Module:
    """Return D with the head that `config.condition.kind` asks for; UserError for an unknown kind, or no labels."""
    kind, sizes = config.condition.kind, sizes_of(config)
    if kind == "none":
        return discriminator
    return {"projection": Projected, "acgan": Classified}[kind](discriminator, sizes, weight)


def sizes_of(config: ConfigDict) -> tuple[int, ...]:
    """Return how many values each attribute of a label has; () without a condition. UserError where labels are off."""
    kind = config.condition.kind
    if kind not in CONDITIONS:
        raise UserError(f"config.condition.kind = {kind!r} is not known{nearest(kind, CONDITIONS)}")
    if kind == "none":
        return ()
    if not config.data.labels:
        raise UserError(
            f"config.condition.kind = {kind!r} needs labels: set --config.data.labels=true (classes "
            "are the sub-folders of data.path)"
        )
    return labels.of(config).sizes


def check(config: ConfigDict, nets: Nets) -> None:
    """Refuse in a sentence what cannot be right, naming the key and the way out."""
    kind, weights = config.loss.kind, config.penalty
    if kind not in losses.KINDS:
        raise UserError(f"config.loss.kind = {kind!r} is not known{nearest(kind, losses.KINDS)}")
    if config.loss.label_smoothing and kind not in losses.SMOOTHED:
        raise UserError(f"config.loss.label_smoothing: the loss {kind!r} has no targets to smooth; set it to 0")
    per_image = [name for name in GRADIENT if weights[name]]
    if per_image and nets.d_mixes:
        raise UserError(
            f"config.penalty.{per_image[0]} penalises the slope at each image by itself, and batch norm in the "
            "discriminator mixes the images of a batch: set config.model.discriminator.norm to layer, instance or none"
        )
    if kind == "wasserstein" and not per_image and not nets.d_bounded:
        raise UserError(
            "config.loss.kind = 'wasserstein' grows without bound unless the discriminator's slope is bounded: set "
            "--config.penalty.wgan_gp=10, or a discriminator with spectral normalisation"
        )
    if config.accumulate > 1:
        mixing = [name for name, mixes in (("generator", nets.g_mixes), ("discriminator", nets.d_mixes)) if mixes]
        if config.batch_size % config.accumulate:
            raise UserError(f"config.accumulate = {config.accumulate} must divide batch_size = {config.batch_size}")
        if mixing:
            key = f"config.model.{mixing[0]}.norm"
            way = (
                f"set {key} to layer, instance or none" if "norm" in config.model[mixing[0]] else "take a smaller batch"
            )
            raise UserError(
                f"config.accumulate: batch norm in the {mixing[0]} would see parts of the batch, which is not the "
                f"result of the large batch: {way}"
            )
        if "model" in config and config.model.discriminator.get("dropout"):
            raise UserError("config.accumulate: dropout draws for a whole batch; set model.discriminator.dropout to 0")
        if config.loss.feature_matching:
            raise UserError(
                "config.accumulate: feature_matching needs the means of the whole batch; set one of them off"
            )
    try:
        diffaugment.policy(config.diffaugment)
    except ValueError as error:
        raise UserError(f"config.diffaugment: {error}") from error
