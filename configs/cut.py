"""CUT at 256 px, two folders of images: 9 blocks, width 64, batch 1, 400 epochs of 1,074 paintings.

python launch.py train --config=configs/cut.py --workdir=runs/cut --config.data.a=DIR --config.data.b=DIR

For a GPU. On a CPU at 64 px: --config.data.resolution=64 --config.data.load_size=72 --config.model.generator.width=32
--config.model.generator.blocks=6 --config.model.discriminator.width=32 --config.total_images=10000
"""

from ml_collections import ConfigDict

from ganjax import translation
from ganjax.config import base, debug


def get_config(arg: str = "") -> ConfigDict:
    config = translation.defaults(base())
    config.recipe = "cut"
    config.total_images = 429_600
    config.data.resolution, config.data.load_size = 256, 286
    config.data.paired = "no"
    config.data.atelier.styles = ("impressionism",)

    config.model = ConfigDict()
    config.model.generator = ConfigDict({"width": 64, "blocks": 9})
    config.model.discriminator = ConfigDict({"width": 64, "layers": 3, "scales": 1})
    config.model.heads = 256  # values of a patch's vector
    config.loss.nce = 1.0
    config.loss.nce_identity = True  # also of G(b) and b
    config.loss.mirror = 0.0  # share of images that G sees mirrored, and whose patches are compared all the same
    return variant(config, arg)


def variant(config: ConfigDict, arg: str) -> ConfigDict:
    """Return the config, for "debug" made to last seconds, with narrow nets."""
    config = debug(config, arg)
    if arg:
        config.data.load_size, config.batch_size = 36, 2
        config.model.generator.width, config.model.discriminator.width, config.model.heads = 8, 8, 16
        config.model.generator.blocks, config.model.discriminator.layers = 1, 2
    return config
