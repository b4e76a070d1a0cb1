"""Restoration: pix2pix from damaged to whole images; the task damages whole images. 256 px, U-Net of width 64, batch 1.

python launch.py train --config=restore --workdir=runs/restore --config.data.path=FOLDER

--config.damage.kinds lists the damage that it learns to repair; with --config.damage.kinds=grey it learns to colour.
"""

from ml_collections import ConfigDict

from ganjax.config.groups import for_recipe
from ganjax.configs.translate import pix2pix


def get_config(arg: str = "") -> ConfigDict:
    config = pix2pix.configure(for_recipe("pix2pix", task="restore"), arg)
    config.damage.kinds = ("blur", "gaussian", "downscale", "jpeg", "fading", "cracks")
    config.damage.chance = 0.5
    return config
