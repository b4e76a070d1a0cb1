"""The follow-up to R3GAN at 32x32, narrow, for 2 CPU cores: without published numbers, and hardly tried here.

python launch.py train --config=r3gan2 --workdir=runs/r3gan2 --config.data.path=FOLDER
python launch.py train --config=r3gan2:ffhq64 ...                                    # of full width, for a GPU
"""

from ml_collections import ConfigDict

from ganjax.configs.generate import r3gan


def get_config(arg: str = "") -> ConfigDict:
    config = r3gan.get_config(arg)
    config.recipe = "r3gan2"
    config.model.group = 4 if arg == "debug" else 32
    if arg in ("cifar10", "ffhq64", "ffhq256"):
        config.model.width = 512
    for rate in (config.optimizer.g_lr, config.optimizer.d_lr):
        rate.update({"from": 1e-2, "to": 1e-3})
    config.ada.paired = True
    config.ema.half_life_images, config.ema.ramp = 1e9, 0.0873  # t^7: a deviation of 0.1 of the images seen
    return config
