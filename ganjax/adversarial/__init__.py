"""What recipes from noise share: the keys of their configs, what is refused, and the step; a recipe brings the nets.

The step makes some updates of D, then one of G, with the loss, penalties, augmentation, conditions and schedules of
the config. Every random draw of an image follows from a key of its own, so that neither devices nor accumulation
change it.
"""

from ganjax.adversarial.keys import Nets, check, conditioned, sizes_of
from ganjax.adversarial.step import build
from ganjax.adversarial.updates import GRADIENT

__all__ = ["GRADIENT", "Nets", "build", "check", "conditioned", "sizes_of"]
