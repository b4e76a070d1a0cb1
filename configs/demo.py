"""The run of `make demo`: three styles of the built-in dataset, 32x32, a narrow DCGAN.

python launch.py train --config=demo --workdir=runs/demo

On 2 CPU cores 160,000 images take 3 to 4 minutes; expect grids of lines, soft fields and coasts with a sun, which are
easy to tell apart (docs/demo.png). A lower learning rate of D, and instance noise that decays to 0 over the first three
quarters of the run, keep D from overpowering the narrow generator.
"""

from ml_collections import ConfigDict

from ganjax.configs.generate import dcgan


def get_config(arg: str = "") -> ConfigDict:
    config = dcgan.get_config()
    config.total_images = 160_000
    config.schedule_images = 120_000
    config.data.resolution = 32
    config.data.atelier.num_images = 3000
    config.data.atelier.styles = ("colour_field", "de_stijl", "ukiyo_e")
    config.augment.flip = False
    config.model.generator.width = 40
    config.model.discriminator.width = 32
    config.optimizer.g_lr = 4e-4
    config.optimizer.d_lr = 1e-4
    config.loss.instance_noise = 0.3
    config.report.samples_every_images = 10_000
    config.checkpoint.every_images = 40_000
    return dcgan.variant(config, arg)
