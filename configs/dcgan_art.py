"""DCGAN on a folder of artworks, 64x64 or, with --config.data.resolution=32, 32x32.

python launch.py train --config=configs/dcgan_art.py --workdir=runs/art --config.data.path=FOLDER
"""

from ml_collections import ConfigDict

from configs import dcgan


def get_config(arg: str = "") -> ConfigDict:
    config = dcgan.get_config(arg)
    config.data.name = "folder"
    return config
