"""CUT at 256 px, two folders of images: 9 blocks, width 64, batch 1, 400 epochs of 1,074 paintings.

python launch.py train --config=cut --workdir=runs/cut --config.data.a=DIR --config.data.b=DIR

For a GPU. On a CPU at 64 px: --config.data.resolution=64 --config.data.load_size=72 --config.model.generator.width=32
--config.model.generator.blocks=6 --config.model.discriminator.layers=2 --config.optimizer.d_lr=4e-4
--config.total_images=10000. On monet2photo, D with the rate 2e-4, width 32 and 3 layers stayed at chance: rand_fd of
translated photographs was 4.5 in place of 3.2 (5.5 for the photographs themselves).
"""

from ml_collections import ConfigDict

from ganjax.config.groups import for_recipe
from ganjax.configs.translate import cyclegan


def get_config(arg: str = "") -> ConfigDict:
    config = cyclegan.on_two_folders(for_recipe("cut"), arg)
    if arg:
        config.model.heads = 16
    else:
        config.total_images = 429_600
    return config
