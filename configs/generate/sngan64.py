"""SNGAN-ResNet-64 (mimicry's): from 4x4x1024 to 64x64; a discriminator of five downsampling blocks, 64 to 1024 wide.

python launch.py train --config=sngan64 --workdir=runs/sngan64 --config.data.path=FOLDER

For a GPU; on a CPU use --config.model.width=0.25. No score was measured here.
"""

from ml_collections import ConfigDict

from ganjax.configs.generate import sngan


def get_config(arg: str = "") -> ConfigDict:
    config = sngan.get_config()
    config.data.resolution = 64
    config.model.generator.widths = (1024, 512, 256, 128, 64)
    config.model.discriminator.update({"widths": (64, 128, 256, 512, 1024), "downs": 5, "hidden": "in"})
    return sngan.variant(config, arg)
