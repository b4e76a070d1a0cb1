"""Any number of devices and hosts trains the same model."""

import json
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
from running import ROOT, environment, launch, read_state

from ganjax.errors import UserError
from ganjax.system import devices
from ganjax.workdir.rows import read_rows

FLAGS = ["--config=demo:debug", "--config.report.tensorboard=false", "--config.checkpoint.every_images=8"]
FLAGS += ["--config.checkpoint.keep_last=10", "--config.total_images=40", "--config.schedule_images=80"]


def trained(workdir, *flags, devices=1, step=5):
    done = launch("train", *FLAGS, *flags, f"--workdir={workdir}", devices=devices, cwd=ROOT)
    assert done.returncode == 0, done.stdout
    return read_state(workdir, step)


@pytest.fixture(scope="module")
def doubles(tmp_path_factory):
    """Return the states after five and after ten steps in float64 on one device."""
    workdir = tmp_path_factory.mktemp("one")
    ten = trained(workdir, "--config.precision=float64", "--config.total_images=80", step=10)
    return read_state(workdir, 5), ten


def assert_near(a, b, atol):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=0, atol=atol, err_msg=name)


def test_eight_devices_train_the_same_model_in_float64(doubles, tmp_path):
    five, ten = doubles
    assert any(leaf.dtype == np.float64 for leaf in five.values())
    assert_near(five, trained(tmp_path, "--config.precision=float64", devices=8), 1e-9)
    # A run of eight devices resumes on one, and then on eight again: still the same model.
    trained(tmp_path, "--config.precision=float64", "--config.total_images=64", devices=1, step=8)
    mixed = trained(tmp_path, "--config.precision=float64", "--config.total_images=80", devices=8, step=10)
    assert_near(ten, mixed, 1e-9)


@pytest.mark.slow  # the float64 test above is the strict one
def test_first_gradients_in_float32_agree(tmp_path):
    one = trained(tmp_path / "1", step=1)
    eight = trained(tmp_path / "8", devices=8, step=1)
    for net in ("generator", "discriminator"):
        moments = [name for name in one if name.startswith(f"['networks']['{net}']") and "['mu']" in name]
        assert moments
        largest = max(np.abs(one[name]).max() for name in moments)
        for name in moments:  # Adam's first moment is (1 - b1) times the gradient
            np.testing.assert_allclose(one[name], eight[name], rtol=0, atol=1e-5 * largest, err_msg=name)


def start_two(workdir, *flags) -> list[subprocess.Popen]:
    """Start two local processes that train together over gloo."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "launch.py", "train", *FLAGS, "--config.precision=float64", *flags, "--distributed"]
    command += [f"--workdir={workdir}", f"--coordinator=localhost:{port}", "--num_processes=2"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return [subprocess.Popen([*command, f"--process_id={i}"], cwd=ROOT, **streams) for i in range(2)]


MEASURED = ["--config.data.resident=no", "--config.steps_per_call=3", "--config.metrics=rand_fd,swd"]
MEASURED += ["--config.metrics_images=64", "--config.checkpoint.every_images=24"]


@pytest.mark.slow
@pytest.mark.parametrize("flags", [[], MEASURED])
def test_two_processes_train_the_same_model(doubles, tmp_path, flags):
    processes = start_two(tmp_path, *flags)
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(outputs)
    assert_near(doubles[0], read_state(tmp_path, 5), 1e-9)
    rows = read_rows(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows] == ([3, 5] if flags else [])
    assert all(row["rand_fd"]["value"] > row["rand_fd"]["baseline_real_real"]["value"] for row in rows)


@pytest.mark.slow
def test_two_processes_train_the_same_translator(tmp_path):
    """The image pools hold the images of both hosts."""
    flags = ["--config=cyclegan:debug", "--config.pool=3", "--config.data.atelier.num_images=12"]
    flags += ["--config.metrics=rand_lpips", "--config.metrics_images=8"]
    one = trained(tmp_path / "one", "--config.precision=float64", *flags, step=20)
    processes = start_two(tmp_path / "two", *flags)
    outputs = [process.communicate(timeout=600)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(outputs)
    two = read_state(tmp_path / "two", 20)
    assert any("pool_a" in name for name in two)
    assert_near(one, two, 1e-7)  # biases before an instance norm: see tests/recipes/test_every_recipe.py
    values = [read_rows(tmp_path / name / "metrics.jsonl")[-1]["rand_lpips"]["value"] for name in ("one", "two")]
    assert values[0] == pytest.approx(values[1], abs=1e-4)


@pytest.mark.slow
def test_metrics_are_the_same_on_one_or_eight_devices_and_on_two_processes():
    def start(devices, *args):
        command = [sys.executable, str(ROOT / "tests" / "programs" / "scores.py"), *args]
        return subprocess.Popen(command, env=environment(devices), stdout=subprocess.PIPE, text=True)

    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    processes = [start(1), start(8), start(2, address, "2", "0"), start(2, address, "2", "1")]
    one, *others = (json.loads(process.communicate(timeout=300)[0].splitlines()[-1]) for process in processes)
    for other in others:
        for name, values in one.items():
            assert other[name] == pytest.approx(values, rel=1e-6, abs=1e-9), name


@pytest.mark.parametrize("together", [1, 4])
def test_the_compiled_step_gathers_no_activations(together):
    program = [sys.executable, str(ROOT / "tests" / "programs" / "compiled_step.py"), str(together)]
    done = subprocess.run(program, env=environment(8), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "gather" not in done.stdout
    assert int(done.stdout.rsplit(":", 1)[1]) > 5  # G, D on real, D on fake: each device computes its share


def test_a_batch_that_cannot_be_split_gets_one_that_can():
    with pytest.raises(UserError, match="mesh.data = 3: there are 1 devices"):
        devices.make_mesh(3, 6)
    assert devices.make_mesh(-1, 7).size == 1


def test_an_uneven_batch_is_refused_in_one_line(tmp_path):
    done = launch("train", *FLAGS, "--config.batch_size=12", f"--workdir={tmp_path}", devices=8, cwd=ROOT)
    assert done.returncode == 1
    assert done.stdout.strip().endswith("take 8 or 16, or set config.mesh.data")


@pytest.mark.slow
def test_a_preempted_pod_saves_on_every_host(tmp_path):
    """SIGTERM to one of two hosts: both save the same step and end by that signal."""
    flags = ["--config.total_images=4000", "--config.checkpoint.every_images=0", "--config.steps_per_call=2"]
    processes = start_two(tmp_path, *flags)
    for text in processes[0].stdout:
        if "img/s" in text:
            break
    processes[1].send_signal(signal.SIGTERM)
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [-signal.SIGTERM] * 2, "\n".join(outputs)
    assert "stopped by SIGTERM" in outputs[0]
    saved = [int(f.name) for f in (tmp_path / "checkpoints").iterdir() if f.name.isdigit()]
    assert len(saved) == 1
    assert 0 < saved[0] < 500
