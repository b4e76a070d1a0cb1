"""The guarantees of the loop: bit-exact resume, no NaN on disk, saves on signals."""

import signal
import struct
from pathlib import Path
from types import SimpleNamespace

import jax
import pytest
from running import DATA, assert_same, read_state

from ganjax.config import file as config_file
from ganjax.configs.generate import dcgan
from ganjax.errors import Diverged, NonFinite, UserError
from ganjax.report import page
from ganjax.training import loop as training
from ganjax.training.loop import train
from ganjax.training.run import explain_divergence
from ganjax.workdir.rows import read_rows


def small(paintings, **changes):
    config = dcgan.get_config("debug")
    config.total_images = 96  # 12 steps
    config.checkpoint.every_images = 32
    config.data.path = str(paintings)
    config.report.tensorboard = False
    config.update_from_flattened_dict(changes)
    return config


@pytest.mark.slow
def test_a_longer_run_in_two_parts_equals_one(paintings, tmp_path):
    """total_images may grow: the schedules keep their first horizon."""
    settings = {"optimizer.schedule": "cosine", "schedule_images": 192}
    train(small(paintings, total_images=96, **settings), tmp_path / "a")
    train(small(paintings, total_images=192, **settings), tmp_path / "a")
    train(small(paintings, total_images=192, **settings), tmp_path / "b")
    assert_same(read_state(tmp_path / "a", 24), read_state(tmp_path / "b", 24))


@pytest.mark.slow
def test_steps_in_one_call_are_saved_shown_and_logged_where_single_ones_are(paintings, tmp_path):
    def outputs(steps_per_call):
        workdir = tmp_path / str(steps_per_call)
        every = {"report.every_images": 40, "report.samples_every_images": 48, "checkpoint.keep_last": 9}
        train(small(paintings, total_images=104, steps_per_call=steps_per_call, **every), workdir)
        checkpoints = sorted(int(f.name) for f in (workdir / "checkpoints").glob("*") if f.name.isdigit())
        sheets = sorted(int(f.stem) for f in (workdir / "samples").glob("*.png"))
        return checkpoints, sheets, [row["step"] for row in read_rows(workdir / "scalars.jsonl") if "d_loss" in row]

    assert outputs(7) == outputs(1) == ([4, 8, 12, 13], [0, 6, 12, 13], [5, 10, 13])


def test_a_nan_stops_the_run_names_the_term_and_the_last_good_checkpoint(paintings, tmp_path):
    train(small(paintings), tmp_path)
    with pytest.raises(UserError, match="optimizer.g_lr"):
        train(small(paintings, **{"optimizer.g_lr": 1.0}), tmp_path)
    wild = {"optimizer.g_lr": 1e38, "optimizer.d_lr": 1e38, "total_images": 400}
    with pytest.raises(
        UserError, match=r"(loss|real|fake|norm|weights|params|state).*there is no checkpoint yet.*learning rate"
    ):
        train(small(paintings, **wild, **{"checkpoint.every_images": 0}), tmp_path / "wild")
    checkpoints = [f.name for f in (tmp_path / "wild" / "checkpoints").glob("*") if f.name.isdigit()]
    assert checkpoints == []


@pytest.mark.parametrize(
    ("latest", "message"),
    [
        (7, r"checkpoint: /runs/one/checkpoints/7\. Start.* seed; there --config.branch.workdir=/runs/one continues"),
        (None, r"no checkpoint yet\. Start again in another --workdir with .* another seed\. Or let it roll back"),
    ],
)
def test_the_advice_to_a_run_that_diverged_has_a_branch_where_there_is_a_checkpoint(latest, message):
    checkpointer = SimpleNamespace(directory=Path("/runs/one/checkpoints"), latest=lambda: latest)
    with pytest.raises(Diverged, match=message), explain_divergence(checkpointer):
        raise NonFinite("d_loss is nan")
    with pytest.raises(Diverged, match="seed") as error, explain_divergence(checkpointer, "rollback"):
        raise NonFinite("d_loss is nan")
    assert "rollback" not in str(error.value)


def test_a_step_that_the_device_cannot_hold_is_told_with_what_takes_less(paintings, tmp_path, monkeypatch):
    def too_large(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 70 bytes.")

    monkeypatch.setattr("ganjax.training.loop._to_the_end", too_large)
    with pytest.raises(UserError, match=r"not enough memory .*70 bytes.*smaller --config.batch_size.*accumulate=N"):
        train(small(paintings), tmp_path / "run")


def test_a_state_that_turns_bad_is_not_saved_even_when_its_metrics_are_fine(paintings, tmp_path, monkeypatch):
    import jax.numpy as jnp

    from ganjax import recipe

    build = recipe.build

    def poisoned(config):
        gan = build(config)

        def step(state, batch, key):
            state, metrics = gan.step(state, batch, key)
            bad = jnp.where(state.step > 6, jnp.nan, 0.0)
            averaged = state.ema["generator"]
            params = jax.tree.map(lambda leaf: leaf + bad, averaged["params"])
            return state.replace(ema={"generator": {**averaged, "params": params}}), metrics

        return gan._replace(step=step)

    monkeypatch.setattr(recipe, "build", poisoned)
    with pytest.raises(UserError, match=r"not finite at step 8.*ema.*last good checkpoint: .*/4"):
        train(small(paintings), tmp_path)
    assert [f.name for f in (tmp_path / "checkpoints").glob("*") if f.name.isdigit()] == ["4"]


@pytest.mark.slow
def test_a_run_that_diverges_rolls_back_with_other_noise(paintings, tmp_path, monkeypatch, caplog):
    """The first attempt has a NaN loss from step 8 on, the second does not."""
    import jax
    import jax.numpy as jnp

    from ganjax.training import update

    compiled = update.compile_update

    def poisoned(config, own, gan, mesh, attempt=0):
        step = gan.step

        def wrong(state, batch, key):
            state, metrics = step(state, batch, key)
            lost = jnp.where((state.step > 7) & (attempt == 0), jnp.nan, 0.0)
            return state, {**metrics, "d_loss": metrics["d_loss"] + lost}

        return compiled(config, own, gan._replace(step=wrong), mesh, attempt)

    monkeypatch.setattr(update, "compile_update", poisoned)
    settings = {"on_divergence": "rollback", "metrics": ("swd",)}
    with pytest.raises(UserError, match="d_loss is nan at step 8.*last good checkpoint: .*/4.*on_divergence=rollback"):
        train(small(paintings), tmp_path / "stopped")
    end = train(small(paintings, **settings), tmp_path / "rolled")
    assert int(end.step) == 12 and "Rolling back, with other noise" in caplog.text
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(end.networks["generator"].params))
    steps = [row["step"] for row in read_rows(tmp_path / "rolled" / "scalars.jsonl") if "d_loss" in row]
    assert steps == sorted(set(steps))
    measured = [row["step"] for row in read_rows(tmp_path / "rolled" / "scalars.jsonl") if "swd" in row]
    assert measured == [4, 8, 12]  # each once: the second attempt measures again
    # Killed after the rollback, the run resumes with the second attempt's noise: the same bits.
    train(small(paintings, **settings, total_images=64, schedule_images=96), tmp_path / "parts")
    train(small(paintings, **settings, schedule_images=96), tmp_path / "parts")
    assert_same(read_state(tmp_path / "parts", 12), read_state(tmp_path / "rolled", 12))


def stop_at(step, monkeypatch):
    """Send SIGTERM to this process when it logs the step."""
    import os

    from ganjax.report import run_log

    write = run_log.Report.write

    def write_and_signal(self, at, *metrics):
        write(self, at, *metrics)
        if at == step:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(run_log.Report, "write", write_and_signal)


@pytest.mark.slow
def test_what_is_logged_does_not_show_where_a_run_was_stopped(paintings, tmp_path, monkeypatch):
    """A logged row is the mean over its interval, also if the run was resumed within the interval."""
    settings = {"report.every_images": 40}
    train(small(paintings, **settings), tmp_path / "whole")
    stop_at(7, monkeypatch)
    train(small(paintings, **settings), tmp_path / "parts")
    train(small(paintings, total_images=40, **settings), tmp_path / "parts")  # nothing to do, nothing to log
    train(small(paintings, **settings), tmp_path / "parts")
    rows = [read_rows(tmp_path / name / "scalars.jsonl") for name in ("whole", "parts")]
    (whole,), (parts,) = ([row["d_loss"] for row in each if row["step"] == 10 and "d_loss" in row] for each in rows)
    assert whole == parts


def test_a_key_that_an_older_run_did_not_know_was_at_its_default(paintings, tmp_path):
    """The run resumes with the default of the new key, and refuses any other value."""
    import json

    train(small(paintings, total_images=48, schedule_images=96), tmp_path)
    path = tmp_path / "config.json"
    saved = json.loads(path.read_text())
    del saved["penalty"], saved["health"]
    path.write_text(json.dumps(saved))
    changed = {"penalty.lecam": 0.3, "schedule_images": 96}
    with pytest.raises(UserError, match="config.penalty.lecam = 0.0, not 0.3"):
        train(small(paintings, **changed), tmp_path)
    assert int(train(small(paintings, schedule_images=96), tmp_path).step) == 12


def test_changed_images_are_refused_and_moved_ones_are_not(paintings, tmp_path, monkeypatch):
    train(small(paintings), tmp_path / "w")
    paintings.rename(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    train(small("elsewhere", total_images=128), tmp_path / "w")
    assert config_file.read(tmp_path / "w" / "config.json").data.path == str(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "red" / "01.png").unlink()
    with pytest.raises(UserError, match="contents differ"):
        train(small(tmp_path / "elsewhere", total_images=160), tmp_path / "w")


def test_renamed_and_new_classes_are_named(paintings, tmp_path):
    labels = {"data.labels": True}
    train(small(paintings, total_images=16, **labels), tmp_path / "w")
    (paintings / "red").rename(paintings / "rouge")
    with pytest.raises(UserError, match="not named as when this run began: 'red' is now 'rouge'"):
        train(small(paintings, **labels), tmp_path / "w")
    (paintings / "rouge").rename(paintings / "red")
    (paintings / "green").mkdir()
    (paintings / "red" / "01.png").rename(paintings / "green" / "01.png")
    with pytest.raises(UserError, match="their contents differ; classes: new: 'green'"):
        train(small(paintings, **labels), tmp_path / "w")
    assert not (tmp_path / "w" / "damaged").exists()


def test_a_workdir_among_its_images_is_refused_before_anything_is_written(paintings):
    with pytest.raises(UserError, match="--workdir=.* lies in .*config.data.path.*choose another place"):
        train(small(paintings), paintings / "runs" / "one")
    assert not (paintings / "runs").exists()


@pytest.mark.slow
def test_scores_of_another_metric_do_not_rank_after_a_change_of_keep_best(paintings, tmp_path):
    from ganjax.inference import model

    metrics = {"metrics": ("swd", "rand_fd"), "metrics_images": 16, "schedule_images": 96}
    train(small(paintings, total_images=64, **metrics, **{"checkpoint.keep_best": "min:swd"}), tmp_path)
    train(small(paintings, **metrics, **{"checkpoint.keep_best": "max:rand_fd"}), tmp_path)
    score = model.load(tmp_path, "best").meta["score"]
    assert (score["name"], score["mode"], score["protocol"]["n_fake"]) == ("rand_fd", "max", 16)
    assert model.load(tmp_path, "best").meta["step"] == 12  # 4 and 8 have only a score by swd


def test_a_second_run_in_the_same_workdir_is_refused(paintings, tmp_path):
    import fcntl

    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process"):
            train(small(paintings), tmp_path)
    train(small(paintings, total_images=16), tmp_path)


def test_the_workdir_holds_what_the_readme_says(paintings, tmp_path):
    state = train(small(paintings, metrics=("swd",), **{"checkpoint.keep_best": "min:swd"}), tmp_path)
    assert int(state.step) == 12
    assert {f.name for f in tmp_path.iterdir()} >= {
        "config.json",
        "checkpoints",
        "samples",
        "scalars.jsonl",
        "report.html",
    }
    rows = read_rows(tmp_path / "scalars.jsonl")
    assert {"d_loss", "g_loss", "d_real", "d_fake", "images_per_second"} <= set().union(*rows)
    assert [row["step"] for row in rows if "swd" in row] == [4, 8, 12]


def test_sizes_that_no_net_can_make_are_refused_in_one_sentence(paintings, tmp_path):
    with pytest.raises(UserError, match="28, 32, 48, 64"):
        train(small(paintings, **{"data.resolution": 30}), tmp_path)


def test_bfloat16_trains(paintings, tmp_path):
    state = train(small(paintings, precision="bfloat16", total_images=16), tmp_path)
    assert str(state.networks["generator"].params["head"]["kernel"].dtype) == "float32"


def test_the_end_is_saved_before_it_is_shown_and_a_run_that_is_done_stays_as_it_is(
    paintings, tmp_path, monkeypatch, caplog
):
    caplog.set_level("INFO")
    saved = []

    def failing(workdir, *_):
        saved.append(max((int(f.name) for f in (workdir / "checkpoints").iterdir() if f.name.isdigit()), default=0))
        raise SyntaxError("broken data stream")

    with monkeypatch.context() as patch:
        patch.setattr(page, "write", failing)
        train(small(paintings, **{"checkpoint.every_images": 0}), tmp_path)
    assert (saved[0], saved[-1]) == (0, 12)
    assert caplog.text.count("report.html is left out, and training goes on: broken data stream") == 1
    before, sheet = read_state(tmp_path, 12), page.sheet(tmp_path, 12)
    pixels = sheet.read_bytes()
    sheet.unlink()  # as if the run was killed right after saving
    train(small(paintings, **{"checkpoint.every_images": 0}), tmp_path)
    assert "nothing to do: the run has its 96 images" in caplog.text
    assert_same(read_state(tmp_path, 12), before)
    assert sheet.read_bytes() == pixels and (tmp_path / "report.html").exists()


def test_a_mistake_at_the_start_leaves_the_workdir_free(paintings, tmp_path):
    with pytest.raises(UserError):
        train(small(paintings, **{"data.resolution": 30}), tmp_path)
    train(small(paintings), tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": ("sdw",)}, "did you mean 'swd'"),
        ({"checkpoint.keep_best": "min:g_los"}, "did you mean 'g_loss'"),
        ({"model.init": "he"}, "model.init = 'he'"),
        ({"model.z_dim": -1}, "above 0"),
        ({"model.generator.widths": ("abc",)}, "must be integers"),
        ({"model.generator.norm": "spectral"}, "norm = 'spectral' must be 'batch', 'layer', 'instance'"),
        ({"optimizer.schedule": "cosin"}, "did you mean 'cosine'"),
        ({"recipe": "dcgna"}, "did you mean 'dcgan'"),
        ({"precision": "float64"}, "jax_enable_x64"),
        ({"data.split": "test"}, "a folder has no splits"),
    ],
)
def test_mistakes_are_found_before_anything_is_decoded(paintings, tmp_path, monkeypatch, change, message):
    from ganjax.data.folder import Folder

    monkeypatch.setattr(Folder, "read", lambda *_: pytest.fail("decoded"))
    with pytest.raises(UserError, match=message):
        train(small(paintings, **change), tmp_path)


def test_a_foreign_folder_is_left_alone(paintings, tmp_path):
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "0001.png").touch()
    with pytest.raises(UserError, match="holds samples but no config.json"):
        train(small(paintings), tmp_path)
    assert (tmp_path / "samples" / "0001.png").exists()


def test_a_hurried_save_takes_no_score_of_another_state(paintings, tmp_path, monkeypatch):
    """A signal at step 6: its checkpoint has no metrics, and the best checkpoint stays the best."""
    from ganjax.inference import model

    stop_at(6, monkeypatch)
    train(small(paintings, metrics=("swd",), **{"checkpoint.keep_best": "min:swd"}), tmp_path)
    rows = {row["step"]: row["swd"] for row in read_rows(tmp_path / "scalars.jsonl") if "swd" in row}
    assert list(rows) == [4]
    assert model.load(tmp_path, "best").meta["step"] == 4
    assert model.load(tmp_path).meta["step"] == 6


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (11, "stopped by SIGINT at 88 images, saved; run the same command to resume\n"),
        (12, "finished at 96 images, saved; then SIGINT came\n"),
    ],
)
def test_a_signal_in_the_last_steps_does_not_call_a_finished_run_stopped(tmp_path, capsys, step, message):
    training._farewell(tmp_path, small(tmp_path), step, signal.SIGINT)
    assert capsys.readouterr().err == message


def events(folder) -> list:
    """Return the TensorBoard events of all files, in the order of writing."""
    from tensorboardX.proto.event_pb2 import Event

    result = []
    for file in sorted(folder.iterdir()):
        data, offset = file.read_bytes(), 0
        while offset < len(data):
            (length,) = struct.unpack_from("<Q", data, offset)
            result.append(Event.FromString(data[offset + 12 : offset + 12 + length]))
            offset += length + 16
    return result


def test_tensorboard_gets_scalars_and_pictures_and_drops_what_a_resume_repeats(paintings, tmp_path):
    train(small(paintings, **{"report.tensorboard": True}), tmp_path)
    values = [value for event in events(tmp_path / "tensorboard") for value in event.summary.value]
    assert {"d_loss", "images_per_second", "samples"} <= {value.tag for value in values}
    assert any(value.image.encoded_image_string.startswith(b"\x89PNG") for value in values)
    train(small(paintings, total_images=128, **{"report.tensorboard": True}), tmp_path)
    restarts = [event.step for event in events(tmp_path / "tensorboard") if event.session_log.status == 1]
    assert restarts[-1] == 97  # in images: TensorBoard hides events from there on


def test_labels_of_sub_folders_are_written_down(paintings, tmp_path):
    train(small(paintings, total_images=16, **{"data.labels": True}), tmp_path)
    from ganjax import load

    model = load(tmp_path)
    assert (model.config.data.classes, model.config.data.class_counts) == (("blue", "red"), (10, 30))
    assert model.meta["classes"] == ["blue", "red"]


@pytest.mark.slow
def test_the_demo_learns(tmp_path):
    """After 32,000 images the samples' SWD to the data is at most half of that after the first 640."""
    from ganjax.configs import demo

    config = demo.get_config()
    config.metrics, config.total_images = ("swd",), 640
    train(config, tmp_path)  # ten steps
    config.total_images = 32_000
    train(config, tmp_path)
    scores = [row["swd"] for row in read_rows(tmp_path / "scalars.jsonl") if "swd" in row]
    assert scores[-1] < scores[0] / 2


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "kaokore").is_dir(), reason="the KaoKore images are not on this machine")
def test_a_real_folder_with_labels_trains(tmp_path):
    config = dcgan.get_config()
    config.data.update({"path": str(DATA / "kaokore"), "labels": True, "resolution": 32})
    config.metrics, config.total_images = ("swd",), 640
    train(config, tmp_path)
    config.total_images = 16_000
    train(config, tmp_path)
    rows = read_rows(tmp_path / "scalars.jsonl")
    scores = [row["swd"] for row in rows if "swd" in row]
    assert scores[-1] < scores[0]
