"""BigGAN at 128x128, its ImageNet form: 70.4 M and 88.0 M parameters at 1,000 classes, z of 6 x 20, attention at 64x64.

python launch.py train --config=biggan128 --workdir=runs/biggan128 --config.data.path=FOLDER_OF_CLASSES

For a pod: batch 2048 over all devices. No score was measured here.
"""

from ml_collections import ConfigDict

from ganjax.configs.generate import biggan


def get_config(arg: str = "") -> ConfigDict:
    config = biggan.get_config()
    config.batch_size = 2048
    config.total_images = 307_200_000  # 150,000 steps
    config.d_steps = 1
    config.data.resolution = 128
    config.model.z_dim = 120
    config.model.generator.update({"widths": (1536, 1536, 768, 384, 192, 96), "attention": (3,)})
    config.model.discriminator.update({"widths": (96, 192, 384, 768, 1536, 1536), "downs": 5, "attention": (0,)})
    config.penalty.orthogonal = 1e-4
    config.optimizer.g_lr = 1e-4
    config.optimizer.d_lr = 4e-4
    config.optimizer.b1 = 0.0
    config.ema.half_life_images = 14_000_000.0  # 0.9999 a step
    config.ema.start_images = 40_960_000
    config.checkpoint.every_images = 10_000_000
    config.report.every_images = 200_000
    config.report.samples_every_images = 5_000_000
    config = biggan.variant(config, arg)
    if arg:
        config.data.resolution = 64  # from 2x2
    return config
