"""Projected GAN on a folder of artworks, 64x64: D knows ImageNet, so that few images suffice.

python launch.py train --config=projected --workdir=runs/projected --config.data.path=FOLDER

Narrow, for 2 CPU cores. As published, for a GPU: --config.data.resolution=256 --config.model.generator.width=128
--config.model.discriminator.side=224; FID 27.96 on 1,000 paintings at 256x256, where StyleGAN2-ADA has 43.07.
No score was measured here.
"""

from ml_collections import ConfigDict

from ganjax.config.groups import debug, for_recipe


def get_config(arg: str = "") -> ConfigDict:
    config = for_recipe("projected")
    config.total_images = 1_000_000
    config.data.resolution = 64

    config.model.generator.width = 32
    config.model.discriminator.side = 128

    config.loss.kind = "hinge"
    config.loss.blur = {"kind": "linear", "from": 2.0, "to": 0.0, "images": 200_000}
    config.diffaugment = "color,translation,cutout"
    config.optimizer.b1 = 0.0
    config.optimizer.b2 = 0.99
    config.ema.half_life_images = 20_000.0  # batch x 10 / 32 thousand images, as published
    if arg:
        config.model.generator.width, config.model.discriminator.side = 4, 64
    return debug(config, arg)
