"""Averages that are made anew from those in checkpoints."""

import numpy as np
import pytest
from tiny import config_of

from ganjax.config.check import check
from ganjax.errors import UserError
from ganjax.inference import posthoc
from ganjax.state import ema_decay


def config(**changes):
    given = config_of("r3gan2")
    given.batch_size = 10
    given.update_from_flattened_dict(changes)
    return check(given)


@pytest.mark.parametrize(("width", "gamma"), [(0.05, 16.97), (0.10, 6.94)])  # of the paper, section 3.2
def test_the_exponent_of_a_width(width, gamma):
    assert posthoc.exponent(width) == pytest.approx(gamma, abs=0.005)
    t = (np.arange(100_000) + 0.5) / 100_000
    share = t**gamma / np.sum(t**gamma)
    assert np.sqrt(share @ t**2 - (share @ t) ** 2) == pytest.approx(width, rel=1e-3)


HALF_LIFE = {"kind": "cosine", "from": 0.0, "to": 900.0, "images": 3000}


@pytest.mark.parametrize(
    "changes", [{}, {"ema.half_life_images": 500.0, "ema.start_images": 700}, {"ema.half_life_images": HALF_LIFE}]
)
def test_a_profile_is_what_the_average_of_a_run_is_made_of(changes):
    made = config(**changes)
    weights, average = np.random.default_rng(0).standard_normal(200), 0.0
    for i, weight in enumerate(weights):
        images = 10 * (i + 1)
        half_life = made.ema.half_life_images
        if not isinstance(half_life, float):
            half_life = 900 * (1 - np.cos(np.pi * min(images / 3000, 1))) / 2
        decay = 0.0 if 10 * i < made.ema.start_images else float(ema_decay(images, 10, half_life, made.ema.ramp))
        average = decay * average + (1 - decay) * weight
    assert posthoc.profile(made, 200) @ weights == pytest.approx(average, abs=1e-5)


def test_a_ramp_is_a_power_function():
    shares = posthoc.profile(config(), 20_000)
    times = np.arange(1, 20_001) / 20_000
    wanted = times**6.94 / np.sum(times**6.94)
    assert np.linalg.norm(shares - wanted) < 0.01 * np.linalg.norm(wanted)


@pytest.mark.parametrize(("width", "error"), [(0.05, 0.19), (0.075, 0.07), (0.1, 0.01), (0.15, 0.08)])
def test_sixteen_checkpoints_allow_other_widths(width, error):
    made = config()
    profiles = [np.pad(posthoc.profile(made, 100 * i), (0, 1600 - 100 * i)) for i in range(1, 17)]
    factors, left = posthoc.combination(np.stack(profiles), width)
    assert left < error and sum(factors) == pytest.approx(1)


def test_weights_are_averaged_anew(monkeypatch, tmp_path):
    """Weights that grow linearly in time have the mean (gamma + 1) / (gamma + 2) under t^gamma."""
    made, kept = config(), range(100, 1700, 100)

    def load_ema(directory, step):
        mean = posthoc.profile(made, step) @ np.arange(1, step + 1) / 1600
        return {"generator": {"params": {"a": np.full(2, mean, np.float32)}, "stats": np.full(1, step)}}, {"step": step}

    monkeypatch.setattr(posthoc, "steps", lambda directory: [0, *kept])
    monkeypatch.setattr(posthoc, "load_ema", load_ema)
    variables, meta = posthoc.load(tmp_path, made, "ema:0.15")
    gamma = posthoc.exponent(0.15)
    np.testing.assert_allclose(variables["generator"]["params"]["a"], (gamma + 1) / (gamma + 2), rtol=5e-3)
    assert meta == {"step": 1600, "ema": 0.15} and variables["generator"]["stats"] == 1600


@pytest.mark.parametrize("request_", ["ema:", "ema:x", "ema:nan", "ema:0.5", "ema:0"])
def test_a_wrong_width_is_refused(request_, tmp_path):
    with pytest.raises(UserError, match=r"write ema:WIDTH, a share of the training from 0.001 to 0.28"):
        posthoc.load(tmp_path, config(), request_)


def test_one_checkpoint_is_not_enough(tmp_path):
    with pytest.raises(UserError, match="has 0: train with --config.checkpoint.keep_every_images=N"):
        posthoc.load(tmp_path, config(), "ema:0.1")
