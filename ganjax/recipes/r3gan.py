"""R3GAN (Huang et al. 2024, arXiv 2501.05441): a relativistic loss with R1 and R2, and plain modern networks.

The loss compares each generated image with a real one; both gradient penalties, in every update, let it converge
(section 2). D and G have real images of their own. All that changes over the run, learning rates, beta 2, the average's
half-life, the probability of the augmentation and the penalties' weight, follows a cosine over the images seen.
"""

import math
from collections.abc import Callable

from ganjax.adversarial import from_noise
from ganjax.adversarial.conditions import sizes_of
from ganjax.config.derived import net_dtypes, size
from ganjax.config.groups import completed
from ganjax.errors import UserError
from ganjax.losses.logits import adversarial
from ganjax.nets import r3gan
from ganjax.recipe import Recipe

FULL = 32  # pixels up to which layers have the full width


def build(config, nets=r3gan, constrain: Callable | None = None) -> Recipe:
    """Build the recipe from `configs/generate/r3gan.py`. nets: the module of its networks. constrain: of their params,
    as `from_noise.build` takes it.
    """
    config = completed(config)
    if config.condition.kind == "acgan":
        raise UserError(f"config.condition.kind = 'acgan': {config.recipe} learns labels by 'projection'")
    own = widths(size(config), config.model.width, nets.FIRST)
    common = {"group": config.model.group, "sizes": sizes_of(config), **net_dtypes(config)}
    generator = nets.Generator(size(config), own, config.data.channels, **common)
    discriminator = nets.Discriminator(own[::-1], **common)
    loss, judge = adversarial(config.loss.kind, config.loss.label_smoothing), from_noise.Judge(config)  # relativistic

    def d_loss(players, part, fakes):
        real, fake = judge.real(players, part), judge.fake(players, part, fakes)
        return judge.d_total(loss.d(real.logits, fake.logits), real, fake, part)

    def g_loss(players, part, fakes):
        real, fake = judge.real_if_paired(players, part), judge.fake(players, part, fakes)
        return judge.g_total(loss.g(real.logits, fake.logits), real, fake, part)

    return from_noise.build(
        config, generator, discriminator, judge, d_loss, g_loss, own_reals=judge.paired, constrain=constrain
    )


def widths(resolution: tuple[int, int], width: int, first: int) -> tuple[int, ...]:
    """Return the widths of G's stages, from a grid of `first` pixels on the shorter side, up to twice that, exclusive,
    to the images.
    """
    doublings = max(int(math.log2(min(resolution) / first)), 0)
    full = int(math.log2(FULL / first))
    return tuple(max(width >> max(i - full, 0), 1) for i in range(doublings + 1))
