"""What `make demo` trains: three styles of the built-in data set, 32x32, a narrow DCGAN.

python launch.py train --config=configs/demo.py --workdir=runs/demo
"""

from ml_collections import ConfigDict

from configs import dcgan


def get_config(arg: str = "") -> ConfigDict:
    config = dcgan.get_config()
    config.total_images = 96_000
    config.data.resolution = 32
    config.data.atelier.num_images = 3000
    config.data.atelier.styles = ("colour_field", "de_stijl", "ukiyo_e")
    config.augment.flip = False
    config.model.generator.width = 32
    config.model.discriminator.width = 32
    config.report.samples_every_images = 8_000
    config.checkpoint.every_images = 32_000
    return dcgan.variant(config, arg)
