"""pix2pix at 256 px, pairs of images: U-Net of width 64, 70x70 PatchGAN, batch 1, 200 epochs of 400 pairs.

python launch.py train --config=pix2pix --workdir=runs/pix2pix --config.data.a=DIR --config.data.b=DIR

Files of equal names are a pair. Or use --config.data.path=FOLDER for pictures that hold both, A on the left. Without
either it learns the pairs of the built-in dataset.
"""

from ml_collections import ConfigDict

from ganjax.config.groups import debug, for_recipe


def get_config(arg: str = "") -> ConfigDict:
    return configure(for_recipe("pix2pix"), arg)


def configure(config: ConfigDict, arg: str) -> ConfigDict:
    """Return the config of a task, with the values of pix2pix."""
    config.total_images = 80_000
    config.data.resolution, config.data.load_size = 256, 286
    config.data.paired = "yes"
    config.data.atelier.styles = ("impressionism",)
    config.loss.kind = "non_saturating"
    return variant(config, arg)


def variant(config: ConfigDict, arg: str) -> ConfigDict:
    """Return the config; for "debug", with narrow networks and cut down to a run of seconds."""
    config = debug(config, arg)
    if arg:
        config.data.load_size, config.batch_size = 36, 2
        config.model.generator.width, config.model.discriminator.width, config.model.discriminator.layers = 8, 8, 2
    return config
