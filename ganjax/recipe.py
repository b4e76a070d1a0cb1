"""The contract between the training loop and a GAN. Each GAN is one file in `ganjax/recipes/` with `build(config)`."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ganjax.errors import UserError, nearest


class Method(NamedTuple):
    """One use of a trained model, jit-able: "sample", "translate_ab", ...

    networks: names of the networks whose variables it takes, as {name: variables}; averaged if `State.ema` has them,
              else the newest.
    inputs:   (key, n, batch=None) -> dict of arrays: random draws for n images, or n source images of the batch.
    apply:    ({name: variables}, key, inputs) -> dict of arrays, with train=False; "image" (n, H, W, C) in [-1, 1], or
              of the method "map" "codes" (n, layers, D), of which "synthesize" makes images.
              With inputs["norms"], norms use these statistics in place of the image's own.
    norms:    ({name: variables}, inputs) -> statistics of the norms on the inputs; None if norms do not depend on them.
    stages:   ({name: variables}) -> the layers of a network whose activations can be on disk (`inference.streamed`).
    sized:    ((height, width)) -> the same method for images of another size; None if their size is fixed.
    """

    networks: tuple[str, ...]
    inputs: Callable
    apply: Callable
    norms: Callable | None = None
    stages: Callable | None = None
    sized: Callable | None = None


class Recipe(NamedTuple):
    """A GAN as the loop uses it. All functions are pure.

    init:    (key, batch) -> State. Only the shapes of `batch` matter.
    step:    (state, batch, key) -> (state, metrics). Jit-able; does all updates of D and the one of G. `metrics` is a
             flat dict of scalars with at least d_loss, g_loss, d_real, d_fake (mean logits).
    methods: the uses of a trained model, by name.
    updates: {network: updates per step, lazy ones on average}, which its schedules count.
    parts:   the loader yields parts * batch_size images for one step; the step splits them.
    frozen:  () -> {name: arrays}, `State.frozen` of the states that `step` takes, on the host.

    A batch is a dict of arrays, which the config's task prepares: "image" (B, H, W, C) float32 in [-1, 1] and "label"
    int32 (B,), -1 for unknown; or "a" and "b".
    """

    init: Callable
    step: Callable
    methods: Mapping[str, Method]
    updates: Mapping[str, float]
    parts: int = 1
    frozen: Callable = dict


def networks_of(methods: Mapping[str, Method]) -> tuple[str, ...]:
    """Return the names of the networks that the methods need."""
    return tuple(dict.fromkeys(name for method in methods.values() for name in method.networks))


def build(config) -> Recipe:
    """Return `ganjax.recipes.<config.recipe>.build(config)`.

    Raises UserError if there is no such recipe, or if it cannot be built from this config.
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
        raise UserError(f"recipe {name} cannot be built from this config: {reason[:300]}") from error
