"""The contract between the training loop and a GAN: one GAN is one file in `ganjax/recipes/` with `build(config)`."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ganjax.errors import UserError, nearest


class Method(NamedTuple):
    """One use of a trained model, ready to be compiled: "sample", "translate_ab", ...

    networks: the names of those whose variables it takes, as {name: variables}; averaged ones where `State.ema` has
    them, else the newest.
    inputs:   (key, n, batch=None) -> dict of arrays: what is drawn for n images or, of images, taken from the batch.
    apply:    ({name: variables}, key, inputs) -> dict of arrays, with train=False; "image" (n, H, W, C) in [-1, 1].
              With inputs["norms"] its norms take these statistics, in place of the image's own.
    norms:    ({name: variables}, inputs) -> the statistics of its norms on the inputs; None where norms see no image.
    stages:   ({name: variables}) -> the layers of a net whose activations may lie on disk (`inference.streamed`).
    """

    networks: tuple[str, ...]
    inputs: Callable
    apply: Callable
    norms: Callable | None = None
    stages: Callable | None = None


class Recipe(NamedTuple):
    """What the loop needs of a GAN. Every function is pure.

    init:    (key, batch) -> State. Only the shapes of `batch` matter.
    step:    (state, batch, key) -> (state, metrics). Jit-able; all updates of D and that of G inside. `metrics` is a
             flat dict of scalars with at least d_loss, g_loss, d_real, d_fake (mean logits).
    methods: what a trained model can do, by name.
    updates: {network: how many updates it has in one step, lazy ones in the mean}: what its schedule counts.
    parts:   the loader yields parts * batch_size images for one step; the step splits them.

    A batch is a dict of arrays, as the config's task prepares it: "image" (B, H, W, C) float32 in [-1, 1] and "label"
    int32 (B,), -1 for unknown; or "a" and "b".
    """

    init: Callable
    step: Callable
    methods: Mapping[str, Method]
    updates: Mapping[str, float]
    parts: int = 1


def networks_of(methods: Mapping[str, Method]) -> tuple[str, ...]:
    """Return the names of the networks that some method needs."""
    return tuple(dict.fromkeys(name for method in methods.values() for name in method.networks))


def build(config) -> Recipe:
    """Return `ganjax.recipes.<config.recipe>.build(config)`.

    Raises UserError for a name that is no recipe, and for a config that the recipe cannot be built of.
    """
    package = importlib.import_module("ganjax.recipes")
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    name = config.recipe
    if name not in names:
        raise UserError(f"config.recipe = {name!r} is no file in ganjax/recipes/{nearest(name, names)}")
    try:
        return importlib.import_module(f"ganjax.recipes.{name}").build(config)
    except UserError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"recipe {name} cannot be built of this config: {reason[:300]}") from error
