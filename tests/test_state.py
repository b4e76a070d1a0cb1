import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ganjax.state import State, TrainState, ema_decay, update_ema


def test_half_life_halves_the_old_weights():
    decay = ema_decay(jnp.array(10_000), 100, half_life=1000.0, ramp=0.0)
    assert float(decay) ** 10 == pytest.approx(0.5, rel=1e-5)
    assert float(ema_decay(jnp.array(100), 100, 0.0, 0.0)) == 0


def test_the_ramp_shortens_the_half_life_early():
    early, late = (ema_decay(jnp.array(n), 10, half_life=1000.0, ramp=0.05) for n in (200, 10**6))
    assert float(early) == pytest.approx(0.5, rel=1e-5)  # a half-life of 10 images, a batch of 10
    assert float(late) == pytest.approx(0.5**0.01, rel=1e-5)


def test_parameters_are_averaged_and_other_collections_copied():
    ema = {"params": {"w": jnp.array([1.0])}, "batch_stats": {"m": jnp.array([1.0])}}
    new = {"params": {"w": jnp.array([3.0])}, "batch_stats": {"m": jnp.array([5.0])}}
    out = update_ema(ema, new, jnp.array(0.75))
    assert float(out["params"]["w"][0]) == pytest.approx(1.5)
    assert float(out["batch_stats"]["m"][0]) == 5


def test_a_fresh_state_can_be_donated():
    variables = {"params": {"w": jnp.ones(3)}}
    network = TrainState.from_variables(None, variables, optax.adam(1.0))
    state = State.create({"generator": network}, ("generator",))
    out = jax.jit(lambda s: s.replace(step=s.step + 1), donate_argnums=0)(state)
    np.testing.assert_array_equal(out.ema["generator"]["params"]["w"], 1)
    assert int(out.step) == 1
