"""R3GAN at 32x32, narrow, for 2 CPU cores: a relativistic loss with R1 and R2, no tricks.

python launch.py train --config=r3gan --workdir=runs/r3gan --config.data.path=FOLDER
python launch.py train --config=r3gan:ffhq64 ...                                     # as published, for a GPU

Published (FID of 50,000 samples): cifar10, with labels, 1.96; ffhq64 1.95; ffhq256 2.75.
"""

from ml_collections import ConfigDict

from ganjax.config.groups import debug, for_recipe

# resolution, first learning rate (the last is a quarter), half-life of the average, largest probability of ADA, first
# weight of R1 and R2 (the last is a tenth), images over which all of them change (0: the run's), batch size
PRESETS = {
    "cifar10": (32, 2e-4, 5e6, 0.55, 0.05, 20e6, 512),
    "ffhq64": (64, 2e-4, 5e5, 0.3, 2.0, 20e6, 256),
    "ffhq256": (256, 2e-4, 5e5, 0.3, 150.0, 20e6, 256),
    "": (32, 2e-3, 3e3, 0.3, 2.0, 0, 16),
}


def get_config(arg: str = "") -> ConfigDict:
    config = for_recipe("r3gan")
    preset = arg if arg in PRESETS else ""
    resolution, rate, half_life, p, gamma, images, batch_size = PRESETS[preset]
    config.batch_size, config.data.resolution, config.total_images = batch_size, resolution, int(images or 1e6)

    def cosine(first: float, last: float) -> ConfigDict:
        return ConfigDict({"kind": "cosine", "from": first, "to": last, "images": images})

    config.loss.kind = "relativistic"
    config.penalty.r1 = cosine(gamma, gamma / 10)
    config.penalty.r2 = cosine(gamma, gamma / 10)
    config.optimizer.g_lr = cosine(rate, rate / 4)
    config.optimizer.d_lr = cosine(rate, rate / 4)
    config.optimizer.b1 = 0.0
    config.optimizer.b2 = cosine(0.9, 0.99)
    config.ema.half_life_images = cosine(0.0, half_life)
    config.ema.ramp = 0.0
    config.ada.policy = "blit,geometry,color*0.5,cutout" if preset else ""  # a third of the time on a CPU
    config.ada.p = cosine(0.0, p)
    config.ada.target = 0.0
    config.augment.flip = preset != ""
    if not preset:
        config.model.width = 32
    if preset == "cifar10":
        config.data.labels, config.condition.kind = True, "projection"
    if arg == "debug":
        config.model.width = 8
        return debug(config, arg)
    return config
