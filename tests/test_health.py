"""Each verdict is provoked: by rows as such a run logs them, and by such runs."""

import math

import numpy as np
import pytest

from configs import dcgan
from ganjax import health, losses
from ganjax.errors import UserError
from ganjax.train import train

GOOD = {"d_grad_norm": 1.0, "g_grad_norm": 1.0, "d_pairs": 0.5, "d_sign": 0.4, "d_sign_fake": -0.3}
SHEET = {"diversity": 0.9, "grid_copies": 1.0}


def rows(**last):
    """Return a healthy history whose newest rows have the values given."""
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


def test_a_gradient_that_explodes_diverges_at_once():
    history = rows()
    history[-1] = {**GOOD, "d_grad_norm": 150.0}
    assert "d_grad_norm 150, usually 1" in health.judge(history).why
    history[-1] = {**GOOD, "d_grad_norm": 50.0}
    assert health.judge(history).name == "healthy"


def test_signs_mean_nothing_to_losses_of_differences():
    far = rows(d_pairs=0.9, d_sign=1.0, d_sign_fake=-1.0)
    assert health.judge(far).name == "D overfits"
    assert health.judge(far, signed=False).name == "healthy"
    lost = rows(d_pairs=0.0, d_sign=1.0, d_sign_fake=1.0)
    assert health.judge(lost, signed=False).name == "D has lost"
    # D(real) - D(fake) of two, and targets of 1 and 0: both logits of a fooled least-squares D are at 1/2, above 0.
    assert {"relativistic", "wasserstein", "least_squares"} == set(health.UNSIGNED) < set(losses.KINDS)


def test_a_young_run_is_not_judged_by_its_diversity():
    assert health.judge([{**GOOD, "diversity": 0.01}] * 3).name == "healthy"


def test_what_a_recipe_does_not_log_is_passed_over():
    for name in GOOD:
        assert (
            health.judge([{key: value for key, value in row.items() if key != name} for row in rows()]).name
            == "healthy"
        )
    assert health.judge([{"d_sign": 1.0}] * 9).name == "healthy"


def test_diversity_is_the_mean_distance_of_pairs():
    images = np.random.default_rng(0).standard_normal((5, 4, 4, 3))
    pairs = [np.sqrt(((a - b) ** 2).mean()) for i, a in enumerate(images) for j, b in enumerate(images) if i != j]
    assert health.diversity(images) == pytest.approx(np.mean(pairs), rel=1e-9)
    assert health.diversity(np.repeat(images[:1], 4, 0)) == pytest.approx(0, abs=1e-6)


def provoked(workdir, steps, **changes):
    """Return the last line that a run prints, and its page."""
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
        ("D overfits", 40, {"optimizer.g_lr": 0.0, "optimizer.d_lr": 1e-3, "report.samples_every_images": 0}),
        # Against a D that stands still, G seeks the one image that it likes best.
        ("mode collapse", 48, {"optimizer.d_lr": 0.0, "optimizer.g_lr": 5e-3, "ema.half_life_images": 0.0,
                               "model.generator.norm": "none", "model.discriminator.norm": "none"}),
    ],
)  # fmt: skip
def test_a_run_made_to_fail_is_told_in_the_progress_line_and_the_page(name, steps, changes, tmp_path, capsys):
    page = provoked(tmp_path, steps, **changes)
    lines = [line for line in capsys.readouterr().out.splitlines() if "images  " in line]
    assert name in lines[-1]
    assert f"<b>{name}" in page and f"Try: {health.ADVICE[name][:20]}" in page


def test_a_run_that_diverges_is_stopped(tmp_path):
    with pytest.raises(UserError, match=r"diverging \(._grad_norm|is (inf|nan) at step"):
        provoked(tmp_path, 40, **{"optimizer.d_lr": 1e4, "optimizer.g_lr": 1e4, "model.discriminator.norm": "none"})
    assert "<h2>" in (tmp_path / "report.html").read_text()  # what led to it can be looked at


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
