"""DCGAN (Radford et al. 2016, arXiv 1511.06434): transposed convolutions up, strided ones down.

As published: non-saturating loss, one D update for each of G, Adam 2e-4 (0.5, 0.999). Labels, if asked for, join z.
"""

import flax.linen as nn

from ganjax import adversarial
from ganjax.config import groups
from ganjax.config.derived import dtypes, size
from ganjax.errors import UserError, nearest
from ganjax.nets import dcgan
from ganjax.nets.conditional import Concatenated
from ganjax.recipe import Recipe

KERNEL_INITS = {"normal": nn.initializers.normal(0.02), "xavier": nn.initializers.xavier_uniform()}


def build(config) -> Recipe:
    """Build the recipe from `configs/generate/dcgan.py` or one of its variants."""
    config = groups.completed(config)
    dtype, param_dtype = dtypes(config.precision)
    if config.model.init not in KERNEL_INITS:
        raise UserError(
            f"config.model.init = {config.model.init!r} is not known{nearest(config.model.init, KERNEL_INITS)}"
        )
    g, d = config.model.generator, config.model.discriminator
    sizes = (config.model.z_dim, g.width, *g.widths, d.width, *d.widths)
    if not all(isinstance(size, int) and size > 0 for size in sizes) or not 0 <= d.dropout < 1:
        raise UserError("config.model: z_dim and all widths must be integers above 0, dropout in [0, 1)")
    common = {"kernel_init": KERNEL_INITS[config.model.init], "dtype": dtype, "param_dtype": param_dtype}
    generator = dcgan.Generator(size(config), channels=config.data.channels, **g, **common)
    if config.condition.kind != "none":
        generator = Concatenated(generator, adversarial.sizes_of(config))
    discriminator = adversarial.conditioned(config, dcgan.Discriminator(**d, **common), "none")
    mixes = g.norm == "batch", d.norm == "batch"
    return adversarial.build(config, adversarial.Nets(generator, discriminator, config.model.z_dim, *mixes))
