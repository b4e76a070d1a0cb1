"""FastGAN on a folder of artworks, 64x64: small nets for few images.

python launch.py train --config=fastgan --workdir=runs/fastgan --config.data.path=FOLDER

Narrow, for 2 CPU cores: 19 images/s on one. 100 Monets after 50,000 images: docs/train.md. As published, for a GPU:
--config.data.resolution=256 (to 1024) with --config.model.generator.width=64 --config.model.discriminator.width=64.
"""

from ml_collections import ConfigDict

from ganjax.config.groups import debug, for_recipe


def get_config(arg: str = "") -> ConfigDict:
    config = for_recipe("fastgan")
    config.batch_size = 8
    config.total_images = 400_000
    config.data.resolution = 64

    config.model.generator.width = 16
    config.model.discriminator.width = 16

    config.loss.kind = "hinge"
    config.diffaugment = "color,translation"
    config.ema.half_life_images = 5_500.0  # a decay of 0.999 at batches of 8, as published
    config.metrics = ("lite_fd", "rand_fd")
    if arg:
        config.metrics = ()
        config.model.generator.width = config.model.discriminator.width = 4
    return debug(config, arg)
