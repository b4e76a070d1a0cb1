"""Real processes that are killed and resumed: the run ends in the same bits."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from running import ROOT, assert_same, launch, read_state

from ganjax.workdir.rows import read_rows


@pytest.fixture(scope="module", autouse=True)
def as_users_run():
    """Use oneDNN's convolutions if available, and LLVM's optimisation, as for users."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("GANJAX_ONEDNN")
        patch.delenv("XLA_FLAGS")
        yield


RUNS = {
    "demo": ["--config=demo:debug"],
    "steps_per_call=3": ["--config=demo:debug", "--config.steps_per_call=3"],
    "r3gan": ["--config=r3gan:debug", "--config.ada.policy=paint"],
    "stylegan2": ["--config=stylegan2:debug", "--config.ada.images=1000"],
}


SLOW = [pytest.param(run, marks=pytest.mark.slow) for run in RUNS if run != "demo"]


@pytest.fixture(scope="module", params=["demo", *SLOW])
def command(request, tmp_path_factory):
    """Return (flags of a run, folder, final state of the run without a kill)."""
    folder = tmp_path_factory.mktemp("kill")
    flags = [*RUNS[request.param], "--config.total_images=320", "--config.checkpoint.every_images=40"]
    flags += ["--config.augment.rotate=10", "--config.augment.flip=true", "--config.report.tensorboard=false"]
    done = launch("train", *flags, f"--workdir={folder / 'whole'}", cwd=ROOT)
    assert done.returncode == 0, done.stdout
    return flags, folder, read_state(folder / "whole", 40)


@pytest.mark.parametrize("after", [20, *(pytest.param(after, marks=pytest.mark.slow) for after in (5, 33))])
def test_killed_and_resumed_ends_in_the_same_bits(command, after):
    flags, folder, whole = command
    workdir = folder / f"killed{after}"
    line = [sys.executable, "launch.py", "train", *flags, f"--workdir={workdir}"]
    process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        if any(int(f.name) >= after - 4 for f in (workdir / "checkpoints").glob("*") if f.name.isdigit()):
            break
        time.sleep(0.01)
    assert process.poll() is None, "the run ended before it could be killed"
    process.kill()
    process.wait()
    assert not (workdir / "checkpoints" / "40").exists()
    done = launch("train", *flags, f"--workdir={workdir}", cwd=ROOT)
    assert done.returncode == 0, done.stdout
    assert "resuming at" in done.stdout
    assert_same(read_state(workdir, 40), whole)
    steps = [row["step"] for row in read_rows(workdir / "scalars.jsonl") if "d_loss" in row]
    assert steps == sorted(set(steps)), "lines past the restored step are dropped"


@pytest.mark.slow
def test_sigterm_saves_and_is_the_status(command, tmp_path):
    flags, _, whole = command
    line = [sys.executable, "launch.py", "train", *flags, f"--workdir={tmp_path}", "--config.checkpoint.every_images=0"]
    process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for text in process.stdout:
        if "img/s" in text or "D " in text:
            break
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=300)
    assert process.returncode == -signal.SIGTERM, rest  # a stopped run has not succeeded
    assert "stopped by SIGTERM" in rest
    assert any((tmp_path / "checkpoints").iterdir())
    assert launch("train", *flags, f"--workdir={tmp_path}", cwd=ROOT).returncode == 0
    assert_same(read_state(tmp_path, 40), whole)


@pytest.mark.slow
def test_killed_again_and_again_it_still_ends_in_the_same_bits(command):
    """Kills at random moments: while importing, compiling, saving, drawing samples."""
    flags, folder, whole = command
    workdir = folder / "often"
    rng = np.random.default_rng(0)
    line = [sys.executable, "launch.py", "train", *flags, f"--workdir={workdir}"]
    for seconds in rng.uniform(3, 14, 10):
        process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    done = launch("train", *flags, f"--workdir={workdir}", cwd=ROOT)
    assert done.returncode == 0, done.stdout
    assert_same(read_state(workdir, 40), whole)
