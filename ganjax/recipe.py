"""The contract between the training loop and a GAN: one GAN is one file in `ganjax/recipes/` with `build(config)`."""

import importlib
import pkgutil
from collections.abc import Callable
from typing import NamedTuple

from ganjax.errors import UserError, nearest


class Recipe(NamedTuple):
    """What the loop needs of a GAN. Every function is pure.

    init:    (key, batch) -> GANState. Only the shapes of `batch` matter.
    step:    (state, batch, key) -> (state, metrics). Jit-able; all D sub-steps and the G step inside. `metrics` is a
             flat dict of scalars with at least d_loss, g_loss, d_real, d_fake (mean logits).
    inputs:  (key, n, batch=None) -> dict of what `sample` needs: "z" and, for conditional nets, "label"; or "image"
             and a static "direction".
    sample:  (variables, key, inputs) -> images (n, H, W, C) in [-1, 1], with train=False.
    d_steps: the loader yields d_steps * batch_size images for one step; the step splits them.

    A batch is a dict: "image" (B, H, W, C) float32 in [-1, 1], "label" int32 (B,), -1 for unknown.
    """

    init: Callable
    step: Callable
    inputs: Callable
    sample: Callable
    d_steps: int = 1


def build(config) -> Recipe:
    """Return `ganjax.recipes.<config.recipe>.build(config)`.

    UserError for a name that is no recipe, and for a config that the recipe cannot be built of.
    """
    package = importlib.import_module("ganjax.recipes")
    known = [module.name for module in pkgutil.iter_modules(package.__path__)]
    name = config.recipe
    if name not in known:
        raise UserError(f"config.recipe = {name!r} is no file in ganjax/recipes/{nearest(name, known)}")
    try:
        return importlib.import_module(f"ganjax.recipes.{name}").build(config)
    except UserError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"recipe {name} cannot be built of this config: {reason[:300]}") from error
