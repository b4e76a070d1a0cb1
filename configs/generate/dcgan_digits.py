"""DCGAN on the digits of MNIST, 28x28 gray, latent 100.

python launch.py train --config=dcgan_digits --workdir=runs/digits --config.data.path=FOLDER

FOLDER holds train-images-idx3-ubyte and train-labels-idx1-ubyte, plain or .gz; --config.data.split=test reads t10k-*.
About 1,100 images/s on 2 CPU cores; after 60,000 images of the test split (a minute) many samples are digits.
"""

from ml_collections import ConfigDict

from ganjax.configs.generate import dcgan


def get_config(arg: str = "") -> ConfigDict:
    config = dcgan.get_config()
    config.data.name = "mnist"
    config.data.resolution = 28
    config.data.channels = 1
    config.augment.flip = False
    config.total_images = 600_000
    return dcgan.variant(config, arg)
