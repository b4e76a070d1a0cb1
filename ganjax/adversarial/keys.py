"""The keys of the adversarial step in a config, and what of them cannot be right."""

from typing import NamedTuple

import flax.linen as nn
from ml_collections import ConfigDict

from ganjax import augment, labels, losses
from ganjax.adversarial.updates import GRADIENT
from ganjax.errors import UserError, nearest
from ganjax.nets.conditional import Classified, Projected

CONDITIONS = ("none", "projection", "acgan")


def defaults(config: ConfigDict) -> ConfigDict:
    """Add the keys that the step reads to a config, at values that change nothing, and return it."""
    config.d_steps = 1  # updates of D for each of G, each on batch_size real images of its own
    config.accumulate = 1  # parts of the batch, one after the other: less memory, the same result
    config.diffaugment = ""  # of all that D sees: "color,translation,cutout", or a preset: full, palette, paint

    config.loss = ConfigDict()
    config.loss.kind = "non_saturating"  # saturating, least_squares, hinge, wasserstein, relativistic
    config.loss.label_smoothing = 0.0  # one-sided: the target of real images is 1 - this
    config.loss.instance_noise = 0.0  # std at the start, on images in [-1, 1]; falls to 0 over the schedule
    config.loss.feature_matching = 0.0  # weight, in G's loss, of the distance between D's mean features

    config.penalty = ConfigDict()  # weights; 0: off
    config.penalty.r1 = 0.0  # gamma / 2 |grad|^2 on real images
    config.penalty.r2 = 0.0  # on generated ones
    config.penalty.wgan_gp = 0.0  # two-sided, between real and generated images
    config.penalty.wgan_gp_one_sided = 0.0
    config.penalty.dragan = 0.0  # about real images
    config.penalty.every = 1  # of these five: once in so many updates of D, as an update of their own, times that
    config.penalty.lecam = 0.0
    config.penalty.lecam_decay = 0.99
    config.penalty.lecam_start_images = 0
    config.penalty.cr = 0.0  # consistency under shifts and mirrors (or diffaugment's policy): of real images
    config.penalty.bcr = 0.0  # of real and generated ones
    config.penalty.zcr_d = 0.0  # of images of near latents, for D ...
    config.penalty.zcr_g = 0.0  # ... and their distance, for G
    config.penalty.zcr_std = 0.03  # how near
    config.penalty.orthogonal = 0.0  # of G's kernels

    config.condition = ConfigDict()
    config.condition.kind = "none"  # projection, acgan: needs data.labels
    config.condition.dropout = 0.0  # share of labels that are hidden from both networks
    config.condition.d_weight = 1.0  # of the class loss of acgan
    config.condition.g_weight = 0.1

    config.optimizer = ConfigDict()
    config.optimizer.g_lr = 2e-4
    config.optimizer.d_lr = 2e-4
    config.optimizer.b1 = 0.5
    config.optimizer.b2 = 0.999
    config.optimizer.eps = 1e-8
    config.optimizer.schedule = "constant"  # or linear, cosine: to 0
    config.optimizer.decay_start = 0.0  # share of the run before the fall begins
    config.optimizer.warmup_images = 0
    config.optimizer.clip_norm = 0.0  # global norm of each network's gradient; 0: off

    config.ema = ConfigDict()
    config.ema.half_life_images = 10_000.0
    config.ema.ramp = 0.05  # half-life at most this share of the images seen; 0: off
    config.ema.start_images = 0  # before, the average is the newest generator
    return config


def completed(config: ConfigDict) -> ConfigDict:
    """Return the config with the keys of `defaults` that it lacks: a run's, from before a key was known."""
    whole = defaults(ConfigDict())
    whole.update(ConfigDict(config.to_dict()))
    return whole


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
        augment.policy(config.diffaugment)
    except ValueError as error:
        raise UserError(f"config.diffaugment: {error}") from error
