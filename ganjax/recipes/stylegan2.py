"""StyleGAN2 (Karras et al. 2020, arXiv 1912.04958) with ADA (arXiv 2006.06676): G's layers follow a learned style.

As published: non-saturating loss, R1 at every 16th update of D, path length regularisation at every 4th of G, style
mixing, Adam 2.5e-3 (0, 0.99), an average of G's weights. ADA is `config.ada`; the presets are in
`configs/generate/stylegan2.py`.
"""

import math

import jax
import jax.numpy as jnp

from ganjax.adversarial import from_noise
from ganjax.adversarial.conditions import sizes_of
from ganjax.adversarial.image_keys import LAYERS, PATH, normal, use
from ganjax.adversarial.players import GENERATOR
from ganjax.adversarial.regularisers import Regulariser
from ganjax.config.derived import net_dtypes, size
from ganjax.config.groups import completed
from ganjax.errors import UserError
from ganjax.losses import penalties
from ganjax.losses.logits import adversarial
from ganjax.nets import stylegan2
from ganjax.recipe import Recipe


def build(config) -> Recipe:
    """Build the recipe from `configs/generate/stylegan2.py`."""
    config = completed(config)
    if config.condition.kind == "acgan":
        raise UserError("config.condition.kind = 'acgan': stylegan2 learns labels by 'projection'")
    model, part_size = config.model, config.batch_size // config.accumulate
    if part_size % min(model.discriminator.group, config.batch_size):
        raise UserError(
            f"config.model.discriminator.group = {model.discriminator.group} must divide the batch, or each "
            f"accumulated part of it: {part_size} images"
        )
    if config.latent == "uniform" and model.mixing:
        raise UserError("config.latent = 'uniform': style mixing draws from N(0, 1); set config.model.mixing to 0")
    own, common = widths(size(config), model.channels, model.most), {"sizes": sizes_of(config), **net_dtypes(config)}
    generator = stylegan2.Generator(
        size(config), own, model.w_dim, model.mapping, config.data.channels, model.mixing, **common
    )
    d = model.discriminator
    discriminator = stylegan2.Discriminator(own[::-1], d.group, d.residual, **common)
    loss, judge = adversarial(config.loss.kind, config.loss.label_smoothing), from_noise.Judge(config)  # non-saturating

    def d_loss(players, part, fakes):
        real, fake = judge.real(players, part), judge.fake(players, part, fakes)
        return judge.d_total(loss.d(real.logits, fake.logits), real, fake, part)

    def g_loss(players, part, fakes):
        real, fake = judge.real_if_paired(players, part), judge.fake(players, part, fakes)
        return judge.g_total(loss.g(real.logits, fake.logits), real, fake, part)

    further = (path_length(config.penalty),) if config.penalty.path_length else ()
    return from_noise.build(config, generator, discriminator, judge, d_loss, g_loss, styled=True, further=further)


def path_length(penalty) -> Regulariser:
    """Return the path length regularisation (arXiv 1912.04958, section 3.2), on every second image of the batch.

    Its state is the moving mean of the lengths, from which they should not differ.
    """

    def value(players, part, fakes):
        z, label, keys = jax.tree.map(lambda leaf: leaf[::2], (part["z"], part["label"], part["keys"]))
        layer_keys = use(keys, LAYERS)
        ws = players[GENERATOR](z, label, keys=layer_keys).aux["ws"]  # mixed; XLA drops the images

        def synthesise(ws):
            return players[GENERATOR](ws, keys=jax.random.clone(layer_keys), method="synthesize")

        noise = normal(use(keys, PATH), part["image"][::2]) / math.sqrt(math.prod(part["image"].shape[1:3]))
        lengths = penalties.path_lengths(synthesise, ws, noise)
        mean = moved(players.extra["path_length"], jnp.mean(lengths))
        return jnp.mean((lengths - mean) ** 2), {"path_length": jnp.mean(lengths)}

    def moved(mean, length):
        return mean + penalty.path_decay * (length - mean)

    def advance(mean, terms, images):
        length = terms["path_length"] / penalty.path_every  # 0 where the regularisation was not due
        return jnp.where(length > 0, moved(mean, length), mean)

    init = {"init": lambda: jnp.zeros(()), "advance": advance}
    return Regulariser("path_length", GENERATOR, value, penalty.path_length, penalty.path_every, **init)


def widths(resolution: tuple[int, int], channels: int, most: int) -> tuple[int, ...]:
    """Return the channels at each resolution, from a grid of 4 pixels on the shorter side (up to 7) to the images."""
    doublings = max(int(math.log2(min(resolution) / 4)), 0)
    return tuple(min(max(channels // (4 << i), 1), most) for i in range(doublings + 1))
