"""What recipes from image to image share: the keys of their configs, their optimisers, and the end of their steps."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from ganjax.adversarial import optimisers
from ganjax.augment import damage
from ganjax.config.derived import horizon
from ganjax.errors import UserError, nearest
from ganjax.losses import content
from ganjax.losses import logits as losses
from ganjax.nets import translate
from ganjax.state import GANState, TrainState, ema_decay, update_ema

KINDS = ("least_squares", "hinge", "non_saturating")
# D's loss is the mean of its two halves, and G's least squares have no half (as CycleGAN, pix2pix and CUT have them).
D_SCALE = {"least_squares": 1.0, "hinge": 0.5, "non_saturating": 0.5}
G_SCALE = {"least_squares": 2.0, "hinge": 1.0, "non_saturating": 1.0}


class Game(NamedTuple):
    """The adversarial loss and the optimisers of a config.

    d: (real, fake logits) -> loss; g: (fake logits) -> loss. d_tx, g_tx: Adam; d_rate, g_rate: step -> learning rate.
    """

    d: Callable
    g: Callable
    g_tx: optax.GradientTransformation
    d_tx: optax.GradientTransformation
    g_rate: Callable
    d_rate: Callable


def game(config: ConfigDict) -> Game:
    """Return the game of a config. UserError for a loss that these recipes do not have, and for parts of a batch that
    do not divide it.
    """
    kind, opt = config.loss.kind, config.optimizer
    if kind not in KINDS:
        raise UserError(f"config.loss.kind = {kind!r} is none of {config.recipe}'s: {', '.join(KINDS)}"
                        + nearest(kind, KINDS))  # fmt: skip
    keeping = config.loss.content_kind
    if keeping not in content.KINDS:
        known = ", ".join(content.KINDS)
        raise UserError(f"config.loss.content_kind = {keeping!r} is none of {known}{nearest(keeping, content.KINDS)}")
    try:
        damage.check(config.damage.kinds)
    except ValueError as error:
        raise UserError(f"config.damage.kinds: {error}") from error
    if config.batch_size % config.accumulate:
        raise UserError(f"config.accumulate = {config.accumulate} must divide batch_size = {config.batch_size}")
    loss = losses.KINDS[kind]()

    def rate(value):
        start, warmup = opt.decay_start, opt.warmup_images
        return optimisers.schedule(opt.schedule, value, horizon(config), config.batch_size, start, warmup)

    rates = rate(opt.g_lr), rate(opt.d_lr)
    g_tx, d_tx = (optimisers.adam(r, opt.b1, opt.b2, opt.clip_norm) for r in rates)
    return Game(
        lambda real, fake: sum(
            D_SCALE[kind] * loss.d(*pair) for pair in zip(_scales(real), _scales(fake), strict=True)
        ),
        lambda fake: sum(G_SCALE[kind] * loss.g(None, logits) for logits in _scales(fake)),
        g_tx,
        d_tx,
        *rates,
    )


def discriminator(config: ConfigDict, **kinds) -> nn.Module:
    """Return the PatchGAN of `config.model.discriminator`, or several, each at half the size of the one before."""
    fields = config.model.discriminator.to_dict()
    scales = fields.pop("scales", 1)
    if scales < 1:
        raise UserError(f"config.model.discriminator.scales = {scales} must be at least 1")
    one = functools.partial(translate.Discriminator, **fields, **kinds)
    return translate.MultiScale(one, scales) if scales > 1 else one()


def _scales(logits) -> list[jax.Array]:
    return logits if isinstance(logits, list | tuple) else [logits]


def seen(real, fake) -> dict[str, jax.Array]:
    """Return what is logged of D's logits on real and on generated images, of the first scale."""
    real, fake = _scales(real)[0], _scales(fake)[0]
    return {
        "d_real": jnp.mean(real),
        "d_fake": jnp.mean(fake),
        "d_pairs": jnp.mean(jnp.sign(real - fake)),
    }


def advanced(
    config: ConfigDict, play: Game, state: GANState, g: TrainState, d: TrainState, extra: dict, terms: dict
) -> tuple[GANState, dict]:
    """Return the state after a step that gave these networks, and its metrics."""
    images = (state.step + 1) * config.batch_size
    decay = ema_decay(images, config.batch_size, config.ema.half_life_images, config.ema.ramp)
    ema = update_ema(state.ema, g.variables, decay)
    rates = {"g_lr": play.g_rate(state.step), "d_lr": play.d_rate(state.step)}
    return GANState(state.step + 1, g, d, ema, extra), {**terms, **rates}


def translated(generator: nn.Module, params: dict, inputs: dict) -> Any:
    """Return the generator's images of inputs["image"]; with inputs["norms"] normalised by these statistics, and with
    inputs["statistics"] the statistics themselves.
    """
    if inputs.get("statistics"):
        return generator.apply({"params": params}, inputs["image"], train=False, mutable=["norms"])[1].get("norms", {})
    given = {"norms": inputs["norms"]} if "norms" in inputs else {}
    return generator.apply({"params": params, **given}, inputs["image"], train=False)


def between(*images: jax.Array) -> jax.Array:
    """Return batches (B, ...) as one (n B, ...), interleaved, so that each device keeps its own rows."""
    return jnp.stack(images, 1).reshape(-1, *images[0].shape[1:])


def apart(images: jax.Array, n: int) -> tuple[jax.Array, ...]:
    """Undo `between` of n batches."""
    split = images.reshape(-1, n, *images.shape[1:])
    return tuple(split[:, i] for i in range(n))


def kept(config: ConfigDict, made: jax.Array, source: jax.Array) -> dict[str, jax.Array]:
    """Return {"content": the loss of config.loss.content_kind}, or {} where its weight is 0."""
    return {"content": content.KINDS[config.loss.content_kind](made, source)} if config.loss.content else {}


def in_parts(gradients: Callable, batch: dict, parts: int) -> tuple:
    """Return gradients(batch) -> (grads, images (B, ...), terms) of `parts` parts of the batch in turn: the means of
    grads and terms, and all images in their order.
    """
    if parts == 1:
        return gradients(batch)
    split = lambda x: jnp.moveaxis(x.reshape(len(x) // parts, parts, *x.shape[1:]), 1, 0)  # noqa: E731
    stacked = jax.tree.map(split, batch)
    shapes = jax.eval_shape(gradients, jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), stacked))
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), (shapes[0], shapes[2]))

    def body(total, part):
        grads, images, terms = gradients(part)
        return jax.tree.map(lambda a, b: a + b / parts, total, (grads, terms)), images

    (grads, terms), images = jax.lax.scan(body, zeros, stacked)
    merge = lambda x: jnp.moveaxis(x, 0, 1).reshape(-1, *x.shape[2:])  # noqa: E731
    return grads, jax.tree.map(merge, images), terms
