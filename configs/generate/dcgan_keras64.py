"""The 64x64 DCGAN of the Keras kind: from Dense 8x8x128, no norm, leaky ReLU; discriminator 128, 256, dropout 0.25.

python launch.py train --config=dcgan_keras64 --workdir=runs/keras64 --config.data.path=FOLDER

For a GPU: the last layers are the widest, and 2 CPU cores reach 8 images/s. No score was measured.
"""

from ml_collections import ConfigDict

from ganjax.configs.generate import dcgan


def get_config(arg: str = "") -> ConfigDict:
    config = dcgan.get_config()
    config.model.init = "xavier"
    config.model.generator.update({"widths": (128, 128, 256, 512), "norm": "none", "slope": 0.2, "head_kernel": 5})
    config.model.discriminator.update({"widths": (128, 256), "norm": "none", "dropout": 0.25})
    return dcgan.variant(config, arg)
