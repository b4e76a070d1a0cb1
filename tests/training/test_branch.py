"""A branch continues from another run's checkpoint with other settings, and leaves that run unchanged."""

import shutil

import jax
import numpy as np
import optax
import pytest
from PIL import Image
from running import assert_same, read_state

from ganjax.config import file as config_file
from ganjax.configs.generate import dcgan
from ganjax.errors import Diverged, UserError
from ganjax.report.run_log import read_rows
from ganjax.training import branch
from ganjax.training.loop import train


def small(paintings, **changes):
    config = dcgan.get_config("debug")
    config.total_images, config.schedule_images = 96, 192  # 12 steps
    config.checkpoint.every_images = 32
    config.data.path, config.report.tensorboard = str(paintings), False
    config.optimizer.schedule = "linear"
    config.update_from_flattened_dict(changes)
    return config


@pytest.fixture(scope="module")
def paintings(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("paintings"), np.random.default_rng(0)
    for i in range(40):
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(folder / f"{i:02d}.png")
    return folder


@pytest.fixture(scope="module")
def trained(paintings, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("trained")
    train(small(paintings), workdir)
    return workdir


@pytest.fixture
def parent(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "parent")


@pytest.mark.slow
def test_a_branch_without_a_change_goes_on_as_its_parent_would(paintings, parent, tmp_path):
    train(small(paintings, total_images=128, **{"branch.workdir": str(parent)}), tmp_path / "branch")
    train(small(paintings, total_images=128), parent)
    assert_same(read_state(tmp_path / "branch", 16), read_state(parent, 16))


@pytest.mark.slow
def test_another_batch_size_and_rate_go_on_from_the_images_seen(paintings, parent, tmp_path, caplog):
    caplog.set_level("INFO")
    before = sorted((str(f), f.stat().st_mtime_ns) for f in parent.rglob("*"))
    changes = {"branch.workdir": str(parent), "batch_size": 4, "optimizer.g_lr": 1e-3, "augment.rotate": 10.0}
    changes |= {"report.every_images": 4, "d_steps": 2}
    train(small(paintings, total_images=128, **changes), tmp_path / "whole")
    assert sorted((str(f), f.stat().st_mtime_ns) for f in parent.rglob("*")) == before
    record = config_file.read(tmp_path / "whole" / "config.json").branch
    assert (record.workdir, record.at, record.images) == (str(parent), 12, 96)
    assert record.changed[1] == "batch_size: 8 -> 4" and len(record.changed) == 5
    assert "a branch of" in caplog.text and "optimizer.g_lr: 0.0002 -> 0.001" in caplog.text
    assert "batch_size: 8 -&gt; 4" in (tmp_path / "whole" / "report.html").read_text()
    rows = [row for row in read_rows(tmp_path / "whole" / "scalars.jsonl") if "g_lr" in row]
    assert [row["images"] for row in rows] == list(range(100, 129, 4))
    # The learning rate of the step from 96 to 100 images: linear decay to 0 at 192 images.
    np.testing.assert_allclose([rows[0]["g_lr"], rows[0]["d_lr"]], [1e-3 * 0.5, 2e-4 * 0.5], rtol=1e-5)
    state = read_state(tmp_path / "whole", 32)
    counts = {name: int(value) for name, value in state.items() if "count" in name}
    assert sorted(counts.values()) == [20, 28, 32, 64]  # Adam's updates of G and D; steps of their schedules
    # Stopped and resumed, with or without the flag that began the branch, it ends in the same bits.
    train(small(paintings, total_images=112, **changes), tmp_path / "parts")
    for file in sorted((parent / "checkpoints").rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()  # the parent is no longer needed
    del changes["branch.workdir"]
    train(small(paintings, total_images=128, **changes), tmp_path / "parts")
    assert_same(read_state(tmp_path / "parts", 32), state)


def initial_state(config, workdir, monkeypatch):
    """Return the state with which a run begins."""
    monkeypatch.setattr("ganjax.training.loop._to_the_end", lambda run, stop, state, start: (state, start))
    return train(config, workdir)


def test_clipping_and_lecam_may_come_and_go(paintings, parent, tmp_path, monkeypatch):
    changes = {"branch.workdir": str(parent), "total_images": 128, "optimizer.clip_norm": 0.5, "penalty.lecam": 0.1}
    clipped = initial_state(small(paintings, **changes), tmp_path / "clipped", monkeypatch)
    before = read_state(parent, 12)
    for name in ("generator", "discriminator"):
        moments = clipped.networks[name].opt_state[1][0]
        for path, leaf in jax.tree_util.tree_leaves_with_path(moments.nu):
            saved = before[f"['networks']['{name}']['opt_state'][0]['nu']{jax.tree_util.keystr(path)}"]
            np.testing.assert_array_equal(leaf, saved)
    network, ones = clipped.networks["generator"], jax.tree.map(np.ones_like, clipped.networks["generator"].params)
    _, after = jax.jit(network.tx.update)(ones, network.opt_state)
    clipped_half = jax.tree.map(
        lambda new, old: new - 0.5 * old, after[1][0].mu, network.opt_state[1][0].mu
    )  # b1 = 0.5
    assert float(optax.global_norm(clipped_half)) == pytest.approx(0.5 * 0.5, rel=1e-3)  # the branch clips
    assert not clipped.extra["lecam"].any()
    changes = {"branch.workdir": str(tmp_path / "clipped"), "total_images": 128}
    plain = initial_state(small(paintings, **changes), tmp_path / "plain", monkeypatch)
    assert plain.extra == {}
    assert_same(read_state(tmp_path / "plain", 12), before)


def test_a_branch_has_rollbacks_of_its_own(paintings, parent, tmp_path, monkeypatch):
    def load(*args):
        state, meta = load_state(*args)
        return state, {**meta, "attempt": 3}

    def diverging(run, stop, state, start):
        attempts.append(run.attempt)
        raise Diverged("d_loss is nan")

    attempts, load_state = [], branch.load_state
    monkeypatch.setattr(branch, "load_state", load)
    monkeypatch.setattr("ganjax.training.loop._to_the_end", diverging)
    changes = {"branch.workdir": str(parent), "total_images": 128, "on_divergence": "rollback"}
    with pytest.raises(Diverged):
        train(small(paintings, **changes), tmp_path / "branch")
    assert attempts == [3, 4, 5, 6]  # each with its own noise
    attempts.clear()
    with pytest.raises(Diverged):
        train(small(paintings, **changes), tmp_path / "branch")  # its checkpoint is older than its rollbacks
    assert attempts == [3, 4, 5, 6]


def test_what_cannot_be_a_branch_is_said(paintings, parent, tmp_path):
    def message(workdir, **changes):
        settings = {"branch.workdir": str(parent), "total_images": 128, **changes}
        with pytest.raises(UserError) as error:
            train(small(paintings, **settings), workdir)
        return str(error.value)

    new = tmp_path / "new"
    assert "has seen 96 images" in message(new, total_images=96)
    assert "must be a step, 'best'" in message(new, **{"branch.step": "last"})
    assert "has no checkpoint 5; there is: 8, 12" in message(new, **{"branch.step": "5"})
    assert "holds no run" in message(new, **{"branch.workdir": str(tmp_path / "none")})
    link = tmp_path / "link"
    link.symlink_to(parent)
    assert "may not change" in message(link)
    assert "cannot be branched from with this config: " in message(new, **{"model.z_dim": 7})


def test_the_horizon_is_the_parents_unless_the_length_changes(paintings, parent, tmp_path):
    def horizon(**changes):
        config = small(paintings, **{"branch.workdir": str(parent), "schedule_images": 0, **changes})
        branch.settle(config, tmp_path / "new")
        return config.schedule_images

    assert (horizon(), horizon(total_images=400), horizon(schedule_images=7)) == (192, 400, 7)
