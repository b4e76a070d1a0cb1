"""DCGAN-64 as published: 64x64, width 64, batch 64, Adam 2e-4. The base of the other dcgan configs.

python launch.py train --config=dcgan --workdir=runs/dcgan

Trains on the built-in dataset unless --config.data.path=FOLDER is given. 70 to 110 images/s on 2 CPU cores with
AVX-512, so 4 to 6 hours for 1,600,000 images; no score was measured. `:debug` runs in seconds.
"""

from ml_collections import ConfigDict

from ganjax.config.groups import debug, for_recipe


def get_config(arg: str = "") -> ConfigDict:
    config = for_recipe("dcgan")
    config.total_images = 1_600_000  # 25,000 steps
    config.model.z_dim = 100
    return variant(config, arg)


def variant(config: ConfigDict, arg: str) -> ConfigDict:
    """Return the config; for "debug", with narrow networks and cut down to a run of seconds."""
    if arg:
        for net in (config.model.generator, config.model.discriminator):
            net.width, net.widths = 8, tuple(8 for _ in net.widths)
    return debug(config, arg)
