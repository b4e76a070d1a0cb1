"""A follow-up to R3GAN: its losses and schedules, with networks that keep magnitudes, and without published numbers."""

from ganjax.nets import r3gan2
from ganjax.recipe import Recipe
from ganjax.recipes import r3gan


def build(config) -> Recipe:
    """Build the recipe from `configs/generate/r3gan2.py`."""
    return r3gan.build(config, r3gan2, r3gan2.constrained)
