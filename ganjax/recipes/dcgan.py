"""DCGAN (Radford et al. 2016, arXiv 1511.06434): transposed convolutions up, strided ones down.

As published: non-saturating loss, one D update per G update, Adam 2e-4 (0.5, 0.999). Labels, if used, are embedded and
concatenated with z.
"""

import flax.linen as nn

from ganjax.adversarial import from_noise
from ganjax.adversarial.conditions import conditioned, sizes_of
from ganjax.config.derived import net_dtypes, size
from ganjax.config.groups import completed
from ganjax.errors import UserError, nearest
from ganjax.losses.logits import adversarial
from ganjax.nets import dcgan
from ganjax.nets.conditional import Concatenated
from ganjax.recipe import Recipe

KERNEL_INITS = {"normal": nn.initializers.normal(0.02), "xavier": nn.initializers.xavier_uniform()}


def build(config) -> Recipe:
    """Build the recipe from `configs/generate/dcgan.py` or one of its variants."""
    config = completed(config)
    g, d, init = config.model.generator, config.model.discriminator, config.model.init
    if init not in KERNEL_INITS:
        raise UserError(f"config.model.init = {init!r} is not known{nearest(init, KERNEL_INITS)}")
    sizes = (config.model.z_dim, g.width, *g.widths, d.width, *d.widths)
    if not all(isinstance(size, int) and size > 0 for size in sizes) or not 0 <= d.dropout < 1:
        raise UserError("config.model: z_dim and all widths must be integers above 0, dropout in [0, 1)")
    common = {"kernel_init": KERNEL_INITS[init], **net_dtypes(config)}
    generator = dcgan.Generator(size(config), channels=config.data.channels, **g, **common)
    if config.condition.kind != "none":
        generator = Concatenated(generator, sizes_of(config))
    discriminator = conditioned(config, dcgan.Discriminator(**d, **common), "none")
    loss, judge = adversarial(config.loss.kind, config.loss.label_smoothing), from_noise.Judge(config)  # non-saturating

    def d_loss(players, part, fakes):
        real, fake = judge.real(players, part), judge.fake(players, part, fakes)
        return judge.d_total(loss.d(real.logits, fake.logits), real, fake, part)

    def g_loss(players, part, fakes):
        real, fake = judge.real_if_paired(players, part), judge.fake(players, part, fakes)
        return judge.g_total(loss.g(real.logits, fake.logits), real, fake, part)

    return from_noise.build(config, generator, discriminator, judge, d_loss, g_loss)
