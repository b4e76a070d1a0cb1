"""SinGAN: new images, of any size, from a single picture.

python launch.py train --config=singan --workdir=runs/one --config.data.path=PAINTING.jpg
python launch.py sample --workdir=runs/one --num=10 --size=96x250 --out=new

A quarter of the published steps, for a CPU. As published, for a GPU: --config.data.resolution=250 and 2,000 steps for
each of its 10 scales, --config.total_images=20000. No score was measured here.
"""

from ml_collections import ConfigDict

from ganjax.config.groups import debug, for_recipe


def get_config(arg: str = "") -> ConfigDict:
    config = for_recipe("singan")
    config.data.resolution = 96
    config.data.atelier.update({"num_images": 1, "styles": ("impressionism",)})  # without --config.data.path
    config.total_images = 3_000  # 500 for each of 6 scales
    config = debug(config, arg)
    if arg:
        config.batch_size = config.data.atelier.num_images = 1
        config.total_images = 8
        config.model.generator.width = config.model.discriminator.width = 4
        config.report.grid = 4
    return config
