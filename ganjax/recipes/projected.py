"""Projected GAN (Sauer et al. 2021, arXiv 2111.01007): D sees images through a frozen network that knows ImageNet.

Four discriminators judge the features of EfficientNet-Lite0 at four scales, mixed by frozen random convolutions. The
generator is FastGAN's, with one convolution in every block or two. As published: hinge loss, no penalty, Adam 2e-4
(0, 0.99), DiffAugment. Checkpoints do not hold the frozen weights: those of Lite0 are verified by their sha256, and the
random ones depend on the seed.
"""

import functools

import jax

from ganjax.adversarial import from_noise
from ganjax.adversarial.conditions import sizes_of
from ganjax.augment.blur import blur
from ganjax.config.derived import dtypes, net_dtypes, size
from ganjax.config.groups import completed
from ganjax.config.schedule import value_at
from ganjax.errors import UserError
from ganjax.losses.logits import adversarial
from ganjax.nets import fastgan, projected
from ganjax.nets.pretrained import lite0, weights
from ganjax.recipe import Recipe


def build(config) -> Recipe:
    """Build the recipe from `configs/generate/projected.py`."""
    config = completed(config)
    if config.condition.kind == "acgan":
        raise UserError("config.condition.kind = 'acgan': projected learns labels by 'projection'")
    sizes, kinds = sizes_of(config), net_dtypes(config)
    g, channels = config.model.generator, config.data.channels
    blocks, d_width = g.get("blocks", "light"), config.model.discriminator.get("width", 64)  # as of the first runs
    generator = fastgan.Generator(size(config), g.width, channels, blocks, sizes=sizes, **kinds)
    discriminator = projected.Discriminators(d_width, sizes, **kinds)
    side = config.model.discriminator.side or projected.side_for(min(size(config)))
    if side < 64:
        raise UserError(f"config.model.discriminator.side = {side}: EfficientNet-Lite0 needs 64; 0: as fits")
    loss = adversarial(config.loss.kind, config.loss.label_smoothing)  # hinge

    @functools.cache
    def frozen():
        pretrained = lite0.variables(weights.load("lite0").arrays)
        mixing = projected.mixing(config.seed, d_width)
        constants = {"lite0": pretrained, "mixing": mixing}
        return jax.tree.map(lambda leaf: leaf.astype(dtypes(config.precision)[1]), constants)

    def see(constants, images, images_seen, small):
        if config.loss.blur:
            images = blur(images, value_at(config.loss.blur, images_seen))
        return projected.project(constants, images, side)

    judge = from_noise.Judge(config, from_noise.Eyes(frozen, see))

    def d_loss(players, part, fakes):
        real, fake = judge.real(players, part), judge.fake(players, part, fakes)
        return judge.d_total(loss.d(real.logits, fake.logits), real, fake, part)

    def g_loss(players, part, fakes):
        real, fake = judge.real_if_paired(players, part), judge.fake(players, part, fakes)
        return judge.g_total(loss.g(real.logits, fake.logits), real, fake, part)

    return from_noise.build(config, generator, discriminator, judge, d_loss, g_loss)
