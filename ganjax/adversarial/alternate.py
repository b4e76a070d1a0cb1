"""The engine of adversarial training: two sides are updated in turn, each by the gradient of its loss.

A recipe provides a `Game`: its networks, the data of one update, and two losses. The engine does the rest: the order of
updates, several updates of D per update of G, gradient accumulation, lazy regularisers, averages, learning rates.
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
from ganjax.adversarial.validate import check_frozen, validate, validate_collections
from ganjax.config.schedule import value_at
from ganjax.recipe import Method, Recipe
from ganjax.state import State, TrainState, ema_decay, update_ema

Networks = dict[str, TrainState]


class Game(NamedTuple):
    """What a recipe provides to the engine.

    players:  {name: Player}.
    starts:   (batch) -> {name: arguments of the network's init}, in the order of `players`; it uses only shapes.
    part_of:  (batch, i, key) -> dict of arrays (B, ...), the data of D's i-th update or of G's: images, latents, keys.
    generate: (players, part) -> fakes, a pytree of arrays (B, ...). It is called once if one pass serves both updates.
    d_loss, g_loss: (players, part, fakes) -> (scalar, terms to log). G's loss is differentiated with respect to the
              parameters of its side and to the fakes, whose gradient is pulled back through `generate`.
    show:     (fakes, extra, part) -> (fakes, extra): the images that D sees instead, such as those of an image pool.
    extra:    (batch) -> {name: arrays}, the initial entries of `State.extra` that `show` updates; it uses only shapes.
    frozen:   () -> {name: arrays}, `State.frozen`: networks that nothing trains, on the host.
    first:    the side that is updated first.
    own_reals: whether G's loss uses real images of its own: the batch then has one part more than D has updates.
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
    frozen: Callable = dict
    first: str = DISCRIMINATOR
    own_reals: bool = False


class GeneratorPass(NamedTuple):
    """A forward pass of G's side.

    pull_back: gradient of the fakes -> (gradient of the side's parameters,). collections: the side's, after the pass.
    """

    fakes: Any
    pull_back: Callable
    collections: dict[str, dict]


def build(config: ConfigDict, game: Game, methods: Mapping[str, Method]) -> Recipe:
    """Return the recipe of a game, with the optimisers, moving averages and update counts of the config.

    Raises UserError if the config is invalid for the game.
    """
    validate(config, game)
    engine = Alternation(config, game)
    return Recipe(engine.init, engine.step, methods, engine.updates, engine.d_steps + game.own_reals, game.frozen)


class Alternation:
    """The pure functions `init` and `step` of a game, as `Recipe` documents them."""

    def __init__(self, config: ConfigDict, game: Game):
        self.config, self.game = config, game
        self.batch_size, self.d_steps = config.batch_size, config.get("d_steps", 1)
        self.nets = {name: player.net for name, player in game.players.items()}
        self.names = {side: tuple(n for n, p in game.players.items() if p.side == side) for side in SIDES}
        active = {side: [r for r in game.regularisers if r.side == side and r.value] for side in SIDES}
        self.eager = {side: [r for r in active[side] if r.every == 1] for side in SIDES}
        self.lazy = {side: [r for r in active[side] if r.every > 1] for side in SIDES}
        self.compute = gradients.accumulated(config.accumulate) if config.accumulate > 1 else gradients.plain
        # D's update does not change G, so one forward pass of G serves both updates if both see the whole same part.
        self.shares = self.d_steps == config.accumulate == 1 and not game.own_reals
        steps = {GENERATOR: 1, DISCRIMINATOR: self.d_steps}
        every = {side: self.lazy[side][0].every if self.lazy[side] else 0 for side in SIDES}
        self.rates, self.optimisers, self.updates = {}, {}, {}
        for side, value in ((GENERATOR, config.optimizer.g_lr), (DISCRIMINATOR, config.optimizer.d_lr)):
            self.rates[side] = optimisers.rate(config, value)
            self.optimisers[side] = optimisers.for_side(config, self.rates[side], steps[side], every[side])
            count = steps[side] * (1 + 1 / every[side]) if every[side] else steps[side]
            self.updates |= dict.fromkeys(self.names[side], count)

    def init(self, key: jax.Array, batch: dict) -> State:
        """Return the initial state; only the shapes of the batch matter.

        Raises UserError if the networks do not allow the config.
        """
        networks, starts = {}, self.game.starts(batch)
        keys = jax.random.split(key, len(starts))
        for init_key, (name, arguments) in zip(keys, starts.items(), strict=True):
            variables = self.nets[name].init(init_key, *arguments, train=False)
            player = self.game.players[name]
            tx = optimisers.constrain(self.optimisers[player.side], player.constrain)
            tx = optimisers.freeze(tx, name, self.config.get("freeze", ()))
            networks[name] = TrainState.from_variables(self.nets[name].apply, variables, tx)
        check_frozen(self.config.get("freeze", ()), {name: network.params for name, network in networks.items()})
        validate_collections(self.config, self.game, {name: set(n.mutable) for name, n in networks.items()})
        extra = self.game.extra(batch) if self.game.extra else {}
        extra |= {r.name: r.init() for r in self.game.regularisers if r.init}
        return State.create(networks, tuple(n for n, p in self.game.players.items() if p.averaged), extra)

    def step(self, state: State, batch: dict, key: jax.Array) -> tuple[State, dict]:
        """Return the state after all updates of D and the one of G, and the scalars to log."""
        update = self._generator_first if self.game.first == GENERATOR else self._discriminator_first
        networks, extra, terms = update(state, batch, key)
        images = (state.step + 1) * self.batch_size
        ema = self.config.ema
        decay = ema_decay(images, self.batch_size, value_at(ema.half_life_images, images), ema.ramp)
        decay = jnp.where(state.step * self.batch_size < ema.start_images, 0.0, decay)
        averages = {name: update_ema(old, networks[name].variables, decay) for name, old in state.ema.items()}
        for side in SIDES:
            terms[f"{side[0]}_lr"] = self.rates[side](state.step)
            terms[f"{side[0]}_weights"] = rms([networks[name].params for name in self.names[side]])
        return State(state.step + 1, networks, averages, extra, state.frozen), terms

    def _generator_first(self, state: State, batch: dict, key: jax.Array) -> tuple[Networks, dict, dict]:
        part = self.game.part_of(batch, 0, key)
        progress = Progress(state.networks, state.extra, state.frozen, state.step * self.batch_size, state.step)
        progress, g_terms, fakes = self._g_update(progress, part, None)
        progress, terms = self._d_update(progress, part, jax.lax.stop_gradient(fakes))
        return progress.networks, progress.extra, {**terms, **g_terms}

    def _discriminator_first(self, state: State, batch: dict, key: jax.Array) -> tuple[Networks, dict, dict]:
        game, n, side = self.game, self.d_steps, self.names[DISCRIMINATOR]
        start = Progress(state.networks, state.extra, state.frozen, state.step * self.batch_size, state.step)
        part = game.part_of(batch, 0, key)
        forward = self._generate(start, part) if self.shares else None
        if n == 1:
            fakes = forward.fakes if forward else self._generate(start, part).fakes
            progress, terms = self._d_update(start, part, fakes)
        else:

            def body(carry, i):
                part = game.part_of(batch, i, jax.random.clone(key))  # `part_of` folds i into the key
                networks = {**state.networks, **carry[0]}
                progress = start._replace(networks=networks, extra=carry[1], count=state.step * n + i)
                progress, terms = self._d_update(progress, part, self._generate(progress, part).fakes)
                return ({name: progress.networks[name] for name in side}, progress.extra), terms

            old = {name: state.networks[name] for name in side}
            (new, extra), terms = jax.lax.scan(body, (old, state.extra), jnp.arange(n))
            progress = start._replace(networks={**state.networks, **new}, extra=extra)
            terms = jax.tree.map(jnp.mean, terms)
        if n > 1 or game.own_reals:
            part = game.part_of(batch, n, jax.random.clone(key))
        progress, g_terms, _ = self._g_update(progress._replace(count=state.step), part, forward)
        return progress.networks, progress.extra, {**terms, **g_terms}

    def _generate(self, progress: "Progress", part: dict) -> GeneratorPass:
        def forward(params):
            players = self._players(GENERATOR, progress, params)
            return self.game.generate(players, part), players.collections

        fakes, pull_back, collections = jax.vjp(forward, self._params(GENERATOR, progress), has_aux=True)
        return GeneratorPass(fakes, pull_back, collections)

    def _d_update(self, progress: "Progress", part: dict, fakes: Any) -> tuple["Progress", dict]:
        """Return the progress after an update of D's side, and its terms."""
        if self.game.show:
            fakes, extra = self.game.show(fakes, progress.extra, part)
            progress = progress._replace(extra=extra)

        def gradients(part):
            def objective(params):
                players = self._players(DISCRIMINATOR, progress, params)
                loss, terms = self.game.d_loss(players, part, part["fakes"])
                penalty, penalties = _penalties(self.eager[DISCRIMINATOR], players, part, part["fakes"])
                return loss + penalty, (terms | penalties, players.collections)

            grads, aux = jax.grad(objective, has_aux=True)(self._params(DISCRIMINATOR, progress))
            return grads, *aux, ()

        part = {**part, "fakes": fakes}
        return self._apply(DISCRIMINATOR, progress, part, *self.compute(gradients, part)[:3])

    def _g_update(
        self, progress: "Progress", part: dict, forward: GeneratorPass | None
    ) -> tuple["Progress", dict, Any]:
        """Return the progress after an update of G's side, its terms and the fakes.

        forward: the pass of `_generate`, if it ran before D's update; else it runs here.
        """

        def gradients(part):
            fakes, pull_back, collections = forward or self._generate(progress, part)

            def objective(params, fakes):
                players = self._players(GENERATOR, progress, params, collections)
                loss, terms = self.game.g_loss(players, part, fakes)
                penalty, penalties = _penalties(self.eager[GENERATOR], players, part, fakes)
                return loss + penalty, (terms | penalties, players.collections)

            (direct, of_fakes), aux = jax.grad(objective, (0, 1), has_aux=True)(
                self._params(GENERATOR, progress), fakes
            )
            return jax.tree.map(jnp.add, direct, pull_back(of_fakes)[0]), *aux, fakes

        grads, terms, collections, fakes = self.compute(gradients, part)
        return *self._apply(GENERATOR, progress, {**part, "fakes": fakes}, grads, terms, collections), fakes

    def _apply(self, side: str, progress: "Progress", part: dict, grads: dict, terms: dict, collections: dict) -> tuple:
        """Return (progress, terms) after an update by these gradients and, if it is due, that of lazy regularisers."""
        terms[f"{side[0]}_grad_norm"] = optax.tree.norm(grads)
        progress = progress.apply(grads, collections)
        if self.lazy[side]:
            progress, penalties = self._lazy_update(side, progress, part)
            terms |= penalties
        extra = {r.name: r.advance(progress.extra[r.name], terms, progress.images)
                for r in self.game.regularisers if r.advance and r.side == side}  # fmt: skip
        return progress._replace(extra={**progress.extra, **extra}), terms

    def _lazy_update(self, side: str, progress: "Progress", part: dict) -> tuple["Progress", dict]:
        """Return (progress, terms) after the lazy regularisers' separate update, which runs every `every` updates.

        Its objective and its terms are scaled by `every`, so that their mean over all updates is the penalty.
        """
        every, names = self.lazy[side][0].every, self.names[side]

        def gradients(part, progress):
            def objective(params):
                players = self._players(side, progress, params)
                total, terms = _penalties(self.lazy[side], players, part, part["fakes"])
                return every * total, jax.tree.map(lambda term: every * term, terms)

            return *jax.grad(objective, has_aux=True)(self._params(side, progress)), {}, ()

        def update(networks):
            now = progress._replace(networks={**progress.networks, **networks})
            grads, terms, *_ = self.compute(lambda part: gradients(part, now), part)
            after = now.apply(grads, {}).networks
            return {name: after[name] for name in names}, terms

        networks = {name: progress.networks[name] for name in names}
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(update, networks)[1])
        due = progress.count % every == 0
        networks, terms = jax.lax.cond(due, update, lambda networks: (networks, zeros), networks)
        return progress._replace(networks={**progress.networks, **networks}), terms

    def _params(self, side: str, progress: "Progress") -> dict:
        return {name: progress.networks[name].params for name in self.names[side]}

    def _players(self, side: str, progress: "Progress", params: dict, current: dict | None = None) -> Players:
        """Return the players of a side's objective. current: its collections after `generate`, if that ran before."""
        all_params = {name: params.get(name, network.params) for name, network in progress.networks.items()}
        initial = {name: network.mutable for name, network in progress.networks.items()}
        constants = progress.extra, progress.frozen, progress.images
        return Players(self.nets, all_params, initial, self.names[side], *constants, current)


class Progress(NamedTuple):
    """The networks between two updates of a step.

    images: images seen before the step. count: updates of the side to be updated that are done.
    """

    networks: Networks
    extra: dict[str, Any]
    frozen: dict[str, Any]
    images: jax.Array
    count: jax.Array

    def apply(self, grads: dict, collections: dict) -> "Progress":
        """Return the progress after one update of the networks that have gradients."""
        new = {name: self.networks[name].apply_gradients(grads=grads[name]) for name in grads}
        new = {name: network.replace(mutable=collections.get(name, network.mutable)) for name, network in new.items()}
        return self._replace(networks={**self.networks, **new})


def _penalties(regularisers: list[Regulariser], players: Players, part: dict, fakes: Any) -> tuple[Any, dict]:
    """Return the weighted sum of the regularisers, and the terms to log: each one as "penalty_NAME", and its own."""
    total, terms = 0.0, {}
    for r in regularisers:
        value, own_terms = r.value(players.at_start(), part, fakes)
        value = value_at(r.weight, players.images) * value
        total, terms = total + value, {**terms, **own_terms, f"penalty_{r.name}": value}
    return total, terms


def rms(tree: Any) -> jax.Array:
    """Return the root mean square of all values, float32 or wider."""
    leaves = jax.tree.leaves(tree)
    wide = [leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32)) for leaf in leaves]
    return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in wide) / sum(leaf.size for leaf in leaves))
