"""The engine on toy games: each step equals one that is written out by hand, in float64."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from ganjax.adversarial import alternate
from ganjax.adversarial.alternate import Game
from ganjax.adversarial.players import DISCRIMINATOR, GENERATOR, Player
from ganjax.adversarial.regularisers import Regulariser
from ganjax.config import groups

BATCH, SIDE, LATENT = 4, 6, 3
RATE = 1e-2


class Net(nn.Module):
    """Vectors -> vectors through one hidden layer."""

    features: int

    @nn.compact
    def __call__(self, x, *, train):
        del train
        return nn.Dense(self.features, param_dtype=jnp.float64)(nn.tanh(nn.Dense(5, param_dtype=jnp.float64)(x)))


def config(**changes) -> ConfigDict:
    config = groups.noise_defaults(groups.base())
    config.batch_size, config.optimizer.g_lr, config.optimizer.d_lr = BATCH, RATE, RATE
    config.ema.half_life_images = 0.0
    config.update_from_flattened_dict(changes)
    return config


def images(parts: int) -> dict:
    return {"x": jax.random.normal(jax.random.key(1), (parts * BATCH, SIDE), jnp.float64)}


def part_of(batch, i, key):
    keys = jax.random.split(jax.random.fold_in(key, i), BATCH)
    z = jax.vmap(lambda key: jax.random.normal(key, (LATENT,), jnp.float64))(keys)
    return {"x": batch["x"].reshape(BATCH, -1, SIDE)[:, i], "z": z}


def paired_game(**more) -> Game:
    """Return a game with R3GAN's losses: both use the difference of real and fake logits; G has its own real images."""

    def margin(players, part, fakes):
        return (players[DISCRIMINATOR](part["x"]) - players[DISCRIMINATOR](fakes))[:, 0]

    def d_loss(players, part, fakes):
        loss = jnp.mean(jax.nn.softplus(-margin(players, part, fakes)))
        return loss, {"d_loss": loss}

    def g_loss(players, part, fakes):
        loss = jnp.mean(jax.nn.softplus(margin(players, part, fakes)))
        return loss, {"g_loss": loss}

    players = {GENERATOR: Player(Net(SIDE), GENERATOR, averaged=True), DISCRIMINATOR: Player(Net(1), DISCRIMINATOR)}
    start = {GENERATOR: (jnp.zeros((1, LATENT)),), DISCRIMINATOR: (jnp.zeros((1, SIDE)),)}
    return Game(players, lambda batch: start, part_of, lambda players, part: players[GENERATOR](part["z"]),
                d_loss, g_loss, own_reals=True, **more)  # fmt: skip


def played(game: Game, config: ConfigDict, parts: int, steps: int = 1):
    """Return (first state, last state, metrics, batch)."""
    recipe = alternate.build(config, game, {})
    assert recipe.parts == parts
    batch = images(parts)
    first = jax.jit(recipe.init)(jax.random.key(0), batch)
    state, step = first, jax.jit(recipe.step)
    for i in range(steps):
        state, metrics = step(state, batch, jax.random.key(5 + i))
    return first, state, metrics, batch


def params(state) -> dict:
    return {name: network.params for name, network in state.networks.items()}


def assert_near(a, b, atol=1e-12):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=atol), a, b)


def updated(params, grads):
    tx = optax.adam(jnp.float32(RATE), b1=0.5, b2=0.999)  # schedules give float32
    updates, _ = tx.update(grads, tx.init(params), params)
    return optax.apply_updates(params, updates)


def test_real_images_of_gs_own_are_the_last_part(x64):
    first, after, _, batch = played(paired_game(), config(), 2)
    before, own = params(first), [part_of(batch, i, jax.random.key(5)) for i in range(2)]

    def d(d_params, x):
        return Net(1).apply({"params": d_params}, x, train=True)

    def loss(sign, g_params, d_params, part):
        fake = Net(SIDE).apply({"params": g_params}, part["z"], train=True)
        margin = (d(d_params, part["x"]) - d(d_params, fake))[:, 0]
        return jnp.mean(jax.nn.softplus(sign * margin))

    grads = jax.grad(loss, 2)(-1, before[GENERATOR], before[DISCRIMINATOR], own[0])
    new_d = updated(before[DISCRIMINATOR], grads)
    new_g = updated(before[GENERATOR], jax.grad(loss, 1)(1, before[GENERATOR], new_d, own[1]))
    assert_near(params(after), {GENERATOR: new_g, DISCRIMINATOR: new_d})


@pytest.mark.parametrize("changes", [{"accumulate": 2}, {"accumulate": 4}])
def test_pieces_of_a_batch_give_the_result_of_the_whole(changes, x64):
    whole, pieces = (played(paired_game(), config(**more), 2, 3)[1] for more in ({}, changes))
    assert_near(params(whole), params(pieces))


class Lazy:
    """A regulariser that pulls D's parameters towards 0, and counts its updates."""

    def value(self, players, part, fakes):
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(players.params(DISCRIMINATOR))), {}

    def advance(self, count, terms, images):
        return count + 1


def test_lazy_regularisers_have_updates_of_their_own_and_state(x64):
    lazy = Regulariser("pull", DISCRIMINATOR, Lazy().value, 0.5, 2, lambda: jnp.zeros((), jnp.int32), Lazy().advance)
    _, one, logged, _ = played(paired_game(regularisers=(lazy,)), config(), 2, 1)
    _, three, _, _ = played(paired_game(regularisers=(lazy,)), config(), 2, 3)
    assert int(one.networks[DISCRIMINATOR].step) == 2 and int(three.networks[DISCRIMINATOR].step) == 5
    assert int(three.networks[GENERATOR].step) == 3 and int(three.extra["pull"]) == 3
    _, plain, _, _ = played(paired_game(), config(), 2, 1)
    value = sum(float(jnp.sum(leaf**2)) for leaf in jax.tree.leaves(params(plain)[DISCRIMINATOR]))
    assert float(logged["penalty_pull"]) == pytest.approx(2 * 0.5 * value, rel=0.1)


def test_lazy_regularisers_of_one_side_come_equally_often():
    two = tuple(Regulariser(f"r{every}", DISCRIMINATOR, Lazy().value, 1.0, every) for every in (2, 3))
    with pytest.raises(ValueError, match="must come equally often"):
        alternate.build(config(), paired_game(regularisers=two), {})


def vae_gan() -> Game:
    """Return the VAE-GAN of Larsen et al. 2016 (arXiv 1512.09300): the encoder learns from features, the decoder also
    from D.
    """

    def generate(players, part):
        z = players["encoder"](part["x"])
        # Two passes with equal outputs: the first has gradients for the encoder only, the second for the decoder only.
        return {"encoded": players.frozen("decoder")(z), "decoded": players["decoder"](jax.lax.stop_gradient(z))}

    def distance(players, part, image):
        return jnp.mean((players[DISCRIMINATOR](image) - players[DISCRIMINATOR](part["x"])) ** 2)

    def d_loss(players, part, fakes):
        real, fake = players[DISCRIMINATOR](part["x"]), players[DISCRIMINATOR](fakes["decoded"])
        return jnp.mean(jax.nn.softplus(-real) + jax.nn.softplus(fake)), {}

    def g_loss(players, part, fakes):
        encoder = distance(players, part, fakes["encoded"])
        adversarial = jnp.mean(jax.nn.softplus(-players[DISCRIMINATOR](fakes["decoded"])))
        return encoder + 0.1 * distance(players, part, fakes["decoded"]) + adversarial, {"encoder": encoder}

    players = {"encoder": Player(Net(LATENT), GENERATOR), "decoder": Player(Net(SIDE), GENERATOR, averaged=True),
               DISCRIMINATOR: Player(Net(1), DISCRIMINATOR)}  # fmt: skip
    start = {"encoder": (jnp.zeros((1, SIDE)),), "decoder": (jnp.zeros((1, LATENT)),)}
    start[DISCRIMINATOR] = (jnp.zeros((1, SIDE)),)
    return Game(players, lambda batch: start, part_of, generate, d_loss, g_loss)


def test_three_networks_and_routes_of_gradients(x64):
    first, after, _, batch = played(vae_gan(), config(), 1)
    before, x = params(first), part_of(batch, 0, jax.random.key(5))["x"]
    nets = {"encoder": Net(LATENT), "decoder": Net(SIDE), DISCRIMINATOR: Net(1)}

    def go(name, p, value):
        return nets[name].apply({"params": p}, value, train=True)

    def d_total(d):
        fake = go("decoder", before["decoder"], go("encoder", before["encoder"], x))
        return jnp.mean(jax.nn.softplus(-go(DISCRIMINATOR, d, x)) + jax.nn.softplus(go(DISCRIMINATOR, d, fake)))

    new_d = updated(before[DISCRIMINATOR], jax.grad(d_total)(before[DISCRIMINATOR]))

    def pieces(encoder, decoder):
        logits = go(DISCRIMINATOR, new_d, go("decoder", decoder, go("encoder", encoder, x)))
        return jnp.mean((logits - go(DISCRIMINATOR, new_d, x)) ** 2), jnp.mean(jax.nn.softplus(-logits))

    def decoder_loss(decoder):
        distance, adversarial = pieces(before["encoder"], decoder)
        return 0.1 * distance + adversarial

    encoder_grads = jax.grad(lambda encoder: pieces(encoder, before["decoder"])[0])(before["encoder"])
    expected = {"encoder": updated(before["encoder"], encoder_grads), DISCRIMINATOR: new_d}
    expected["decoder"] = updated(before["decoder"], jax.grad(decoder_loss)(before["decoder"]))
    assert_near(params(after), expected)
    assert set(after.ema) == {"decoder"}
