"""SNGAN (Miyato et al. 2018, arXiv 1802.05957), with labels cGAN-PD (Miyato & Koyama 2018, arXiv 1802.05637).

Residual networks. G has batch norm, which is conditional if labels are used. D has spectral normalisation in every
layer, sums its features over the pixels, and has a projection head if labels are used. As published: hinge loss, five D
updates, Adam 2e-4 (0, 0.9).
"""

from ganjax.adversarial import from_noise
from ganjax.adversarial.conditions import conditioned, sizes_of
from ganjax.config.derived import net_dtypes, scaled, size
from ganjax.config.groups import completed
from ganjax.losses.logits import adversarial
from ganjax.nets import resnet
from ganjax.recipe import Recipe


def build(config) -> Recipe:
    """Build the recipe from `configs/generate/sngan.py` or `sngan64.py`."""
    config = completed(config)
    g, d, width, dtypes = config.model.generator, config.model.discriminator, config.model.width, net_dtypes(config)
    generator = resnet.Generator(
        size(config), scaled(g.widths, width), config.data.channels, sizes=sizes_of(config), **dtypes
    )
    discriminator = resnet.Discriminator(scaled(d.widths, width), d.downs, weight=d.weight, hidden=d.hidden, **dtypes)
    discriminator = conditioned(config, discriminator, d.weight)
    loss, judge = adversarial(config.loss.kind, config.loss.label_smoothing), from_noise.Judge(config)  # hinge

    def d_loss(players, part, fakes):
        real, fake = judge.real(players, part), judge.fake(players, part, fakes)
        return judge.d_total(loss.d(real.logits, fake.logits), real, fake, part)

    def g_loss(players, part, fakes):
        real, fake = judge.real_if_paired(players, part), judge.fake(players, part, fakes)
        return judge.g_total(loss.g(real.logits, fake.logits), real, fake, part)

    return from_noise.build(config, generator, discriminator, judge, d_loss, g_loss)
