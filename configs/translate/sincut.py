"""SinCUT at 64 px: one photograph and one painting, each a file, cut into windows; batch 16, 1,600,000 crops.

python launch.py train --config=sincut --workdir=runs/sincut --config.data.a=A.jpg --config.data.b=B.jpg

For a GPU. On a CPU: --config.model.generator.width=16 --config.model.discriminator.width=8
--config.total_images=100000
"""

from ml_collections import ConfigDict

from ganjax.config.groups import debug, for_recipe


def get_config(arg: str = "") -> ConfigDict:
    config = for_recipe("sincut")
    config.batch_size, config.total_images = 16, 1_600_000
    config.data.resolution, config.data.load_size = 64, 96
    config.data.windows = 1024
    config.data.paired = "no"
    config.report.samples_every_images = 50_000

    config.model.generator.update({"width": 80, "blocks": 6})
    config.loss.kind = "non_saturating"
    config.optimizer.g_lr = config.optimizer.d_lr = 2e-3
    config.optimizer.b1, config.optimizer.b2 = 0.0, 0.99

    config = debug(config, arg)
    if arg:
        config.data.load_size, config.data.windows, config.batch_size = 48, 128, 4
        config.model.generator.width, config.model.discriminator.width = 8, 8
        config.model.generator.blocks, config.model.heads = 2, 16
    return config
