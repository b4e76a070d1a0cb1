"""DCGAN-64 as published: 64x64, width 64, batch 64, Adam 2e-4. The base of the other dcgan configs.

python launch.py train --config=configs/dcgan.py --workdir=runs/dcgan

On the built-in data set unless --config.data.path=FOLDER is given. 70 to 110 images/s on 2 CPU cores with
AVX-512, so 4 to 6 hours for its 1,600,000 images; no score has been measured for it. `:debug` runs in seconds.
"""

from ml_collections import ConfigDict

from ganjax.config import base


def get_config(arg: str = "") -> ConfigDict:
    config = base()
    config.recipe = "dcgan"
    config.total_images = 1_600_000  # 25,000 steps

    config.model = ConfigDict()
    config.model.z_dim = 100
    config.model.init = "normal"  # N(0, 0.02), or xavier
    config.model.generator = ConfigDict(
        # widths: empty follows from width and resolution
        {"width": 64, "widths": (), "max_width": 1024, "norm": "batch", "slope": 0.0, "head_kernel": 0}
    )
    config.model.discriminator = ConfigDict(
        {"width": 64, "widths": (), "max_width": 1024, "norm": "batch", "slope": 0.2, "dropout": 0.0}
    )

    config.loss = ConfigDict()
    config.loss.label_smoothing = 0.0  # one-sided: the target of real images is 1 - this
    config.loss.instance_noise = 0.0  # std at the start, on images in [-1, 1]; falls to 0 over the schedule

    config.optimizer = ConfigDict()
    config.optimizer.g_lr = 2e-4
    config.optimizer.d_lr = 2e-4
    config.optimizer.b1 = 0.5
    config.optimizer.b2 = 0.999
    config.optimizer.schedule = "constant"  # or linear, cosine: to 0
    config.optimizer.decay_start = 0.0  # share of the run before the fall begins
    config.optimizer.clip_norm = 0.0  # global norm of each network's gradient; 0: off

    config.ema = ConfigDict()
    config.ema.half_life_images = 10_000.0
    config.ema.ramp = 0.05  # half-life at most this share of the images seen; 0: off

    return variant(config, arg)


def variant(config: ConfigDict, arg: str) -> ConfigDict:
    """Return the config, for "debug" made to last seconds: small nets, small images, 20 steps."""
    if arg not in ("", "debug"):
        raise ValueError(f"the only variant is :debug, not :{arg}")
    if arg:
        config.batch_size = 8
        config.total_images = 160
        config.data.resolution = min(config.data.resolution, 32)
        config.data.atelier.num_images = 64
        for net in (config.model.generator, config.model.discriminator):
            net.width, net.widths = 8, tuple(8 for _ in net.widths)
        config.checkpoint.every_images = 80
        config.report.every_images = 40
        config.report.samples_every_images = 80
        config.report.grid = 16
    return config
