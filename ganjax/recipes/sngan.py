"""SNGAN (Miyato et al. 2018, arXiv 1802.05957), with labels cGAN-PD (Miyato & Koyama 2018, arXiv 1802.05637).

Residual nets; batch norm in G, conditional with labels; spectral normalisation of every layer of D, whose features are
summed over the pixels, and with labels projected. As published: hinge loss, five D updates, Adam 2e-4 (0, 0.9).
"""

from ganjax import adversarial
from ganjax.config import groups
from ganjax.config.derived import dtypes, scaled, size
from ganjax.nets import resnet
from ganjax.recipe import Recipe


def build(config) -> Recipe:
    """Build the recipe from `configs/generate/sngan.py` or `configs/generate/sngan64.py`."""
    config = groups.completed(config)
    dtype, param_dtype = dtypes(config.precision)
    g, d = config.model.generator, config.model.discriminator
    generator = resnet.Generator(
        size(config),
        scaled(g.widths, config.model.width),
        config.data.channels,
        sizes=adversarial.sizes_of(config),
        dtype=dtype,
        param_dtype=param_dtype,
    )
    discriminator = resnet.Discriminator(
        scaled(d.widths, config.model.width),
        d.downs,
        weight=d.weight,
        hidden=d.hidden,
        dtype=dtype,
        param_dtype=param_dtype,
    )
    discriminator = adversarial.conditioned(config, discriminator, d.weight)
    bounded = d.weight == "spectral"
    return adversarial.build(
        config, adversarial.Nets(generator, discriminator, config.model.z_dim, True, False, bounded)
    )
