"""BigGAN at 32x32 (StudioGAN's CIFAR-10 form): z of 4 x 20, shared class embedding of 128, attention at 16x16.

python launch.py train --config=biggan --workdir=runs/biggan --config.data.path=FOLDER_OF_CLASSES

Published (StudioGAN, CIFAR-10, batch 64, 100,000 steps): FID 4.16. For a GPU; on a CPU use --config.model.width=0.25.
No score was measured here. For few images use --config.diffaugment=full, or palette for paintings.
"""

from ml_collections import ConfigDict

from ganjax.config.groups import debug, for_recipe


def get_config(arg: str = "") -> ConfigDict:
    config = for_recipe("biggan")
    config.total_images = 6_400_000  # 100,000 steps
    config.d_steps = 5

    config.model.z_dim = 80
    config.model.generator.update({"widths": (384, 384, 384, 384), "attention": (1,)})
    config.model.discriminator.update({"widths": (192, 192, 192, 192), "attention": (0,)})
    config.data.resolution = 32
    config.data.labels = True
    config.condition.kind = "projection"

    config.loss.kind = "hinge"
    config.optimizer.eps = 1e-6
    config.ema.half_life_images = 443_000.0  # 0.9999 a step
    config.ema.ramp = 0.0
    config.ema.start_images = 64_000
    return variant(config, arg)


def variant(config: ConfigDict, arg: str) -> ConfigDict:
    """Return the config; for "debug", with narrow networks and cut down to a run of seconds."""
    if arg:
        config.model.width = 1 / 24
        config.model.generator.shared = 8
        config.d_steps = min(config.d_steps, 2)
        config.ema.start_images = 16
    return debug(config, arg)
