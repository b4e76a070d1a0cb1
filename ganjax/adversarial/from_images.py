"""Common parts of recipes from image to image: batches of two domains, PatchGANs, methods, content losses."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from ganjax.errors import UserError, nearest
from ganjax.losses import content
from ganjax.nets import translate
from ganjax.nets.stages import with_parameters
from ganjax.recipe import Method
from ganjax.state import DOutput


def check(config: ConfigDict) -> None:
    """Raise UserError if the content loss is unknown."""
    kind = config.loss.content_kind
    if kind not in content.KINDS:
        names = ", ".join(content.KINDS)
        raise UserError(f"config.loss.content_kind = {kind!r} is none of {names}{nearest(kind, content.KINDS)}")


def part_of(batch: dict, i: int, key: jax.Array) -> dict[str, jax.Array]:
    """Return the images of both domains, and one key for each row of the batch."""
    return {"a": batch["a"], "b": batch["b"], "keys": jax.random.split(key, len(batch["a"]))}


def one_image(batch: dict, dtype: Any) -> jax.Array:
    """Return a batch of one image of zeros (1, H, W, C), to initialise networks with."""
    return jnp.zeros((1, *batch["a"].shape[1:]), dtype)


def discriminator(config: ConfigDict, **kinds) -> nn.Module:
    """Return the PatchGAN of `config.model.discriminator`, or several, each at half the resolution of the one before.

    Raises UserError if `scales` is below 1.
    """
    fields = config.model.discriminator.to_dict()
    scales = fields.pop("scales", 1)
    if scales < 1:
        raise UserError(f"config.model.discriminator.scales = {scales} must be at least 1")
    one = functools.partial(translate.Discriminator, **fields, **kinds)
    return translate.MultiScale(one, scales) if scales > 1 else one()


def method(generator: nn.Module, name: str = "generator", source: str = "a") -> Method:
    """Return the method that translates images of the domain `source` with the generator of this name.

    It has `stages` if the generator has them: see `ganjax.nets.stages`.
    """

    def inputs(key: jax.Array, count: int, batch: dict) -> dict[str, jax.Array]:
        return {"image": batch[source][:count]}

    def apply(variables: dict, key: jax.Array, inputs: dict) -> dict[str, jax.Array]:
        norms = {"norms": inputs["norms"]} if "norms" in inputs else {}
        return {"image": generator.apply({**variables[name], **norms}, inputs["image"], train=False).image}

    def norms(variables: dict, inputs: dict) -> dict:
        return generator.apply(variables[name], inputs["image"], train=False, mutable=["norms"])[1].get("norms", {})

    def stages(variables: dict) -> list:
        return with_parameters(generator, variables[name]["params"])

    return Method((name,), inputs, apply, norms, stages if hasattr(generator, "stages") else None)


def logit_stats(real: DOutput, fake: DOutput) -> dict[str, jax.Array]:
    """Return the terms to log of D's logits on real and on generated images, at the first scale."""
    real, fake = real.logits[0], fake.logits[0]
    return {"d_real": jnp.mean(real), "d_fake": jnp.mean(fake), "d_pairs": jnp.mean(jnp.sign(real - fake))}


def content_loss(
    config: ConfigDict, image: jax.Array, source: jax.Array, name: str = "content"
) -> tuple[Any, dict[str, jax.Array]]:
    """Return the weighted content loss between a translation and its source, and {name: the unweighted loss}; (0, {})
    if its weight, `config.loss.content`, is 0.
    """
    if not config.loss.content:
        return 0, {}
    loss = content.KINDS[config.loss.content_kind](image, source)
    return config.loss.content * loss, {name: loss}


def interleave(*images: jax.Array) -> jax.Array:
    """Interleave n batches (B, ...) into one (n B, ...), so that each device keeps its own rows."""
    return jnp.stack(images, 1).reshape(-1, *images[0].shape[1:])


def deinterleave(images: jax.Array, n: int) -> tuple[jax.Array, ...]:
    """Undo `interleave`: return the n batches (B, ...)."""
    split = images.reshape(-1, n, *images.shape[1:])
    return tuple(split[:, i] for i in range(n))


def l1(x: jax.Array, y: jax.Array) -> jax.Array:
    """Return the mean absolute difference."""
    return jnp.mean(jnp.abs(x - y))
