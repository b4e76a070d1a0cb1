"""The engine: two sides that move in turn, each by the gradient of its loss.

A recipe gives a `Game`: its networks, what one update sees, and two losses. The engine owns the rest: the order of
updates, several updates of D for one of G, gradients of a batch in pieces, lazy regularisers, moving averages, rates.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from ganjax.adversarial import gradients, optimisers
from ganjax.adversarial.players import DISCRIMINATOR, GENERATOR, SIDES, Player, Players
from ganjax.adversarial.regularisers import Regulariser
from ganjax.adversarial.validate import validate, validate_collections
from ganjax.config.schedule import value_at
from ganjax.recipe import Method, Recipe
from ganjax.state import State, TrainState, ema_decay, update_ema

Networks = dict[str, TrainState]


class Game(NamedTuple):
    """What a recipe brings.

    players:  {name: Player}.
    starts:   batch of shapes -> {name: the arguments that its net is initialised with}, in the order of `players`.
    part_of:  (batch, i, key) -> dict of arrays (B, ...) that the i-th update of D, or G's, sees: images, latents, keys.
    generate: (players, part) -> fakes, a pytree of arrays (B, ...). It runs once where one pass serves both updates.
    d_loss, g_loss: (players, part, fakes) -> (scalar, terms to log). G's is differentiated by the parameters of its
              side and by the fakes, from which the gradient is pulled back through `generate`.
    show:     (fakes, extra, part) -> (fakes, extra): what D is shown in their place, as from a pool of earlier ones.
    extra:    batch of shapes -> {name: arrays}, of `State.extra`, that `show` keeps.
    first:    the side that moves first.
    own_reals: whether G's loss sees real images of its own: the batch then has one part more than D has updates.
    """

    players: dict[str, Player]
    starts: Callable
    part_of: Callable
    generate: Callable
    d_loss: Callable
    g_loss: Callable
    regularisers: tuple[Regulariser, ...] = ()
    show: Callable | None = None
    extra: Callable | None = None
    first: str = DISCRIMINATOR
    own_reals: bool = False


class Made(NamedTuple):
    """Fakes, their pull-back to the parameters of G's side, and the collections of that side after them."""

    fakes: Any
    pull_back: Callable
    moved: dict[str, dict]


def build(config: ConfigDict, game: Game, methods: Mapping[str, Method]) -> Recipe:
    """Return the recipe of a game with the config's optimisers, averages and counts.

    Raises UserError for what cannot be.
    """
    validate(config, game)
    engine = Alternation(config, game)
    return Recipe(engine.init, engine.step, methods, engine.updates, engine.d_steps + game.own_reals)


class Alternation:
    """The pure `init` and `step` of a game, as `Recipe` has them."""

    def __init__(self, config: ConfigDict, game: Game):
        self.config, self.game = config, game
        self.batch_size, self.d_steps = config.batch_size, config.get("d_steps", 1)
        self.nets = {name: player.net for name, player in game.players.items()}
        self.names = {side: tuple(n for n, p in game.players.items() if p.side == side) for side in SIDES}
        used = {side: [r for r in game.regularisers if r.side == side and r.value] for side in SIDES}
        self.eager = {side: [r for r in used[side] if r.every == 1] for side in SIDES}
        self.lazy = {side: [r for r in used[side] if r.every > 1] for side in SIDES}
        self.take = gradients.accumulated(config.accumulate) if config.accumulate > 1 else gradients.plain
        # D's update does not change G: where nothing else is in the way, one pass of G serves both.
        self.shares = self.d_steps == config.accumulate == 1 and not game.own_reals
        steps = {GENERATOR: 1, DISCRIMINATOR: self.d_steps}
        every = {side: self.lazy[side][0].every if self.lazy[side] else 0 for side in SIDES}
        self.rates, self.optimisers, self.updates = {}, {}, {}
        for side, value in ((GENERATOR, config.optimizer.g_lr), (DISCRIMINATOR, config.optimizer.d_lr)):
            self.rates[side] = optimisers.rate(config, value)
            self.optimisers[side] = optimisers.of_side(config, self.rates[side], steps[side], every[side])
            count = steps[side] * (1 + 1 / every[side]) if every[side] else steps[side]
            self.updates |= dict.fromkeys(self.names[side], count)

    def init(self, key: jax.Array, batch: dict) -> State:
        """Return the first state; only the shapes of the batch matter.

        Raises UserError for what the networks forbid.
        """
        networks, starts = {}, self.game.starts(batch)
        keys = jax.random.split(key, len(starts))
        for own, (name, arguments) in zip(keys, starts.items(), strict=True):
            variables = self.nets[name].init(own, *arguments, train=False)
            tx = self.optimisers[self.game.players[name].side]
            networks[name] = TrainState.from_variables(self.nets[name].apply, variables, tx)
        validate_collections(self.config, self.game, {name: set(n.mutable) for name, n in networks.items()})
        extra = self.game.extra(batch) if self.game.extra else {}
        extra |= {r.name: r.init() for r in self.game.regularisers if r.init}
        return State.create(networks, tuple(n for n, p in self.game.players.items() if p.averaged), extra)

    def step(self, state: State, batch: dict, key: jax.Array) -> tuple[State, dict]:
        """Return the state after all updates of D and the one of G, and what is logged."""
        moves = self._generator_first if self.game.first == GENERATOR else self._discriminator_first
        networks, extra, terms = moves(state, batch, key)
        images = (state.step + 1) * self.batch_size
        ema = self.config.ema
        decay = ema_decay(images, self.batch_size, value_at(ema.half_life_images, images), ema.ramp)
        decay = jnp.where(state.step * self.batch_size < ema.start_images, 0.0, decay)
        averages = {name: update_ema(old, networks[name].variables, decay) for name, old in state.ema.items()}
        for side in SIDES:
            terms[f"{side[0]}_lr"] = self.rates[side](state.step)
            terms[f"{side[0]}_weights"] = rms([networks[name].params for name in self.names[side]])
        return State(state.step + 1, networks, averages, extra), terms

    def _generator_first(self, state: State, batch: dict, key: jax.Array) -> tuple[Networks, dict, dict]:
        part = self.game.part_of(batch, 0, key)
        moment = Moment(state.networks, state.extra, state.step * self.batch_size, state.step)
        moment, g_terms, fakes = self._g_update(moment, part, None)
        moment, terms = self._d_update(moment, part, jax.lax.stop_gradient(fakes))
        return moment.networks, moment.extra, {**terms, **g_terms}

    def _discriminator_first(self, state: State, batch: dict, key: jax.Array) -> tuple[Networks, dict, dict]:
        game, n, side = self.game, self.d_steps, self.names[DISCRIMINATOR]
        images = state.step * self.batch_size
        start = Moment(state.networks, state.extra, images, state.step)
        part = game.part_of(batch, 0, key)
        made = self._make(start, part) if self.shares else None
        if n == 1:
            fakes = made.fakes if made else self._make(start, part).fakes
            moment, terms = self._d_update(start, part, fakes)
        else:

            def body(carry, i):
                part = game.part_of(batch, i, jax.random.clone(key))  # a part folds i into it
                moment = Moment({**state.networks, **carry[0]}, carry[1], images, state.step * n + i)
                moment, terms = self._d_update(moment, part, self._make(moment, part).fakes)
                return ({name: moment.networks[name] for name in side}, moment.extra), terms

            first = {name: state.networks[name] for name in side}
            (moved, extra), terms = jax.lax.scan(body, (first, state.extra), jnp.arange(n))
            moment = Moment({**state.networks, **moved}, extra, images, state.step)
            terms = jax.tree.map(jnp.mean, terms)
        if n > 1 or game.own_reals:
            part = game.part_of(batch, n, jax.random.clone(key))
        moment, g_terms, _ = self._g_update(moment._replace(count=state.step), part, made)
        return moment.networks, moment.extra, {**terms, **g_terms}

    def _make(self, moment: "Moment", part: dict) -> Made:
        def forward(params):
            players = self._players(GENERATOR, moment, params)
            return self.game.generate(players, part), players.moved

        fakes, pull_back, moved = jax.vjp(forward, self._params(GENERATOR, moment), has_aux=True)
        return Made(fakes, pull_back, moved)

    def _d_update(self, moment: "Moment", part: dict, fakes: Any) -> tuple["Moment", dict]:
        """Return what an update of D's side leads to, and its terms."""
        if self.game.show:
            fakes, extra = self.game.show(fakes, moment.extra, part)
            moment = moment._replace(extra=extra)

        def gradients(part):
            def objective(params):
                players = self._players(DISCRIMINATOR, moment, params)
                loss, terms = self.game.d_loss(players, part, part["fakes"])
                more, penalties = _regularised(self.eager[DISCRIMINATOR], players, part, part["fakes"])
                return loss + more, (terms | penalties, players.moved)

            grads, aux = jax.grad(objective, has_aux=True)(self._params(DISCRIMINATOR, moment))
            return grads, *aux, ()

        part = {**part, "fakes": fakes}
        return self._moved(DISCRIMINATOR, moment, part, *self.take(gradients, part)[:3])

    def _g_update(self, moment: "Moment", part: dict, made: Made | None) -> tuple["Moment", dict, Any]:
        """Return what an update of G's side leads to, its terms and the fakes; `made`: `_make`'s, before D moved."""

        def gradients(part):
            fakes, pull_back, moved = made or self._make(moment, part)

            def objective(params, fakes):
                players = self._players(GENERATOR, moment, params, moved)
                loss, terms = self.game.g_loss(players, part, fakes)
                more, penalties = _regularised(self.eager[GENERATOR], players, part, fakes)
                return loss + more, (terms | penalties, players.moved)

            (own, slope), aux = jax.grad(objective, (0, 1), has_aux=True)(self._params(GENERATOR, moment), fakes)
            return jax.tree.map(jnp.add, own, pull_back(slope)[0]), *aux, fakes

        grads, terms, moved, fakes = self.take(gradients, part)
        return *self._moved(GENERATOR, moment, {**part, "fakes": fakes}, grads, terms, moved), fakes

    def _moved(self, side: str, moment: "Moment", part: dict, grads: dict, terms: dict, collections: dict) -> tuple:
        """Return (moment, terms) after these gradients, and the update of lazy regularisers where it is their turn."""
        terms[f"{side[0]}_grad_norm"] = optax.tree.norm(grads)
        moment = moment.apply(grads, collections)
        if self.lazy[side]:
            moment, penalties = self._lazily(side, moment, part)
            terms |= penalties
        advanced = {r.name: r.advance(moment.extra[r.name], terms, moment.images)
                for r in self.game.regularisers if r.advance and r.side == side}  # fmt: skip
        return moment._replace(extra={**moment.extra, **advanced}), terms

    def _lazily(self, side: str, moment: "Moment", part: dict) -> tuple["Moment", dict]:
        """Return (moment, terms) after the lazy regularisers' own update, which comes every so many updates.

        It is `every` times theirs, so that its mean over the updates, and that of what is logged, is the penalty.
        """
        every, names = self.lazy[side][0].every, self.names[side]

        def gradients(part, moment):
            def objective(params):
                players = self._players(side, moment, params)
                total, terms = _regularised(self.lazy[side], players, part, part["fakes"])
                return every * total, jax.tree.map(lambda term: every * term, terms)

            return *jax.grad(objective, has_aux=True)(self._params(side, moment)), {}, ()

        def own(networks):
            now = moment._replace(networks={**moment.networks, **networks})
            grads, terms, *_ = self.take(lambda part: gradients(part, now), part)
            after = now.apply(grads, {}).networks
            return {name: after[name] for name in names}, terms

        mine = {name: moment.networks[name] for name in names}
        none = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(own, mine)[1])
        mine, terms = jax.lax.cond(moment.count % every == 0, own, lambda networks: (networks, none), mine)
        return moment._replace(networks={**moment.networks, **mine}), terms

    def _params(self, side: str, moment: "Moment") -> dict:
        return {name: moment.networks[name].params for name in self.names[side]}

    def _players(self, side: str, moment: "Moment", params: dict, moved: dict | None = None) -> Players:
        """Return the players of a side's objective; `moved`: its collections after `generate`, if that ran before."""
        every = {name: params.get(name, network.params) for name, network in moment.networks.items()}
        collections = {name: network.mutable for name, network in moment.networks.items()}
        return Players(self.nets, every, collections, self.names[side], moment.extra, moment.images, moved)


class Moment(NamedTuple):
    """Where a step stands. images: seen when it began. count: updates of the side that moves, done before this one."""

    networks: Networks
    extra: dict[str, Any]
    images: jax.Array
    count: jax.Array

    def apply(self, grads: dict, collections: dict) -> "Moment":
        """Return the moment after one update of the networks that have gradients."""
        new = {name: self.networks[name].apply_gradients(grads=grads[name]) for name in grads}
        new = {name: network.replace(mutable=collections.get(name, network.mutable)) for name, network in new.items()}
        return self._replace(networks={**self.networks, **new})


def _regularised(regularisers: list[Regulariser], players: Players, part: dict, fakes: Any) -> tuple[Any, dict]:
    """Return the weighted sum of the regularisers, and each as "penalty_NAME"."""
    total, terms = 0.0, {}
    for r in regularisers:
        value, more = r.value(players.still(), part, fakes)
        value = value_at(r.weight, players.images) * value
        total, terms = total + value, {**terms, **more, f"penalty_{r.name}": value}
    return total, terms


def rms(tree: Any) -> jax.Array:
    """Return the root mean square of all values, float32 or wider."""
    leaves = jax.tree.leaves(tree)
    wide = [leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32)) for leaf in leaves]
    return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in wide) / sum(leaf.size for leaf in leaves))
