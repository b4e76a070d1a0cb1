"""The compiled step: resident images, several steps per device call."""

import contextlib

import jax
import numpy as np
import pytest

from ganjax import recipe, task
from ganjax.config.check import check
from ganjax.configs.generate import dcgan
from ganjax.data.loader import Loader
from ganjax.errors import UserError
from ganjax.system import devices
from ganjax.training import update

STEPS = 11


def settings(paintings, **changes):
    config = dcgan.get_config("debug")
    config.data.path, config.data.load_size = str(paintings), 36
    config.augment.rotate, config.augment.brightness = 10.0, 0.1
    config.update_from_flattened_dict(changes)
    return check(config)


def trained(config, calls=()):
    """Return (state, d_loss of each step) after STEPS steps; `calls` are the sizes of the first calls."""
    own, gan, mesh = task.of(config), recipe.build(config), devices.make_mesh(1, config.batch_size)
    dataset, program, losses, sizes = own.open(config), update.compile_update(config, own, gan, mesh), [], list(calls)
    with jax.set_mesh(mesh):
        state = jax.jit(update.initialise(config, own, gan), out_shardings=devices.replicated(mesh))()
        rows = update.resident(config, dataset, mesh)
        loader = Loader(dataset, config.batch_size, config.seed)
        with contextlib.closing(loader.batches(0, indices=bool(rows))) as batches:
            while len(losses) < STEPS:
                count = sizes.pop(0) if sizes else min(config.steps_per_call, STEPS - len(losses))
                batch = update.feed(batches, count, config.steps_per_call, mesh)
                state, metrics = program(state, batch, rows, *([count] if config.steps_per_call > 1 else []))
                losses += np.atleast_1d(metrics["d_loss"])[:count].tolist()
    return state, np.array(losses)


def assert_same(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("labels", [False, True])
def test_resident_images_make_the_loaders_batches(paintings, labels):
    """A fake recipe returns the gathered, augmented batch in place of metrics."""
    config = settings(paintings, **{"data.labels": labels})
    own, mesh = task.of(config), devices.make_mesh(1, config.batch_size)
    dataset = own.open(config)
    gan = recipe.build(config)._replace(step=lambda state, batch, key: (state, batch))
    loader = Loader(dataset, config.batch_size, config.seed)
    state = jax.jit(update.initialise(config, own, gan))()
    batches = {}
    for choice in ("yes", "no"):
        config.data.resident = choice
        rows = update.resident(config, dataset, mesh)
        assert bool(rows) == (choice == "yes")
        host = loader.index(7) if rows else loader.batch(7)
        copy = jax.tree.map(np.copy, state)  # the update donates its state
        program = update.compile_update(config, own, gan, mesh)
        batches[choice] = program(copy, devices.put(host, mesh), rows)[1]
    assert_same(batches["yes"], batches["no"])
    assert batches["yes"]["image"].shape == (config.batch_size, 32, 32, 3)
    values = set(np.asarray(batches["yes"]["label"]).tolist())
    assert values == {0, 1} if labels else values == {-1}


@pytest.mark.slow
def test_several_steps_in_a_call_are_the_same_training(paintings):
    # A low rate, because Adam's first updates have the size of the rate for any gradient, which amplifies rounding.
    slow = {"optimizer.g_lr": 1e-5, "optimizer.d_lr": 1e-5}
    (_, one), (_, four) = (trained(settings(paintings, **slow, steps_per_call=k)) for k in (1, 4))
    # Batch norm still amplifies rounding, by an amount that depends on the machine.
    np.testing.assert_allclose(four, one, rtol=0, atol=1e-4)


@pytest.mark.slow  # the quick test is of the division into calls
def test_several_steps_in_a_call_are_the_same_training_in_float64(paintings, x64):
    (a, one), (b, six) = (trained(settings(paintings, precision="float64", steps_per_call=k)) for k in (1, 6))
    np.testing.assert_allclose(six, one, rtol=0, atol=1e-9)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=1e-9), b.ema, a.ema)


def test_how_steps_are_divided_into_calls_changes_no_bit(paintings):
    config = settings(paintings, steps_per_call=5)
    whole, losses = trained(config)
    parts, same = trained(config, calls=(1, 3, 5, 2))
    assert_same(whole, parts)
    np.testing.assert_array_equal(losses, same)


class Device:
    def __init__(self, limit):
        self.limit = limit

    def memory_stats(self):
        return self.limit and {"bytes_limit": self.limit}


def test_auto_holds_what_fits_and_yes_says_what_cannot(paintings, monkeypatch):
    config = settings(paintings)
    dataset = task.of(config).open(config)
    replicated = {"image": 1}
    monkeypatch.setattr(devices, "replicate", lambda arrays, mesh: replicated)

    def resident(limit):
        mesh = type("Mesh", (), {"local_devices": [Device(limit)]})
        return update.resident(config, dataset, mesh)

    size = dataset.target.images.nbytes
    assert resident(None) is replicated
    assert resident(4 * size) is replicated
    assert resident(4 * size - 4) == {}
    monkeypatch.setattr(update, "CPU_BYTES", size - 1)
    assert resident(None) == {}
    config.data.resident = "yes"
    assert resident(2 * size) is replicated
    with pytest.raises(UserError, match="the device has 0.0 GiB; use 'no'"):
        resident(size - 1)
