"""WGAN-GP, the residual networks of its CIFAR-10 experiment: no norm in D, lambda 10, five updates of D per G update.

python launch.py train --config=wgan_gp --workdir=runs/wgan_gp --config.data.path=FOLDER

Published (mimicry, CIFAR-10, batch 64, 100,000 steps): FID 22.29. D's loss is minus an estimate of the distance between
real and generated images: it should rise towards 0. On a CPU use --config.model.width=0.25.
"""

from ml_collections import ConfigDict

from ganjax.config.groups import debug, for_recipe


def get_config(arg: str = "") -> ConfigDict:
    config = for_recipe("wgan_gp")
    config.total_images = 6_400_000  # 100,000 steps
    config.d_steps = 5

    config.model.generator.widths = (128, 128, 128, 128)
    config.model.discriminator.update({"widths": (128, 128, 128, 128), "weight": "none"})
    config.data.resolution = 32

    config.loss.kind = "wasserstein"
    config.penalty.wgan_gp = 10.0
    config.optimizer.b1 = 0.0
    config.optimizer.b2 = 0.9
    config.optimizer.schedule = "linear"
    if arg:
        config.model.width = 1 / 16
        config.d_steps = 2
    return debug(config, arg)
