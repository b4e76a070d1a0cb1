"""Guarantees for every recipe: a resumed run ends in the same bits; eight devices train the same model as one."""

import jax
import numpy as np
import pytest
from running import ROOT, launch, read_state
from tiny import TINY, config_of, small

from ganjax import recipe, task
from ganjax.config import derived
from ganjax.config.check import check
from ganjax.training import update
from ganjax.training.loop import train


def test_no_recipe_is_left_out():
    assert set(TINY) == {path.stem for path in (ROOT / "ganjax" / "recipes").glob("[a-z]*.py")}


@pytest.mark.slow  # test_resume.py has the DCGAN
@pytest.mark.parametrize("name", TINY)
def test_a_resumed_run_ends_in_the_same_bits(name, tmp_path):
    whole = train(small(name), tmp_path / "whole")
    train(small(name, total_images=16), tmp_path / "parts")
    parts = train(small(name), tmp_path / "parts")
    assert int(parts.step) == 4
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_array_equal(a, b)


def built(name):
    """Return (config, recipe) of the recipe's smallest config, with two classes."""
    config = small(name)
    config.data.classes, config.data.class_counts = ("ukiyo_e", "de_stijl"), (1, 2)
    config = check(config)
    return config, recipe.build(config)


@pytest.mark.slow  # the quick tests of test_devices.py cover the DCGAN
@pytest.mark.parametrize("name", TINY)
def test_eight_devices_train_the_same_model(name, tmp_path):
    config = small(name, total_images=16, precision="float64")
    flags = [f"--config={name}:debug"]
    before = derived.flatten(config_of(f"{name}:debug"))
    flags += [f"--config.{key}={value}" for key, value in derived.flatten(config).items() if before[key] != value]
    states = []
    for devices in (1, 8):
        done = launch("train", *flags, f"--workdir={tmp_path / str(devices)}", devices=devices, cwd=ROOT)
        assert done.returncode == 0, done.stdout
        states.append(read_state(tmp_path / str(devices), 2))
    one, eight = states
    assert one.keys() == eight.keys()
    for leaf in one:
        # The gradients of biases before an instance norm are rounding errors, which Adam normalises. CUT's are larger,
        # because its heads start with gradients of 1e6.
        np.testing.assert_allclose(
            one[leaf], eight[leaf], rtol=1e-9, atol=1e-7 if name == "cut" else 1e-9, err_msg=leaf
        )


@pytest.mark.parametrize("name", TINY)
def test_its_step_uses_every_key_once(name):
    config, gan = built(name)
    own = task.of(config)
    state = jax.eval_shape(update.initialise(config, own, gan)).replace(frozen=gan.frozen())
    with jax.debug_key_reuse(True):  # raises KeyReuseError, as test_adversarial.py checks
        traced = jax.jit(gan.step).trace(state, own.spec(config, gan.parts), jax.random.key(0))
    assert jax.tree.structure(traced.out_info[0]) == jax.tree.structure(state)


@pytest.mark.parametrize("name", TINY)
def test_its_inputs_and_samples_are_pure(name):
    config, gan = built(name)
    if config.task == "translate":
        batch = {side: np.full((8, 32, 32, 3), level, np.float32) for side, level in (("a", 0), ("b", 1))}
        for way, method in gan.methods.items():  # translate_ab, translate_ba
            inputs = method.inputs(jax.random.key(0), 4, batch)
            assert inputs.keys() == {"image"}
            np.testing.assert_array_equal(inputs["image"], batch[way[-2]][:4])
        return
    method = gan.methods["sample"]
    first, again = (method.inputs(jax.random.key(0), 4) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert ("label" in first) == ("condition" in config and config.condition.kind != "none")


@pytest.mark.parametrize("name", TINY)
def test_its_networks_leave_a_loaded_models_arrays_as_they_are(name):
    config, gan = built(name)
    own, numbers, key = task.of(config), np.random.default_rng(0), jax.random.key(0)
    state = jax.eval_shape(update.initialise(config, own, gan))
    for method in gan.methods.values():
        shapes = state.variables(method.networks)
        variables = jax.tree.map(lambda leaf: numbers.standard_normal(leaf.shape).astype(leaf.dtype), shapes)
        before = jax.tree.map(np.copy, variables)
        inputs = jax.eval_shape(lambda batch, use=method: use.inputs(key, 4, batch), own.spec(config, 1))
        jax.eval_shape(lambda inputs, use=method, own=variables: use.apply(own, key, inputs), inputs)
        jax.tree.map(np.testing.assert_array_equal, variables, before)
