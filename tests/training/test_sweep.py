"""Sweeps: the numbers of the table, stopping and resuming, failures, and errors in the sweep's file."""

import csv
import errno
import json
import signal
from pathlib import Path

import jax
import numpy as np
import pytest

from ganjax.errors import UserError
from ganjax.metrics import evaluate
from ganjax.system import signals
from ganjax.training import sweep

FILE = """
def get_sweep():
    return {{
        "config": "{config}",
        "base": {{"batch_size": 4, "total_images": 8, "report.tensorboard": False}},
        "grid": {{"optimizer.g_lr": (1e-4, 2e-4), "loss.kind": ("hinge", {last})}},
        "seeds": (0, 1),
        "metrics": ("swd", "rand_fd.n_fake"),
        "num": 8,
    }}
"""
GRID = '"grid": {{"optimizer.g_lr": (1e-4, 2e-4), "loss.kind": ("hinge", {last})}}'


@pytest.fixture
def file(tmp_path, request):

    def make(last="'non_saturating'", text=FILE):
        path = tmp_path / "grid.py"
        path.write_text(text.format(config="demo:debug", last=last))
        return str(path)

    return make


@pytest.fixture
def quick(monkeypatch):
    """Replace training and metrics by fakes: training records the config, the metrics depend on it."""
    trained = []

    def train(config, folder):
        trained.append((config.optimizer.g_lr, config.loss.kind, config.seed))
        (folder / "checkpoints" / str(config.total_images // config.batch_size)).mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"seed": config.seed, "rate": config.optimizer.g_lr}))

    def workdir(path, names, num, options):
        rate = json.loads(Path(path, "config.json").read_text())["rate"]
        return {"swd": {"value": 1e4 * rate + options.seed}, "rand_fd": {"value": 0.0, "n_fake": float(num)}}

    monkeypatch.setattr(sweep, "train", train)
    monkeypatch.setattr(evaluate, "workdir", workdir)
    return trained


def test_the_table_has_mean_deviation_and_interval_over_the_seeds(file, quick, tmp_path):
    results = sweep.run(sweep.read(file()), tmp_path / "out")
    assert len(quick) == 8 and len(results) == 4
    text = (tmp_path / "out" / "sweep.md").read_text()
    # 1 and 2 have mean 1.5, deviation 0.7071 and the interval 1.5 +- 12.706 * 0.7071 / sqrt 2 = 6.353
    assert "| g_lr=0.0001,kind=hinge | 2 | 1.5 +- 0.707 [-4.853, 7.853] | 8 +- 0 [8, 8] |" in text
    rows = list(csv.DictReader((tmp_path / "out" / "sweep.csv").open()))
    assert (
        len(rows) == 8 and rows[1]["optimizer.g_lr"] == "0.0001" and rows[1]["seed"] == "1" and rows[1]["swd"] == "2.0"
    )
    assert (tmp_path / "out" / "sweep.png").stat().st_size > 5000


def test_the_same_call_goes_on_where_it_stopped(file, quick, tmp_path, monkeypatch):
    plan, train = sweep.read(file()), sweep.train

    def stopped(config, folder):
        if len(quick) == 3:
            return  # as after SIGTERM: saved, but not at the last step
        train(config, folder)

    monkeypatch.setattr(sweep, "train", stopped)
    assert sweep.run(plan, tmp_path) is None
    monkeypatch.setattr(sweep, "train", train)
    assert len(sweep.run(plan, tmp_path)) == 4
    assert len(quick) == len(set(quick)) == 8
    sweep.run(plan, tmp_path)
    assert len(quick) == 8  # nothing is left to do
    next(tmp_path.glob("*/seed1/results.json")).write_text("{")
    assert len(sweep.run(plan, tmp_path)) == 4 and len(quick) == 9  # a damaged result is measured again
    sweep.run(plan, tmp_path, ["--config.optimizer.b1=0.1"])
    assert len(quick) == 17  # results of another config do not count


def test_keys_that_change_no_result_measure_nothing_again(file, quick, tmp_path):
    plan = sweep.read(file())
    sweep.run(plan, tmp_path)
    silent = ["report.grid=9", "health=false", "steps_per_call=2", "checkpoint.keep_last=5", "data.threads=1"]
    sweep.run(plan, tmp_path, [f"--config.{flag}" for flag in silent])
    assert len(quick) == 8
    sweep.run(plan, tmp_path, ["--config.penalty.r1={'kind': 'linear', 'from': 1, 'to': 0, 'images': 8}"])
    assert len(quick) == 16
    sweep.run(plan, tmp_path, ["--config.penalty.r1={'kind': 'linear', 'from': 1.0, 'to': 0.0, 'images': 8.0}"])
    assert len(quick) == 16  # the same schedule, written differently


def test_a_signal_stops_the_sweep_even_if_its_run_is_done(file, quick, tmp_path, monkeypatch):
    monkeypatch.setattr(signals, "caught", signal.SIGTERM)
    assert sweep.run(sweep.read(file()), tmp_path) is None
    assert len(quick) == 1 and not list(tmp_path.glob("sweep.*"))


@pytest.mark.parametrize(
    "error", [UserError("g_loss is nan at step 3"), jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: g_loss is nan")]
)
def test_a_run_that_fails_is_told_and_the_others_go_on(file, quick, tmp_path, monkeypatch, error):
    train = sweep.train

    def failing(config, folder):
        if config.seed and config.loss.kind == "hinge":
            raise error
        train(config, folder)

    monkeypatch.setattr(sweep, "train", failing)
    results = sweep.run(sweep.read(file()), tmp_path)
    assert [["error" in run for run in runs] for runs in results.values()] == [[False, True], [False] * 2] * 2
    text = (tmp_path / "sweep.md").read_text()
    assert "| g_lr=0.0001,kind=hinge | 1 | 1 | 8 |" in text
    assert "g_loss is nan" in (tmp_path / "sweep.csv").read_text()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"num"', '"number"', "'number' is not a key of a sweep; did you mean 'num'"),
        ('"grid"', '"points": {{"a": {{}}}}, "grid"', "either grid or points"),
        ('"swd"', '"sdw"', "'sdw' is not known; did you mean 'swd'"),
        ("return", "retrun", "SyntaxError"),
        ("(0, 1)", "()", "there is no seed to run"),
        ("(0, 1)", "3", "seeds = 3 must be a list"),
        ("(0, 1)", "(0, 1, 1)", "one comes twice"),
        ("(0, 1)", "(0, True)", "whole numbers"),
        ("(0, 1)", "(0, 2**32)", "whole numbers"),
        ("(0, 1)", "'01'", "must be a list"),
        ('"num": 8', '"num": "8"', "num = '8' must be a whole number"),
        ('"num": 8', '"num": 0', "num = 0 must be"),
        ('("swd", "rand_fd.n_fake")', "'swd'", "metrics = 'swd' must be a list"),
        ('("swd", "rand_fd.n_fake")', "(3,)", "must be a list of names"),
        ('("swd", "rand_fd.n_fake")', "None", "must be a list of names"),
        ('{{"batch_size": 4, "total_images": 8, "report.tensorboard": False}}', "3", "base must be a dict"),
        ('{{"optimizer.g_lr": (1e-4, 2e-4), "loss.kind": ("hinge", {last})}}', "[1]", "grid must be a dict"),
        ("(1e-4, 2e-4)", "(1e-4, 1e-4)", "comes twice"),
        (GRID, '"points": {{"a": 3}}', "'a' must be"),
        ('"config": "{config}"', '"config": 3', "'config' is missing"),
        ("return {{", "return None; {{", "must return a dict"),
        ("return {{", "raise SystemExit(3); {{", "SystemExit: 3"),
        ("get_sweep", "get_config", "config of one run: launch.py train"),
        ("get_sweep", "sweep", "has no get_sweep"),
        ('"config": "{config}",', "", "'config' is missing"),
        ("(1e-4, 2e-4)", "1e-4", "'optimizer.g_lr' must have a list of values, not 0.0001"),
    ],
)
def test_a_file_that_says_something_unknown_is_refused(file, old, new, message):
    with pytest.raises(UserError, match=message):
        sweep.read(file(text=FILE.replace(old, new)))


def test_names_that_one_folder_would_take_have_folders_of_their_own(file, quick, tmp_path):
    new = '"points": {{"a b": {{}}, "a/b": {{"d_steps": 2}}, "a-b": {{"d_steps": 3}}, "A-b": {{}}, "..": {{}}}}'
    results = sweep.run(sweep.read(file(text=FILE.replace(GRID, new))), tmp_path / "out")
    assert len(results) == 5 and len(list((tmp_path / "out").glob("*/seed*"))) == 10


def test_a_folder_follows_from_its_points_name_alone():
    names = ["a b", "a-b", "a-b-2", "B=True", "b=true", "x" * 300, "x" * 301, "..", "nul", "\udcff"]
    names.append("g_lr=1e-05,k=True")
    folders = sweep.folders(names)
    assert folders == sweep.folders(reversed(names))
    assert all(folders[name] == name for name in ("a-b", "a-b-2", "g_lr=1e-05,k=True"))
    again = sweep.folders([*names, *folders.values()])  # a point may be named like the folder of another point
    assert len({folder.casefold() for folder in again.values()}) == len(again)
    assert all(len(folder.encode()) < 200 and not set(folder) & set("/\\:\udcff ") for folder in again.values())
    assert not {".", "..", "nul"} & set(again.values())


def test_a_sweep_within_its_data_is_refused(file, quick, tmp_path, paintings):
    plan = sweep.read(file())
    with pytest.raises(UserError, match="lies in .*config.data.path"):
        sweep.run(plan, paintings / "out", [f"--config.data.path={paintings}"])
    assert not (paintings / "out").exists()


def test_a_full_disk_is_one_line_for_each_run_and_at_the_end(file, quick, tmp_path, monkeypatch, caplog):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    plan = sweep.read(file())
    monkeypatch.setattr(sweep, "train", full)
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(UserError, match="tables of the sweep: .*sweep.md cannot be written: No space left"):
        sweep.run(plan, tmp_path / "out")
    assert sum("cannot be written: No space left" in record.getMessage() for record in caplog.records) == 8


def test_a_misspelt_key_or_file_is_told_before_anything_runs(file, quick, tmp_path):
    with pytest.raises(UserError, match="did you mean 'loss.kind'"):
        sweep.run(sweep.read(file(text=FILE.replace("loss.kind", "loss.knd"))), tmp_path)
    with pytest.raises(UserError, match=r"no file .*grd.py; did you mean .*grid.py"):
        sweep.read(file().replace("grid.py", "grd.py"))
    assert not quick


def test_the_projects_own_sweeps_can_be_read():
    from conftest import ROOT

    files = sorted((ROOT / "configs" / "sweeps").glob("[!_]*.py"))
    assert files
    for path in files:
        plan = sweep.read(str(path))
        for name in plan.points:
            assert sweep.settings(plan, name, 0).seed == 0
        assert f"--config={path.stem} " in path.read_text()


def test_one_real_run(file, tmp_path):
    small = FILE.replace("(1e-4, 2e-4)", "(1e-4,)").replace('("hinge", {last})', '("hinge",)').replace("(0, 1)", "(0,)")
    results = sweep.run(sweep.read(file(text=small)), tmp_path)
    (runs,) = results.values()
    assert runs[0]["swd"] > 0 and runs[0]["rand_fd.n_fake"] == 8
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert np.isfinite(runs[0]["swd"])
