"""Schedules: their values, their form in configs, flags and files, and invalid ones."""

import math
import shlex

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ganjax.config import derived, docs, groups, schedule
from ganjax.config import file as config_file
from ganjax.config.check import check
from ganjax.configs.generate import dcgan
from ganjax.errors import UserError
from ganjax.training import branch, sweep
from ganjax.workdir import run_folder

FALLING = {"kind": "linear", "from": 2.0, "to": 0.0, "images": 1000}
FILE = """
from ganjax.configs.generate import dcgan

def get_config():
    config = dcgan.get_config("debug")
    config.penalty.r1 = {"kind": "cosine", "from": 2.0, "to": 0.2, "images": 20e6}
    config.optimizer.g_lr = {"kind": "linear", "from": 1, "to": 0, "images": 1000}
    return config
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "falling.py").write_text(FILE)
    return str(tmp_path / "falling.py")


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("constant", [3, 3, 3, 3, 3]),
        ("linear", [3, 2.5, 2, 1, 1]),
        ("cosine", [3, 2 + math.cos(math.pi / 4), 2, 1, 1]),
    ],
)
def test_values_over_the_images(kind, values):
    """At 0, a quarter, half, all and twice the images: (1 - u) from + u to, with u = t or (1 - cos(pi t)) / 2."""
    one = {"kind": kind, "from": 3, "to": 1.0, "images": 1e6}
    images = [0, 250_000, 500_000, 1_000_000, 2_000_000]
    assert [float(schedule.value_at(one, count)) for count in images] == pytest.approx(values, abs=1e-12)
    traced = jax.jit(lambda count: jnp.asarray(schedule.value_at(one, count)))
    np.testing.assert_allclose([traced(jnp.int32(count)) for count in images], values, rtol=1e-6)


def test_a_schedule_of_no_images_spans_the_run(file):
    config = config_file.load_file(file, ["--config.penalty.r1.images=0", "--config.total_images=5000"])
    assert groups.completed(config).penalty.r1.images == 5000
    config.schedule_images = 7000
    assert groups.completed(config).penalty.r1.images == 7000
    assert config.penalty.r1.images == 0  # as it is saved
    assert "cosine from 2.0 to 0.2 over the run" in docs.listing(config)


def test_a_number_is_itself():
    number = 0.1
    assert schedule.value_at(number, jnp.int32(3)) is number


def test_the_last_value_is_met_exactly():
    one = {"kind": "cosine", "from": 2.0, "to": 0.1, "images": 30}
    assert (float(schedule.value_at(one, 0)), float(schedule.value_at(one, 30))) == (2.0, 0.1)


def test_a_file_sets_a_schedule_in_a_numbers_place(file):
    config = check(config_file.load_file(file, []))
    assert config.penalty.r1.to_dict() == {"kind": "cosine", "from": 2.0, "to": 0.2, "images": 20e6}
    assert derived.flatten(config)["penalty.r1"]["to"] == 0.2  # one value
    assert "cosine from 2.0 to 0.2 over 20_000_000.0 images" in docs.listing(config)


def test_a_flag_sets_a_number_a_field_or_a_whole_schedule(file):
    field = config_file.load_file(file, ["--config.penalty.r1.to=0.5", "--config.penalty.r1.images=3e6"])
    assert field.penalty.r1.to_dict() == {"kind": "cosine", "from": 2.0, "to": 0.5, "images": 3e6}
    assert config_file.load_file(file, ["--config.optimizer.g_lr.to=0.25"]).optimizer.g_lr.to == 0.25  # it was an int
    assert config_file.load_file(file, ["--config.penalty.r1.kind=linear"]).penalty.r1.kind == "linear"
    number = config_file.load_file(file, ["--config.penalty.r1=1e-3"])
    assert (number.penalty.r1, check(number).is_locked) == (1e-3, True)
    whole = config_file.load_file("dcgan", [f"--config.penalty.r1={FALLING}"])
    assert check(whole).penalty.r1.to_dict() == FALLING


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("penalty.r2.to=1", "--config.penalty.r2.to: config.penalty.r2 is a number; the config's file may set"),
        ("penalty.r1.form=1", "--config.penalty.r1.form: a schedule has kind, from, to, images; did you mean 'from'"),
        ("penalty.r1.to=low", "--config.penalty.r1.to=low: expected float"),
        ("penalty.r1={'kind'", "expected a number, or a schedule {'kind': 'linear'"),
        ("penalty.r1={1, 2}", "expected a number, or a schedule"),
        ("penalty.r1={1: 2}", "config.penalty.r1.1: a schedule has kind, from, to, images"),
        ("penalty.r1=many", "--config.penalty.r1=many: expected float"),
        ("optimizer.eps={'kind': 'linear'}", "--config.optimizer.eps={'kind': 'linear'}: expected float"),
    ],
)
def test_a_flag_that_is_none_is_one_sentence(file, flag, message):
    with pytest.raises(UserError, match=message) as error:
        config_file.load_file(file, [f"--config.{flag}"])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("penalty.r1", {"kind": "cosin"}, "config.penalty.r1.kind = 'cosin' is no kind .*did you mean 'cosine'"),
        ("penalty.r1", {"kind": 3}, "config.penalty.r1.kind = 3 is no kind of schedule; there is: constant, "),
        ("penalty.r1", {"form": 1.0}, "config.penalty.r1.form: a schedule has kind, .*did you mean 'from'"),
        ("penalty.r1", {"from": "high"}, "config.penalty.r1.from = 'high' must be a number"),
        ("penalty.r1", {"to": True}, "config.penalty.r1.to = True must be a number"),
        ("penalty.r1", {"to": -1.0}, "config.penalty.r1.to = -1.0 must be at least 0"),
        ("penalty.r1", {"from": float("nan")}, "config.penalty.r1.from = nan must be from 0 to 3e"),
        ("penalty.r1", {"images": -1}, "config.penalty.r1.images = -1 must be at least 0"),
        ("optimizer.b2", {"from": 0.9, "to": 1.0}, "config.optimizer.b2.to = 1.0 must be from 0 to 0.999999"),
        ("optimizer.eps", {}, "config.optimizer.eps = {.*} must be a number"),
        ("batch_size", {}, "config.batch_size = {.*} must be a whole number"),
    ],
)
def test_a_schedule_that_cannot_be_right_is_refused(key, change, message):
    config = dcgan.get_config()
    with config.ignore_type():
        config.update_from_flattened_dict({key: {**FALLING, **change}})
    with pytest.raises(UserError, match=message) as error:
        check(config)
    assert "\n" not in str(error.value)


def test_a_schedule_without_a_field_is_refused():
    config = dcgan.get_config()
    config.penalty.lecam = {"kind": "linear", "from": 1.0, "images": 5}
    with pytest.raises(UserError, match="config.penalty.lecam: the schedule has no 'to'; a schedule has kind, from,"):
        check(config)


def test_a_rate_falls_by_one_schedule():
    config = dcgan.get_config()
    config.optimizer.d_lr, config.optimizer.schedule = FALLING, "cosine"
    with pytest.raises(UserError, match="d_lr is a schedule: set --config.optimizer.schedule=constant"):
        check(config)


def test_what_is_saved_reads_back_equal(file, tmp_path):
    config = check(config_file.load_file(file, []))
    config_file.save(config, tmp_path / "config.json")
    back = run_folder.read_config(tmp_path)
    assert derived.flatten(back) == derived.flatten(config)
    assert back.penalty.r1["from"] == 2.0 and back.is_locked


def test_a_resume_compares_schedules_as_values(file, tmp_path):
    saved = config_file.load_file(file, [])
    assert config_file.resume(config_file.load_file(file, []), saved, tmp_path) == {}
    other = config_file.load_file(file, ["--config.penalty.r1.to=0.3"])
    with pytest.raises(UserError, match=r"config.penalty.r1 = {'kind': .*'to': 0.2, .*}, not {.*'to': 0.3, ") as error:
        config_file.resume(other, saved, tmp_path)
    (way,) = shlex.split(str(error.value).partition("resume with ")[2].partition(" or choose")[0])
    assert config_file.resume(config_file.load_file(file, [way]), saved, tmp_path) == {}
    number = config_file.load_file("dcgan:debug", [])
    with pytest.raises(UserError, match=r"config.optimizer.g_lr = 0.0002, not {'kind': .*'from': 1, .*}"):
        config_file.resume(saved, number, tmp_path)


def test_a_branch_says_what_became_of_a_number(file):
    number = config_file.load_file("dcgan:debug", ["--config.report.grid=4", "--config.metrics=swd"])
    changed = branch.changes(number, config_file.load_file(file, []))
    assert [line.partition(":")[0] for line in changed] == ["optimizer.g_lr", "penalty.r1"]
    assert changed[1].startswith("penalty.r1: 0.0 -> {'kind': 'cosine', 'from': 2.0")


def test_the_points_of_a_sweep_may_be_schedules(tmp_path):
    plan = sweep.Sweep("demo:debug", {}, {"falling": {"penalty.r1": FALLING}}, (0,), ("swd",), 8)
    config = check(sweep.settings(plan, "falling", 0, ["--config.penalty.r1.from=3"]))
    assert config.penalty.r1.to_dict() == {**FALLING, "from": 3.0}
    assert len(sweep.folders([f"r1={FALLING}"])[f"r1={FALLING}"]) < 200
