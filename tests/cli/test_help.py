"""`--help` with a config lists its keys; without a config, or with a wrong one, it does not."""

import pytest
from running import ROOT, launch

from ganjax.cli import main

ROW = "  data.resolution                 32             height of the images, in pixels (1 to 16_384)"


@pytest.mark.parametrize("flags", [["--config=demo", "--help"], ["-h", "--config", "demo"]])
def test_train_lists_the_keys_of_the_config(flags):
    done = launch("train", *flags, cwd=ROOT)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and lines[0].startswith("usage: ") and "--workdir" in done.stdout
    keys = lines[lines.index("keys of demo, each a flag, --config.KEY=VALUE; docs/config.md says more:") :]
    assert ROW in keys and max(map(len, keys)) <= 100
    starts = [" ".join(line.split()) for line in keys]
    assert "optimizer.g_lr 0.0004 Adam's learning rate of G (schedule)" in starts
    assert any(line.startswith("model.generator.width 40 ") for line in starts)


def test_flags_are_heeded_and_a_workdir_may_be_there(tmp_path):
    flags = ["--config=demo", "--config.data.resolution=64", f"--workdir={tmp_path / 'run'}", "--help"]
    done = launch("train", *flags, cwd=ROOT)
    assert done.returncode == 0 and ROW.replace("  32  ", "  64  ") in done.stdout.splitlines()
    assert not (tmp_path / "run").exists()


def test_sweep_lists_the_keys_of_its_first_run():
    done = launch("sweep", "--config=losses", "--help", cwd=ROOT)
    assert done.returncode == 0 and ROW in done.stdout.splitlines()
    assert "\n  loss.kind                       non_saturating " in done.stdout


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--config=demoo"], "error: --config: no file demoo; did you mean 'demo'?"),
        (["--config=losses"], "error: --config=configs/sweeps/losses.py: this is a sweep: launch.py sweep"),
        (["--config=demo", "--config.data.widht=3"], "error: --config.data.widht: there is no such key; did you mean"),
        (["--config=demo", "--wrkdir=x"], "error: train: --wrkdir is not known; did you mean '--workdir'?"),
    ],
)
def test_what_cannot_be_listed_is_one_line(flags, message):
    done = launch("train", *flags, "--help", cwd=ROOT)
    (line,) = done.stdout.splitlines()
    assert done.returncode == 1 and line.startswith(message)


def test_only_help_with_a_config_lists_keys():
    assert main.asks_for_keys(["train", "--config=x", "-h"])
    assert main.asks_for_keys(["train", "--help", "--config", "x"])
    assert not main.asks_for_keys(["train", "--help"])
    assert not main.asks_for_keys(["train", "--config=x", "--workdir=y"])
    assert not main.asks_for_keys(["train", "--help", "--config.seed=3"])
