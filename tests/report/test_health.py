"""Each verdict: from the rows that a failing run logs, and from runs that fail."""

import math

import numpy as np
import pytest

from ganjax.configs.generate import dcgan
from ganjax.errors import UserError
from ganjax.losses import logits as losses
from ganjax.report import health
from ganjax.training.loop import train

GOOD = {"d_grad_norm": 1.0, "g_grad_norm": 1.0, "d_pairs": 0.5, "d_sign": 0.4, "d_sign_fake": -0.3}
SHEET = {"diversity": 0.9, "grid_copies": 1.0}


def rows(**last):
    """Return a healthy history whose newest rows have the values in `last`."""
    history = [dict(GOOD, **SHEET) for _ in range(10)]
    for row in history[-health.WINDOW :]:
        row.update(last)
    return history


def test_a_usual_history_is_healthy():
    assert health.judge(rows()).name == "healthy"
    assert health.judge([]).name == "healthy"
    assert str(health.judge(rows())) == "healthy"


@pytest.mark.parametrize(
    ("last", "name", "why"),
    [
        ({"d_pairs": 0.01}, "D has lost", "right in 50 % of pairs"),
        ({"d_pairs": -0.9}, "D has lost", "right in 5 % of pairs"),
        ({"d_pairs": 1.0, "d_sign": 1.0, "d_sign_fake": -0.99}, "D overfits", "99.8 % of its images"),
        ({"grid_copies": 0.1}, "D overfits", "near training images, ratio 0.10"),
        ({"diversity": 0.1}, "mode collapse", "diversity 0.10"),
        ({"g_grad_norm": math.nan}, "diverging", "g_grad_norm is nan"),
    ],
)
def test_each_verdict_has_its_numbers_and_advice(last, name, why):
    verdict = health.judge(rows(**last))
    assert verdict.name == name and why in verdict.why and verdict.advice == health.ADVICE[name]


@pytest.mark.parametrize("values", [(1e308, 1e308), (math.inf, -math.inf), (math.nan, 2**63 - 1)])
def test_numbers_of_a_log_may_be_anything(values):
    names = {name for row in rows(d_loss=1.0, g_loss=1.0, d_weights=1.0, d_lr=1.0, saturated=1.0) for name in row}
    for name in sorted(names):
        history = rows(**{name: values[0]})
        history[-1] = {**history[-1], name: values[1]}
        assert isinstance(str(health.judge(history)), str)


def test_a_gradient_that_explodes_diverges_at_once():
    history = rows()
    history[-1] = {**GOOD, "d_grad_norm": 150.0}
    assert "d_grad_norm 150, usually 1" in health.judge(history).why
    history[-1] = {**GOOD, "d_grad_norm": 50.0}
    assert health.judge(history).name == "healthy"


@pytest.mark.parametrize(
    ("last", "why"),
    [
        ({"g_loss": 58_821.0}, "g_loss 5.88e+04, usually about 1"),
        ({"d_loss": -2e3}, "d_loss 2e+03"),
        ({"g_weights": 60.0}, "g_weights 60, at first 0.05"),
        ({"d_lr": 0.1, "d_weights": 0.3}, "d_lr 0.1 moves weights of 0.3"),
        ({"saturated": 0.97}, "97 % of the samples' values that real images have inside"),
    ],
)
def test_absurd_losses_weights_rates_and_images_diverge(last, why):
    usual = {"d_loss": 1.3, "g_loss": 0.8, "d_weights": 0.05, "g_weights": 0.05, "d_lr": 2e-4, "saturated": 0.1}
    assert health.judge([{**row, **usual} for row in rows()]).name == "healthy"
    verdict = health.judge([{**row, **usual} for row in rows()] + [{**usual, **last}] * 2)
    assert verdict.name == "diverging" and why in verdict.why


def test_a_loss_that_explodes_from_the_first_row_diverges():
    assert health.judge([{"g_loss": 12_900.0, "d_loss": 11_700.0}]).name == "diverging"


def test_losses_without_bounds_are_compared_with_their_own_past():
    """A critic's losses drift, and grow with the distance of the images: to thousands at 1024 px."""
    drift = [{"d_loss": -0.01 - 3 * i, "g_loss": 5.0 * i} for i in range(900)]
    assert health.judge(drift, signed=False).name == "healthy"
    assert health.judge(drift).name == "diverging"
    assert health.judge([*drift, {"g_loss": 1e8}], signed=False).name == "diverging"


def test_one_saturated_sheet_is_no_divergence():
    assert health.judge([*rows(), {"saturated": 1.0}]).name == "healthy"
    assert health.judge([*rows(), {"saturated": 1.0}, {"saturated": 0.2}]).name == "healthy"


def test_saturation_is_measured_against_the_real_images():
    rng = np.random.default_rng(0)
    inner, white = rng.uniform(-0.9, 0.9, (4, 8, 8, 3)), np.ones((4, 8, 8, 3))
    ink = np.where(rng.random((4, 8, 8, 1)) < 0.9, white, inner)  # drawings on paper
    usual = health.extremes(ink)
    assert 0.85 < usual < 0.95
    assert health.saturation(ink, usual) == 0
    assert health.saturation(inner, usual) < 0
    assert health.saturation(white, usual) == 1 == health.saturation(np.sign(inner), 0.0)
    assert health.saturation(white, 1.0) == 0  # real images in pure black and white have no values inside the range


def test_signs_mean_nothing_to_losses_of_differences():
    far = rows(d_pairs=0.9, d_sign=1.0, d_sign_fake=-1.0)
    assert health.judge(far).name == "D overfits"
    assert health.judge(far, signed=False).name == "healthy"
    lost = rows(d_pairs=0.0, d_sign=1.0, d_sign_fake=1.0)
    assert health.judge(lost, signed=False).name == "D has lost"
    # Two kinds are of D(real) - D(fake); of least squares, with targets 1 and 0, a fooled D has both logits at 1/2.
    assert {"relativistic", "wasserstein", "least_squares"} == set(losses.UNSIGNED) < set(losses.KINDS)


def test_a_young_run_is_not_judged_by_its_diversity():
    assert health.judge([{**GOOD, "diversity": 0.01}] * 3).name == "healthy"


def test_names_that_a_recipe_does_not_log_are_skipped():
    for name in GOOD:
        history = [{key: value for key, value in row.items() if key != name} for row in rows()]
        assert health.judge(history).name == "healthy"
    assert health.judge([{"d_sign": 1.0}] * 9).name == "healthy"


def test_diversity_is_the_mean_distance_of_pairs():
    images = np.random.default_rng(0).standard_normal((5, 4, 4, 3))
    pairs = [np.sqrt(((a - b) ** 2).mean()) for i, a in enumerate(images) for j, b in enumerate(images) if i != j]
    assert health.diversity(images) == pytest.approx(np.mean(pairs), rel=1e-9)
    assert health.diversity(np.repeat(images[:1], 4, 0)) == pytest.approx(0, abs=1e-6)


def page_of_run(workdir, steps, **changes):
    """Train a small run with these changes to its config; return its report.html."""
    config = dcgan.get_config("debug")
    config.total_images, config.report.tensorboard, config.report.grid = 8 * steps, False, 16
    config.report.every_images, config.report.samples_every_images, config.checkpoint.every_images = 8, 32, 0
    config.update_from_flattened_dict(changes)
    train(config, workdir)
    return (workdir / "report.html").read_text()


@pytest.mark.parametrize(
    ("name", "steps", "changes"),
    [
        ("D has lost", 40, {"optimizer.d_lr": 0.0, "optimizer.g_lr": 2e-3, "report.samples_every_images": 0}),
        pytest.param("D overfits", 40, {"optimizer.g_lr": 0.0, "optimizer.d_lr": 1e-3,
                               "report.samples_every_images": 0}, marks=pytest.mark.slow),
        # Against a D that does not learn, G converges to the one image that D rates highest.
        pytest.param("mode collapse", 48, {"optimizer.d_lr": 0.0, "optimizer.g_lr": 5e-3, "ema.half_life_images": 0.0,
                               "model.generator.norm": "none", "model.discriminator.norm": "none"},
                     marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_the_verdict_is_in_the_progress_line_and_the_page(name, steps, changes, tmp_path, capsys):
    page = page_of_run(tmp_path, steps, **changes)
    lines = [line for line in capsys.readouterr().out.splitlines() if "images  " in line]
    assert name in lines[-1]
    assert f"<b>{name}" in page and f"Try: {health.ADVICE[name][:20]}" in page


def test_a_run_that_diverges_is_stopped(tmp_path):
    with pytest.raises(UserError, match=r"diverging \(|is (inf|nan) at step"):
        page_of_run(tmp_path, 40, **{"optimizer.d_lr": 1e4, "optimizer.g_lr": 1e4, "model.discriminator.norm": "none"})
    assert "<h2>" in (tmp_path / "report.html").read_text()  # the page shows the curves before it


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.1, 1.0, 10.0])
def test_absurd_rates_diverge(rate, tmp_path):
    with pytest.raises(UserError, match=r"diverging \("):
        page_of_run(tmp_path, 40, **{"optimizer.d_lr": rate, "optimizer.g_lr": rate})


def stepped(period, strength, side=64):
    """Return smooth noise under a grid of dots that repeats every `period` pixels."""
    rng = np.random.default_rng(0)
    smooth = rng.standard_normal((4, side, side, 1)).cumsum(1).cumsum(2)
    smooth /= np.abs(smooth).max()
    grid = np.zeros((side, side, 1))
    grid[::period, ::period] = strength
    return np.repeat(smooth + grid, 3, -1)


@pytest.mark.parametrize("period", [2, 4])
def test_a_grid_stands_out_of_the_spectrum(period):
    plain, faint = health.checkerboard(stepped(period, 0)), health.checkerboard(stepped(period, 0.3))
    assert faint > health.GRID * plain
    noise = np.random.default_rng(1).standard_normal((4, 64, 64, 3))
    assert health.checkerboard(noise) < 10


def test_brightness_is_1_of_the_image_itself_and_minus_1_of_its_negative():
    images = np.random.default_rng(0).standard_normal((3, 8, 8, 3))
    assert health.brightness(images, 0.2 * images + 0.5) == pytest.approx(1)
    assert health.brightness(images, -images) == pytest.approx(-1)
    assert health.brightness(images, np.zeros_like(images)) == 0


@pytest.mark.parametrize(
    ("last", "name", "why"),
    [
        ({"brightness": -0.6}, "colours inverted", "correlate by -0.60"),
        ({"checkerboard": 80.0}, "checkerboard", "a grid stands out 80 times"),
    ],
)
def test_alarms_of_translations(last, name, why):
    usual = {"brightness": 0.7, "checkerboard": 1.2}
    assert health.judge([{**row, **usual} for row in rows()]).name == "healthy"
    verdict = health.judge([{**row, **usual, **last} for row in rows()])
    assert verdict.name == name and why in verdict.why and verdict.advice == health.ADVICE[name]
