"""WGAN-GP (Gulrajani et al. 2017, arXiv 1704.00028): the residual networks of its CIFAR-10 experiment.

Batch norm in G, no norm in D, whose gradient norm the penalty keeps at 1; D averages its features over the pixels. As
published: five D updates, lambda 10, two-sided, Adam 2e-4 (0, 0.9), linear to 0.
"""

from ganjax.adversarial import from_noise
from ganjax.adversarial.conditions import conditioned, sizes_of
from ganjax.config.derived import net_dtypes, scaled, size
from ganjax.config.groups import completed
from ganjax.losses.logits import adversarial
from ganjax.nets import resnet
from ganjax.recipe import Recipe


def build(config) -> Recipe:
    """Build the recipe from `configs/generate/wgan_gp.py`."""
    config = completed(config)
    g, d, width, dtypes = config.model.generator, config.model.discriminator, config.model.width, net_dtypes(config)
    generator = resnet.Generator(
        size(config),
        scaled(g.widths, width),
        config.data.channels,
        upsample="nearest",
        sizes=sizes_of(config),
        **dtypes,
    )
    discriminator = resnet.Discriminator(scaled(d.widths, width), d.downs, pool="mean", weight=d.weight, **dtypes)
    discriminator = conditioned(config, discriminator, d.weight)
    loss, judge = adversarial(config.loss.kind, config.loss.label_smoothing), from_noise.Judge(config)  # Wasserstein

    def d_loss(players, part, fakes):
        real, fake = judge.real(players, part), judge.fake(players, part, fakes)
        return judge.d_total(loss.d(real.logits, fake.logits), real, fake, part)

    def g_loss(players, part, fakes):
        real, fake = judge.real_if_paired(players, part), judge.fake(players, part, fakes)
        return judge.g_total(loss.g(real.logits, fake.logits), real, fake, part)

    return from_noise.build(config, generator, discriminator, judge, d_loss, g_loss)
