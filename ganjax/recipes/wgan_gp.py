"""WGAN-GP (Gulrajani et al. 2017, arXiv 1704.00028): the residual nets of its CIFAR-10 experiment.

Batch norm in G, no norm at all in D, whose slope the penalty holds at 1; features are means over the pixels. As
published: five D updates, lambda 10, two-sided, Adam 2e-4 (0, 0.9), linear to 0.
"""

from ganjax import adversarial
from ganjax.config import groups
from ganjax.config.derived import dtypes, scaled, size
from ganjax.nets import resnet
from ganjax.recipe import Recipe


def build(config) -> Recipe:
    """Build the recipe from `configs/generate/wgan_gp.py`."""
    config = groups.completed(config)
    dtype, param_dtype = dtypes(config.precision)
    common = {"dtype": dtype, "param_dtype": param_dtype}
    g, d = config.model.generator, config.model.discriminator
    generator = resnet.Generator(
        size(config),
        scaled(g.widths, config.model.width),
        config.data.channels,
        upsample="nearest",
        sizes=adversarial.sizes_of(config),
        **common,
    )
    widths = scaled(d.widths, config.model.width)
    discriminator = resnet.Discriminator(widths, d.downs, pool="mean", weight=d.weight, **common)
    discriminator = adversarial.conditioned(config, discriminator, d.weight)
    bounded = d.weight == "spectral"
    return adversarial.build(
        config, adversarial.Nets(generator, discriminator, config.model.z_dim, True, False, bounded)
    )
