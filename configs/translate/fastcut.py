"""FastCUT at 256 px: CUT without the identity term, ten times the PatchNCE weight, flipped images, half the length.

python launch.py train --config=fastcut --workdir=runs/fastcut --config.data.a=DIR --config.data.b=DIR
"""

from ml_collections import ConfigDict

from ganjax.configs.translate import cut


def get_config(arg: str = "") -> ConfigDict:
    config = cut.get_config(arg)
    config.loss.nce, config.loss.nce_identity, config.loss.mirror = 10.0, False, 0.5
    if not arg:
        config.total_images, config.optimizer.decay_start = 214_800, 0.75  # 150 + 50 epochs
    return config
