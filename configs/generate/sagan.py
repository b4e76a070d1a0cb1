"""SAGAN at 64x64 (its 128-px networks without the first block): self-attention at 32x32, classes from sub-folders.

python launch.py train --config=sagan --workdir=runs/sagan --config.data.path=FOLDER_OF_CLASSES

Without classes: --config.data.labels=false --config.condition.kind=none
Published (StudioGAN, CIFAR-10): FID 10.35. For a GPU; no score was measured here.
"""

from ml_collections import ConfigDict

from ganjax.config.groups import debug, for_recipe


def get_config(arg: str = "") -> ConfigDict:
    config = for_recipe("sagan")
    config.batch_size = 256
    config.total_images = 25_600_000  # 100,000 steps

    config.model.generator.update({"widths": (1024, 512, 256, 128, 64), "attention": (2,)})  # block 2 gives 32x32
    config.model.discriminator.update({"widths": (64, 128, 256, 512, 1024), "downs": 4, "attention": (0,)})
    config.data.resolution = 64
    config.data.labels = True
    config.condition.kind = "projection"

    config.loss.kind = "hinge"
    config.optimizer.g_lr = 1e-4
    config.optimizer.d_lr = 4e-4
    config.optimizer.b1 = 0.0
    config.optimizer.b2 = 0.9
    if arg:
        config.model.width = 1 / 8
    return debug(config, arg)
