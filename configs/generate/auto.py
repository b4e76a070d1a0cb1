"""A folder of artworks, without a choice to make: the settings follow from the images and the device.

python launch.py train --config=auto --workdir=runs/mine --config.data.path=FOLDER

At the first start a table shows what was chosen, and why; config.json keeps it. Every key that you set stays, such as
--config.data.resolution=32 or --config.total_images=20000. Without --config.auto this is the config projected.
"""

from ml_collections import ConfigDict

from ganjax.configs.generate import projected


def get_config(arg: str = "") -> ConfigDict:
    config = projected.get_config(arg)
    config.auto = not arg
    return config
