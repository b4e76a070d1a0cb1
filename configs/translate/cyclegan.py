"""CycleGAN at 256 px, two folders of images: 9 blocks, width 64, batch 1, 200 epochs of 1,074 paintings.

python launch.py train --config=cyclegan --workdir=runs/cyclegan --config.data.a=DIR --config.data.b=DIR

For a GPU. On a CPU at 64 px: --config.data.resolution=64 --config.data.load_size=72 --config.model.generator.width=32
--config.model.generator.blocks=6 --config.model.discriminator.width=32 --config.total_images=10000
"""

from ml_collections import ConfigDict

from ganjax.config.groups import debug, for_recipe


def get_config(arg: str = "") -> ConfigDict:
    return on_two_folders(for_recipe("cyclegan"), arg)


def on_two_folders(config: ConfigDict, arg: str) -> ConfigDict:
    """Return a config for two folders, with the image sizes and the length of CycleGAN's paper."""
    config.total_images = 214_800
    config.data.resolution, config.data.load_size = 256, 286
    config.data.paired = "no"
    config.data.atelier.styles = ("impressionism",)
    return variant(config, arg)


def variant(config: ConfigDict, arg: str) -> ConfigDict:
    """Return the config; for "debug", with narrow networks and cut down to a run of seconds."""
    config = debug(config, arg)
    if arg:
        config.data.load_size, config.batch_size = 36, 2
        config.model.generator.width, config.model.discriminator.width = 8, 8
        config.model.generator.blocks, config.model.discriminator.layers = 1, 2
    return config
