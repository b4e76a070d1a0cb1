"""SAGAN (Zhang et al. 2019, arXiv 1805.08318): self-attention, spectral normalisation in both networks, two rates.

Residual nets whose features of 32x32 pixels see each other; conditional batch norm and projection. As published: hinge
loss, one D update, Adam with 1e-4 for G and 4e-4 for D (0, 0.9), batch 256.
"""

from ganjax import adversarial
from ganjax.config import groups
from ganjax.config.derived import dtypes, scaled, size
from ganjax.nets import resnet
from ganjax.recipe import Recipe


def build(config) -> Recipe:
    """Build the recipe from `configs/generate/sagan.py`."""
    config = groups.completed(config)
    dtype, param_dtype = dtypes(config.precision)
    common = {"weight": "spectral", "dtype": dtype, "param_dtype": param_dtype}
    g, d = config.model.generator, config.model.discriminator
    generator = resnet.Generator(
        size(config),
        scaled(g.widths, config.model.width),
        config.data.channels,
        upsample="nearest",
        attention=g.attention,
        sizes=adversarial.sizes_of(config),
        **common,
    )
    widths = scaled(d.widths, config.model.width)
    discriminator = resnet.Discriminator(widths, d.downs, attention=d.attention, **common)
    discriminator = adversarial.conditioned(config, discriminator, "spectral")
    return adversarial.build(config, adversarial.Nets(generator, discriminator, config.model.z_dim, True, False, True))
