"""The standard DCGAN at 64x64, as in PyTorch's tutorial: 3.58 M and 2.77 M parameters, batch 64.

python launch.py train --config=dcgan64 --workdir=runs/dcgan64 --config.data.path=FOLDER

70 to 110 images/s on 2 CPU cores with AVX-512; no score was measured at the full length.
"""

from ml_collections import ConfigDict

from ganjax.configs.generate import dcgan


def get_config(arg: str = "") -> ConfigDict:
    return dcgan.get_config(arg)
