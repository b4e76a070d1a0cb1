"""Images of coloured blobs, and a small run that learns from a folder."""

import numpy as np

from ganjax.configs.generate import dcgan


def pictures(n, seed=0, side=32, shift=0):
    """Return n images of blobs, of a colour that `shift` moves."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 160, (n, 4, 4, 3)) + shift
    blobs = coarse.repeat(side // 4, 1).repeat(side // 4, 2) + rng.integers(-20, 20, (n, side, side, 3))
    return np.clip(blobs, 0, 255).astype(np.uint8)


def small(paintings, **changes):
    config = dcgan.get_config("debug")
    config.data.path, config.report.tensorboard, config.batch_size = str(paintings), False, 8
    config.total_images, config.checkpoint.every_images, config.checkpoint.keep_last = 48, 16, 9
    with config.unlocked():
        config.update_from_flattened_dict(changes)
    return config
