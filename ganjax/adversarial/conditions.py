"""Conditioning of both networks on labels: attribute sizes, the discriminator's head, the loss of class heads."""

import jax
from flax import linen as nn
from ml_collections import ConfigDict

from ganjax.data import labels
from ganjax.errors import UserError, nearest
from ganjax.losses.logits import class_loss
from ganjax.nets.conditional import Classified, Projected
from ganjax.state import DOutput

CONDITIONS = ("none", "projection", "acgan")


def sizes_of(config: ConfigDict) -> tuple[int, ...]:
    """Return the number of values of each attribute of a label; () without a condition.

    Raises UserError for an unknown kind of condition, or if labels are off.
    """
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
    return labels.labels_from_config(config).sizes


def conditioned(config: ConfigDict, discriminator: nn.Module, weight: str) -> nn.Module:
    """Return D with the head of `config.condition.kind`. Raises UserError for an unknown kind, or if labels are off."""
    kind, sizes = config.condition.kind, sizes_of(config)
    if kind == "none":
        return discriminator
    return {"projection": Projected, "acgan": Classified}[kind](discriminator, sizes, weight)


def class_losses(config: ConfigDict, outputs: tuple[DOutput, ...], label: jax.Array) -> jax.Array:
    """Return AC-GAN's class loss, averaged over D's outputs on batches with these labels, int32 (B, A)."""
    sizes = labels.labels_from_config(config).sizes
    return sum(class_loss(out.classes, label, sizes) for out in outputs) / len(outputs)
