"""StyleGAN2-ADA at 64x64, narrow, for 2 CPU cores.

python launch.py train --config=stylegan2 --workdir=runs/stylegan2 --config.data.path=FOLDER
python launch.py train --config=stylegan2:paper256 ...                               # as published, for a GPU

Published (FID of 50,000 samples, ADA): cifar 2.42.
"""

from ml_collections import ConfigDict

from ganjax.config.groups import debug, for_recipe

# resolution, batch size, group of the standard deviation, channels, learning rate, weight of R1, half-life of the
# average, layers of the mapping network, images
PRESETS = {
    "paper256": (256, 64, 8, 16384, 2.5e-3, 1.0, 20_000.0, 8, 25e6),
    "paper512": (512, 64, 8, 32768, 2.5e-3, 0.5, 20_000.0, 8, 25e6),
    "paper1024": (1024, 32, 4, 32768, 2e-3, 2.0, 10_000.0, 8, 25e6),
    "cifar": (32, 64, 32, 32768, 2.5e-3, 0.01, 500_000.0, 2, 100e6),
    "auto": (256, 16, 4, 16384, 2.5e-3, 2e-4 * 256**2 / 16, 5_000.0, 2, 25e6),
    "": (64, 16, 4, 2048, 1e-2, 0.5, 5_000.0, 2, 1e6),  # few images need larger steps, and these a larger R1
}


def get_config(arg: str = "") -> ConfigDict:
    config = for_recipe("stylegan2")
    preset = arg if arg in PRESETS else ""
    resolution, batch_size, group, channels, rate, r1, half_life, mapping, images = PRESETS[preset]
    config.batch_size, config.data.resolution, config.total_images = batch_size, resolution, int(images)
    config.model.channels, config.model.mapping = channels, mapping
    config.model.discriminator.group = group

    config.penalty.r1, config.penalty.every = r1, 16
    config.penalty.path_length = 2.0
    config.optimizer.g_lr = config.optimizer.d_lr = rate
    config.optimizer.b1, config.optimizer.b2 = 0.0, 0.99
    config.ema.half_life_images = half_life
    config.ema.ramp = 0.0 if preset.startswith("paper") else 0.05
    config.ada.policy = "bgc" if preset else "paint"
    config.augment.flip = preset not in ("cifar", "auto")
    if preset == "cifar":
        config.model.mixing, config.penalty.path_length, config.model.discriminator.residual = 0.0, 0.0, False
        config.data.labels, config.condition.kind = True, "projection"
        config.optimizer.g_lr = 0.8 * rate  # as published: corrected for a path length whose weight is 0
    if preset == "":
        config.model.z_dim = config.model.w_dim = 128
        config.model.most = 128
    if arg == "debug":
        config.model.channels, config.model.most, config.model.w_dim, config.model.z_dim = 128, 8, 8, 8
        return debug(config, arg)
    return config
