"""A follow-up to R3GAN: its losses and schedules, with networks that keep magnitudes, and without published numbers."""

from ganjax.errors import UserError
from ganjax.nets import r3gan2
from ganjax.recipe import Recipe
from ganjax.recipes import r3gan


def build(config) -> Recipe:
    """Build the recipe from `configs/generate/r3gan2.py`."""
    if config.accumulate > 1:
        raise UserError("config.accumulate: r3gan2 draws the noise of its layers for a whole batch; set it to 1")
    return r3gan.build(config, r3gan2, r3gan2.constrained)
