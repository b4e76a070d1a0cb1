"""pix2pix at 256 px, pairs of images: U-Net of width 64, 70x70 PatchGAN, batch 1, 200 epochs of 400 pairs.

python launch.py train --config=pix2pix --workdir=runs/pix2pix --config.data.a=DIR --config.data.b=DIR

Files of one name are a pair; or --config.data.path=FOLDER of pictures that hold both, A on the left. Without either it
learns the built-in data set's pairs.
"""

from ml_collections import ConfigDict

from ganjax.config import groups
from ganjax.config.groups import base, debug


def get_config(arg: str = "") -> ConfigDict:
    return settled(groups.translation_defaults(base()), arg)


def settled(config: ConfigDict, arg: str) -> ConfigDict:
    """Set pix2pix's values in the defaults of a task."""
    config.recipe = "pix2pix"
    config.total_images = 80_000
    config.data.resolution, config.data.load_size = 256, 286
    config.data.paired = "yes"
    config.data.atelier.styles = ("impressionism",)

    config.model = ConfigDict()
    config.model.generator = ConfigDict({"depth": 0, "width": 64, "dropout": 0.5})  # depth 0: down to one pixel
    config.model.discriminator = ConfigDict({"width": 64, "layers": 3, "norm": "instance", "scales": 1})
    config.loss.kind = "non_saturating"
    config.loss.l1 = 100.0
    config.loss.feature_matching = 0.0  # of D's features
    return variant(config, arg)


def variant(config: ConfigDict, arg: str) -> ConfigDict:
    """Return the config, for "debug" made to last seconds, with narrow nets."""
    config = debug(config, arg)
    if arg:
        config.data.load_size, config.batch_size = 36, 2
        config.model.generator.width, config.model.discriminator.width, config.model.discriminator.layers = 8, 8, 2
    return config
