"""Projected GAN on a folder of artworks, 64x64: D knows ImageNet, so that few images suffice.

python launch.py train --config=projected --workdir=runs/projected --config.data.path=FOLDER

For 2 CPU cores: narrow, small batches, no blur (2 pixels of 256 are half a pixel here). D sees images at 96 pixels; a
second run from the first one's weights, in which it sees 128, makes them finer:
--config.init_from=runs/projected --config.model.discriminator.side=128 --workdir=runs/finer

As published, for a GPU: --config.data.resolution=256 --config.batch_size=64 --config.model.generator.width=128
--config.model.discriminator.width=64 --config.model.discriminator.side=224 --config.ema.half_life_images=20000
--config.loss.blur='{"kind": "linear", "from": 2, "to": 0, "images": 200000}'; FID 27.96 on 1,000 paintings, where
StyleGAN2-ADA has 43.07.
"""

from ml_collections import ConfigDict

from ganjax.config.groups import debug, for_recipe


def get_config(arg: str = "") -> ConfigDict:
    config = for_recipe("projected")
    config.total_images = 1_000_000
    config.data.resolution = 64

    config.batch_size = 16
    config.model.generator.width = 16
    config.model.discriminator.width = 32

    config.loss.kind = "hinge"
    config.diffaugment = "translation,cutout"
    config.optimizer.b1 = 0.0
    config.optimizer.b2 = 0.99
    config.metrics = ("lite_fd", "rand_fd")
    if arg:
        config.metrics = ()
        config.model.generator.width, config.model.discriminator.side = 4, 64
    return debug(config, arg)
