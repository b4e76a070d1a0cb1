"""BigGAN (Brock et al. 2019, arXiv 1809.11096): class-conditional, hierarchical latents, one shared class embedding.

SAGAN's networks, except that scale and shift of each block's batch norm are spectrally normalised linear maps of the
class embedding and of the block's own part of z; orthogonal initialisation.
"""

from ganjax.adversarial import from_noise
from ganjax.adversarial.conditions import conditioned, sizes_of
from ganjax.config.derived import net_dtypes, scaled, size
from ganjax.config.groups import completed
from ganjax.errors import UserError
from ganjax.losses.logits import adversarial
from ganjax.nets import resnet
from ganjax.recipe import Recipe


def build(config) -> Recipe:
    """Build the recipe from `configs/generate/biggan.py` or `biggan128.py`."""
    config = completed(config)
    g, d, width, dtypes = config.model.generator, config.model.discriminator, config.model.width, net_dtypes(config)
    common = {"weight": "spectral", "residual_init": resnet.ORTHOGONAL, "direct_init": resnet.ORTHOGONAL, **dtypes}
    widths = scaled(g.widths, width)
    if config.model.z_dim % len(widths):
        raise UserError(
            f"config.model.z_dim = {config.model.z_dim} is cut into {len(widths)} parts, one for the base grid and "
            f"one for each block: use a multiple of {len(widths)}"
        )
    generator = resnet.Generator(
        size(config),
        widths,
        config.data.channels,
        upsample="nearest",
        attention=g.attention,
        sizes=sizes_of(config),
        shared=g.shared,
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
