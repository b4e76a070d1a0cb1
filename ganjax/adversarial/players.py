"""The networks of a game, as a loss function calls them within one traced function."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax

GENERATOR, DISCRIMINATOR = SIDES = ("generator", "discriminator")


def _is_convolution(module: nn.Module, method: str) -> bool:
    """Return whether a module is a convolution by its name: Flax's, this project's, or one of an extension."""
    return method == "__call__" and "Conv" in type(module).__name__


class Player(NamedTuple):
    """A network of the game.

    side: the side whose loss trains it. averaged: whether `State.ema` has its average. constrain: params -> params,
    which follows each update; None: nothing does.
    """

    net: nn.Module
    side: str
    averaged: bool = False
    constrain: Callable | None = None


class Players:
    """`players[name](...)` applies a network with train=True and tracks its mutable collections from call to call.

    Collections (batch statistics, spectral vectors) change only for networks of the side that is updated; the others
    always use their initial ones. `extra` and `constants` (`State.extra` and `.frozen`) and `images` (the number of
    images seen) are read-only.
    """

    def __init__(
        self,
        nets: Mapping[str, nn.Module],
        params: dict[str, Any],
        initial: dict[str, dict],
        updated: tuple[str, ...],
        extra: dict[str, Any],
        constants: dict[str, Any],
        images: jax.Array,
        current: dict[str, dict] | None = None,
    ):
        """Hold the networks for one update.

        initial: {name: collections} at the start of the update. updated: names of the networks of the side that is
        updated. current: {name: collections} that differ from `initial`, after a call of `generate`.
        """
        self._nets, self._params, self._initial, self._updated = nets, params, initial, updated
        self._current = {**initial, **(current or {})}
        self.extra, self.constants, self.images = extra, constants, images

    def __getitem__(self, name: str) -> Callable:
        def apply(*args, **kwargs):
            out, collections = self._apply(name, self._params[name], self._current[name], args, kwargs)
            if name in self._updated:
                self._current[name] = collections
            return out

        return apply

    def frozen(self, name: str) -> Callable:
        """Return the network with constant parameters and collections: gradients flow to its inputs only."""
        params = jax.lax.stop_gradient(self._params[name])
        return lambda *args, **kwargs: self._apply(name, params, self._initial[name], args, kwargs)[0]

    def layers(self, name: str, variables: dict | None = None) -> Callable:
        """Return the function (*args, **kwargs) -> outputs of all convolutions, by the present weights or by others.

        Its collections are the initial ones, and do not change.
        """
        variables = variables or {"params": self._params[name], **self._initial[name]}

        def apply(*args, **kwargs) -> list[jax.Array]:
            mutable = [key for key in variables if key != "params"] + ["intermediates"]
            settings = {"train": True, "mutable": mutable, "capture_intermediates": _is_convolution}
            return jax.tree.leaves(self._nets[name].apply(variables, *args, **settings, **kwargs)[1]["intermediates"])

        return apply

    def at_start(self) -> "Players":
        """Return the same networks with their initial collections, which calls do not change: for penalties."""
        return Players(self._nets, self._params, self._initial, (), self.extra, self.constants, self.images)

    def params(self, name: str) -> dict:
        """Return the parameters of a network."""
        return self._params[name]

    @property
    def collections(self) -> dict[str, dict]:
        """Return {name: collections} of the networks of the side that is updated, after all calls so far."""
        return {name: self._current[name] for name in self._updated}

    def _apply(self, name: str, params: dict, collections: dict, args: tuple, kwargs: dict) -> tuple:
        variables = {"params": params, **collections}
        return self._nets[name].apply(variables, *args, train=True, mutable=list(collections), **kwargs)
