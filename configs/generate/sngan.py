"""SNGAN-ResNet-32: hinge loss, spectral normalisation, five updates of D per update of G.

python launch.py train --config=sngan --workdir=runs/sngan --config.data.path=FOLDER

With classes from sub-folders (cGAN-PD): --config.data.labels=true --config.condition.kind=projection
Published (mimicry, CIFAR-10, batch 64, 100,000 steps): FID 16.77, with labels 10.84. For a GPU at full width; on a CPU
use --config.model.width=0.25. Images are counted by G's updates: D sees five times as many real images.
"""

from ml_collections import ConfigDict

from ganjax.config.groups import debug, for_recipe


def get_config(arg: str = "") -> ConfigDict:
    config = for_recipe("sngan")
    config.total_images = 6_400_000  # 100,000 steps
    config.d_steps = 5

    config.model.generator.widths = (256, 256, 256, 256)
    config.model.discriminator.widths = (128, 128, 128, 128)
    config.data.resolution = 32

    config.loss.kind = "hinge"
    config.optimizer.b1 = 0.0
    config.optimizer.b2 = 0.9
    config.optimizer.schedule = "linear"
    return variant(config, arg)


def variant(config: ConfigDict, arg: str) -> ConfigDict:
    """Return the config; for "debug", with narrow networks and cut down to a run of seconds."""
    if arg:
        config.model.width = 8 / config.model.generator.widths[-1]
        config.d_steps = min(config.d_steps, 2)
    return debug(config, arg)
