"""DCGAN at 32x32: transposed convolutions 256, 128, 64, 3; discriminator 64, 128, 256, 1; latent 100.

python launch.py train --config=dcgan32 --workdir=runs/dcgan32 --config.data.path=FOLDER

About 500 images/s on 2 CPU cores with AVX-512; dcgan_art.py describes the result after 300,000 images.
"""

from ml_collections import ConfigDict

from ganjax.configs.generate import dcgan


def get_config(arg: str = "") -> ConfigDict:
    config = dcgan.get_config(arg)
    config.data.resolution = 32
    return config
