"""BigGAN (Brock et al. 2019, arXiv 1809.11096): class-conditional, hierarchical latents, one shared class embedding.

SAGAN's nets, but that every block's batch norm follows from the class embedding beside a part of z of its own, by
spectrally normalised maps; orthogonal initialisation.
"""

from ganjax import adversarial
from ganjax.config import groups
from ganjax.config.derived import dtypes, scaled, size
from ganjax.errors import UserError
from ganjax.nets import resnet
from ganjax.recipe import Recipe


def build(config) -> Recipe:
    """Build the recipe from `configs/generate/biggan.py` or `configs/generate/biggan128.py`."""
    config = groups.completed(config)
    dtype, param_dtype = dtypes(config.precision)
    inits = {"residual_init": resnet.ORTHOGONAL, "direct_init": resnet.ORTHOGONAL}
    common = {"weight": "spectral", **inits, "dtype": dtype, "param_dtype": param_dtype}
    g, d = config.model.generator, config.model.discriminator
    g_widths, d_widths = (scaled(net.widths, config.model.width) for net in (g, d))
    if config.model.z_dim % len(g_widths):
        raise UserError(
            f"config.model.z_dim = {config.model.z_dim} is cut into {len(g_widths)} parts, one for the base grid and "
            f"one for each block: take a multiple of {len(g_widths)}"
        )
    generator = resnet.Generator(
        size(config),
        g_widths,
        config.data.channels,
        upsample="nearest",
        attention=g.attention,
        sizes=adversarial.sizes_of(config),
        shared=g.shared,
        **common,
    )
    discriminator = resnet.Discriminator(d_widths, d.downs, attention=d.attention, **common)
    discriminator = adversarial.conditioned(config, discriminator, "spectral")
    return adversarial.build(config, adversarial.Nets(generator, discriminator, config.model.z_dim, True, False, True))
