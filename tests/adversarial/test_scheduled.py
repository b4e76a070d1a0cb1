"""Schedules in the step: each step equals one with the plain numbers that the schedules have there."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import small

from ganjax import recipe, task
from ganjax.adversarial import optimisers
from ganjax.config import schedule
from ganjax.config.check import check

BATCH, IMAGES = 8, 64
KEYS = {"penalty.r1": (4.0, 1.0), "penalty.lecam": (0.5, 0.0), "penalty.zcr_g": (1.0, 3.0),
        "loss.instance_noise": (0.4, 0.1), "optimizer.g_lr": (1e-3, 1e-4), "optimizer.d_lr": (1e-4, 1e-3),
        "optimizer.b1": (0.5, 0.0), "optimizer.b2": (0.9, 0.99), "ema.half_life_images": (10.0, 90.0)}  # fmt: skip
AFTER = ("ema.half_life_images",)  # evaluated at the images seen after the step


def scheduled() -> dict:
    return {name: {"kind": "linear", "from": a, "to": b, "images": IMAGES} for name, (a, b) in KEYS.items()}


def built(**changes):
    plain = {"penalty.every": 1, "ema.ramp": 0.0, "ema.start_images": 0, "diffaugment": "", "loss.kind": "hinge"}
    return recipe.build(check(small("dcgan", **{**plain, **changes})))


@pytest.fixture(scope="module")
def two_steps():
    """Return the recipe with schedules, its batch and its state after two steps."""
    gan = built(**scheduled())
    config = small("dcgan")
    shapes = task.of(config).spec(config, gan.parts)
    keys = iter(jax.random.split(jax.random.key(9), len(shapes)))
    batch = {name: jax.random.uniform(next(keys), like.shape, jnp.float32, -1, 1).astype(like.dtype)
             for name, like in shapes.items()}  # fmt: skip
    step, state = jax.jit(gan.step), jax.jit(gan.init)(jax.random.key(0), batch)
    for i in range(2):
        state, _ = step(state, batch, jax.random.key(i))
    return gan, batch, state


def same(tree, other) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-7), tree, other)


def test_a_step_is_that_of_the_numbers_of_its_images(two_steps):
    gan, batch, state = two_steps
    after, terms = jax.jit(gan.step)(state, batch, jax.random.key(5))
    numbers = {}
    for name, one in scheduled().items():
        numbers[name] = float(schedule.value_at(one, BATCH * (3 if name in AFTER else 2)))
    numbers["loss.instance_noise"] /= 1 - 16 / 32  # a plain number decays linearly over the 32 images of the run
    assert numbers["optimizer.g_lr"] == pytest.approx(0.75 * 1e-3 + 0.25 * 1e-4)
    plain = built(**numbers)
    fresh = jax.eval_shape(plain.init, jax.random.key(0), batch).networks
    networks = {name: net.replace(opt_state=without_clocks(net.opt_state), tx=fresh[name].tx)
                for name, net in state.networks.items()}  # fmt: skip
    expected, expected_terms = jax.jit(plain.step)(state.replace(networks=networks), batch, jax.random.key(5))
    same(terms, expected_terms)
    for name, net in after.networks.items():
        same(net.params, expected.networks[name].params)
    same(after.ema, expected.ema)
    assert float(terms["penalty_r1"]) > 0 and float(terms["penalty_lecam"]) > 0


def without_clocks(opt_state: tuple) -> tuple:
    """Return the optimiser state as Adam has it if its betas are plain numbers."""
    (moments, _), rate = opt_state
    return moments, rate


def test_the_clock_of_the_betas_counts_the_updates_of_its_side(two_steps):
    for net in two_steps[2].networks.values():
        (moments, clock), rate = net.opt_state
        assert int(moments.count) == int(clock.count) == int(rate.count) == 2


def test_a_schedule_that_stays_is_a_number():
    """Adam with constant schedules as betas updates the weights like optax's Adam, also with lazy updates."""
    params = {"w": jnp.array([1.0, -2.0, 3.0])}
    for steps, every in ((1, 0), (2, 0), (1, 4)):
        results = []
        for kind in (float, stays):
            config = small("dcgan", **{"optimizer.b1": kind(0.5), "optimizer.b2": kind(0.9)})
            tx = optimisers.for_side(config, optimisers.rate(config, kind(1e-2)), steps, every)
            state, now = tx.init(params), params
            for i in range(5):
                updates, state = tx.update({"w": jnp.sin(now["w"] + i)}, state, now)
                now = optax.apply_updates(now, updates)
            results.append(now["w"])
        np.testing.assert_allclose(*results, rtol=1e-6, err_msg=f"{steps} updates, lazily every {every}")
        assert float(jnp.abs(results[0] - params["w"]).max()) > 0


def stays(value: float) -> dict:
    return {"kind": "constant", "from": value, "to": 0.0, "images": 1}
