"""DCGAN on a folder of artworks, 64x64 or, with --config.data.resolution=32, 32x32.

python launch.py train --config=dcgan_art --workdir=runs/art --config.data.path=FOLDER

Measured on 2 CPU cores that did other work too:
- KaoKore, 6,035 faces at 32x32: 300,000 images in 15 minutes, about 350 images/s. Heads, hair and collars are
  recognisable, eyes and mouths seldom. SWD 20.3 on 1,000 samples.
- 270 Monets at 64x64: 60,000 images in 19 minutes, about 60 images/s. The palette, and bright sky over dark land or
  water; soft, no strokes yet.
"""

from ml_collections import ConfigDict

from ganjax.configs.generate import dcgan


def get_config(arg: str = "") -> ConfigDict:
    config = dcgan.get_config(arg)
    config.data.name = "folder"
    return config
