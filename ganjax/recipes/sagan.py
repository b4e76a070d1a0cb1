"""SAGAN (Zhang et al. 2019, arXiv 1805.08318): self-attention, spectral normalisation of both networks, two rates.

Residual networks with self-attention on features of 32x32 pixels; conditional batch norm and projection. As published:
hinge loss, one D update, Adam with 1e-4 for G and 4e-4 for D (0, 0.9), batch 256.
"""

from ganjax.adversarial import from_noise
from ganjax.adversarial.conditions import conditioned, sizes_of
from ganjax.config.derived import net_dtypes, scaled, size
from ganjax.config.groups import completed
from ganjax.losses.logits import adversarial
from ganjax.nets import resnet
from ganjax.recipe import Recipe


def build(config) -> Recipe:
    """Build the recipe from `configs/generate/sagan.py`."""
    config = completed(config)
    g, d, width, dtypes = config.model.generator, config.model.discriminator, config.model.width, net_dtypes(config)
    common = {"weight": "spectral", **dtypes}
    generator = resnet.Generator(
        size(config),
        scaled(g.widths, width),
        config.data.channels,
        upsample="nearest",
        attention=g.attention,
        sizes=sizes_of(config),
        **common,
    )
    discriminator = resnet.Discriminator(scaled(d.widths, width), d.downs, attention=d.attention, **common)
    discriminator = conditioned(config, discriminator, "spectral")
    loss, judge = adversarial(config.loss.kind, config.loss.label_smoothing), from_noise.Judge(config)  # hinge

    def d_loss(players, part, fakes):
        real, fake = judge.real(players, part), judge.fake(players, part, fakes)
        return judge.d_total(loss.d(real.logits, fake.logits), real, fake, part)

    def g_loss(players, part, fakes):
        real, fake = judge.real_if_paired(players, part), judge.fake(players, part, fakes)
        return judge.g_total(loss.g(real.logits, fake.logits), real, fake, part)

    return from_noise.build(config, generator, discriminator, judge, d_loss, g_loss)
