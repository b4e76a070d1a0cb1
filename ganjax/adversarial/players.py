"""The networks of a game, as an objective sees them within one traced function."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax

GENERATOR, DISCRIMINATOR = SIDES = ("generator", "discriminator")


class Player(NamedTuple):
    """A network of the game. side: with whose loss it moves. averaged: whether `State.ema` holds it, too."""

    net: nn.Module
    side: str
    averaged: bool = False


class Players:
    """`players[name](...)` applies a network in training, and keeps what its collections became, in call order.

    Collections (batch statistics, spectral vectors) move for networks of the side whose update it is; the others answer
    from where they stand. `kept` is `State.extra`, and `images` the number of images seen, both to read.
    """

    def __init__(
        self,
        nets: Mapping[str, nn.Module],
        params: dict[str, Any],
        first: dict[str, dict],
        moving: tuple[str, ...],
        kept: dict[str, Any],
        images: jax.Array,
        now: dict[str, dict] | None = None,
    ):
        """Hold `params` and the collections at the start of the update, `first`; `now`: those that have moved since."""
        self._nets, self._params, self._first, self._moving = nets, params, first, moving
        self._now, self.kept, self.images = {**first, **(now or {})}, kept, images

    def __getitem__(self, name: str) -> Callable:
        def apply(*args, **kwargs):
            out, moved = self._apply(name, self._params[name], self._now[name], args, kwargs)
            if name in self._moving:
                self._now[name] = moved
            return out

        return apply

    def frozen(self, name: str) -> Callable:
        """Return the network with its parameters held: gradients pass to its inputs alone, and its collections stay."""
        params = jax.lax.stop_gradient(self._params[name])
        return lambda *args, **kwargs: self._apply(name, params, self._first[name], args, kwargs)[0]

    def still(self) -> "Players":
        """Return the same networks with the collections of the start, for penalties, which leave them there."""
        return Players(self._nets, self._params, self._first, (), self.kept, self.images)

    def params(self, name: str) -> dict:
        """Return the parameters of a network."""
        return self._params[name]

    @property
    def moved(self) -> dict[str, dict]:
        """Return {name: collections} of the networks of the side that moves, after all calls so far."""
        return {name: self._now[name] for name in self._moving}

    def _apply(self, name: str, params: dict, collections: dict, args: tuple, kwargs: dict) -> tuple:
        variables = {"params": params, **collections}
        return self._nets[name].apply(variables, *args, train=True, mutable=list(collections), **kwargs)
