import contextlib
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ganjax.config.groups import base
from ganjax.errors import NonFinite, UserError
from ganjax.state import State, TrainState
from ganjax.system import devices
from ganjax.workdir import checkpoint, meta
from ganjax.workdir.checkpoint import Checkpointer

META = {"data": "abc"}


def state(value: float) -> State:
    networks = {}
    for name in ("generator", "discriminator"):
        variables = {"params": {"w": jnp.full((300,), value)}, "batch_stats": {"m": jnp.ones(2)}}
        networks[name] = TrainState.from_variables(None, variables, optax.adam(1.0))
    step = jnp.asarray(int(np.nan_to_num(value)), jnp.int32)
    return State.create(networks, ("generator",), {"pool": jnp.arange(3)}).replace(step=step)


def template() -> State:
    one = devices.replicated(devices.make_mesh(1, 1))
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=one), jax.eval_shape(lambda: state(0.0))
    )


def open_(directory, batch_size=10, **settings) -> Checkpointer:
    config = base().checkpoint
    config.update(settings)
    return Checkpointer(directory, config, batch_size)


def weight(restored) -> float:
    return float(restored[0].networks["generator"].params["w"][0])


def save(directory, *steps, scores=None, batch_size=10, **settings):
    with open_(directory, batch_size, **settings) as checkpointer:
        for i, step in enumerate(steps):
            score = meta.score(settings["keep_best"], scores[i]) if scores else None
            checkpointer.save(step, state(float(step)), META, score)


def flip_a_bit(directory, step, item="state"):
    """Flip a bit in the middle of each of the item's data files."""
    files = [f for f in (directory / str(step) / item).rglob("*") if f.is_file() and f.parent.name == "d"]
    assert files
    for file in files:
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)


def test_what_is_saved_is_restored_to_the_bit(tmp_path):
    save(tmp_path, 3)
    with open_(tmp_path) as checkpointer:
        restored, meta = checkpointer.restore(template())
    for a, b in zip(jax.tree.leaves(restored), jax.tree.leaves(state(3.0)), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype
    assert (meta["step"], meta["images"], meta["data"]) == (3, 30, "abc")


def test_an_empty_folder_restores_nothing(tmp_path):
    with open_(tmp_path / "new") as checkpointer:
        assert checkpointer.restore(template()) is None


def test_the_last_k_every_n_and_the_best_are_kept(tmp_path):
    scores = [5.0, 1.0, 3.0, float("nan"), 4.0, 2.0, 9.0]
    save(tmp_path, 1, 2, 3, 4, 5, 6, 7, scores=scores, keep_last=2, keep_best="min:score", keep_every_images=30)
    assert sorted(int(f.name) for f in tmp_path.iterdir() if f.name.isdigit()) == [2, 3, 6, 7]
    assert checkpoint.load_ema(tmp_path, "best")[1]["step"] == 2


def test_every_n_images_keeps_the_first_save_past_each_multiple(tmp_path):
    # The default intervals: 64 images per step, a save past each 50,000, and one past each 100,000 kept for good.
    steps = [step for step in range(1, 7900) if (step * 64) // 50_000 > ((step - 1) * 64) // 50_000]
    save(tmp_path, *steps, batch_size=64, keep_every_images=100_000, keep_last=2)
    steps = sorted(int(f.name) for f in tmp_path.iterdir() if f.name.isdigit())
    assert steps == [1563, 3125, 4688, 6250, 7032, 7813]


def test_the_highest_can_be_best(tmp_path):
    save(tmp_path, 1, 2, 3, 4, scores=[1.0, 7.0, 3.0, 2.0], keep_best="max:score")
    assert checkpoint.load_ema(tmp_path, "best")[1]["step"] == 2


@pytest.mark.parametrize("harm", ["bit", "truncate", "delete", "meta"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, harm, caplog):
    folder = tmp_path / "checkpoints"
    save(folder, 1, 2)
    if harm == "bit":
        flip_a_bit(folder, 2)
    elif harm == "delete":
        shutil.rmtree(folder / "2" / "state" / "d")
    elif harm == "meta":
        (folder / "2" / "meta" / "metadata").write_text("{")
    else:
        largest = max((f for f in (folder / "2" / "state").rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)
        largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])
    with open_(folder) as checkpointer:
        assert weight(checkpointer.restore(template())) == 1
        assert "2 is damaged" in caplog.text
        assert len(list((tmp_path / "damaged").iterdir())) == 1  # nothing is deleted
        checkpointer.save(2, state(2.5), META)  # the folder is free again
    with open_(folder) as checkpointer:
        assert weight(checkpointer.restore(template())) == 2.5


def rewrite(directory, step, change):
    """Change the meta of a checkpoint, and update its checksum."""
    file = directory / str(step) / "meta" / "metadata"
    saved = json.loads(file.read_text())
    del saved["checksum"]
    file.write_text(json.dumps(meta.seal(change(saved))))


def test_a_changed_leaf_is_detected_by_its_checksum(tmp_path, caplog):
    save(tmp_path / "checkpoints", 1, 2)
    names = []

    def change(saved):
        name = next(key for key in saved["crc32"] if "discriminator" in key and "'w'" in key)
        names.append(name)
        return {**saved, "crc32": {**saved["crc32"], name: saved["crc32"][name] ^ 1}}

    rewrite(tmp_path / "checkpoints", 2, change)
    with open_(tmp_path / "checkpoints") as checkpointer:
        assert weight(checkpointer.restore(template())) == 1
    assert f"the bytes of {names[0]} do not match their checksum" in caplog.text


@pytest.mark.parametrize(
    ("old", "new"),
    [('"step": 2', '"step": 3'), ('"attempt": 0', '"attempt": 1'), ("1.5", "1.25"), ('"checksum"', '"checksun"')],
)
def test_a_flipped_bit_of_the_meta_is_detected(tmp_path, caplog, old, new):
    with open_(tmp_path / "checkpoints") as checkpointer:
        for step in (1, 2):
            values = {**META, "attempt": 0, "interval": {"sums": {"d_loss": 1.5}, "count": 1}}
            checkpointer.save(step, state(float(step)), values)
    file = tmp_path / "checkpoints" / "2" / "meta" / "metadata"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    assert checkpoint.load_ema(tmp_path / "checkpoints")[1]["step"] == 1
    with open_(tmp_path / "checkpoints") as checkpointer:
        assert weight(checkpointer.restore(template())) == 1
    assert "meta does not match its checksum" in caplog.text


def test_a_renamed_folder_and_a_state_of_another_step_are_detected(tmp_path, caplog):
    folder = tmp_path / "checkpoints"
    save(folder, 1, 2)
    (folder / "2").rename(folder / "7")
    assert checkpoint.load_ema(folder)[1]["step"] == 1
    assert "its folder is named 7 and it holds step 2" in caplog.text
    rewrite(folder, 7, lambda saved: {**saved, "step": 7})
    with open_(folder) as checkpointer:
        assert weight(checkpointer.restore(template())) == 1
    assert "its state is of step 2, its meta of step 7" in caplog.text


def test_each_meta_that_is_tried_is_checked(tmp_path):
    folder = tmp_path / "checkpoints"
    save(folder, 1, 2)
    flip_a_bit(folder, 2)

    def check(saved):
        if saved["step"] == 1:
            raise UserError("other images")

    with open_(folder) as checkpointer, pytest.raises(UserError, match="other images"):
        checkpointer.restore(template(), check)
    assert checkpoint.steps(folder) == [1, 2]


def test_an_invalid_score_does_no_harm(tmp_path):
    save(tmp_path, 1, 2, scores=[1.0, 2.0], keep_best="min:x")
    score = {"name": "x", "mode": "min", "protocol": {}}
    for odd in ("x", 3, {}, {**score, "value": "low"}, {**score, "value": 10**400}):
        rewrite(tmp_path, 1, lambda saved, odd=odd: {**saved, "score": odd})
        assert checkpoint.load_ema(tmp_path, "best")[1]["step"] == 2


@pytest.mark.parametrize(
    "text",
    ["[" * 200_000, '{"x": ' * 200_000, '{"step": 2, "images": 20, "attempt": "x"}', "", "{", "[]", "null", "\0",
     '{"step": 2, "images": 20, "interval": 3}', '{"step": 2, "images": 20, "interval": {"sums": {}, "count": "x"}}',
     '{"step": 2, "images": 20, "interval": {"sums": {"d_loss": "x"}, "count": 1}}',
     '{"step": 2, "images": 20, "attempt": 1' + "0" * 400 + "}"],
)  # fmt: skip
def test_a_meta_that_no_run_wrote_is_skipped(tmp_path, text):
    whole = {"step": 1, "images": 10, "format": meta.FORMAT}
    with contextlib.suppress(ValueError, TypeError, RecursionError):  # with the checksum that it should have
        text = json.dumps(meta.seal({**json.loads(text), "format": meta.FORMAT}))
    for step, content in ((1, json.dumps(meta.seal(whole))), (2, text)):
        (tmp_path / str(step) / "meta").mkdir(parents=True)
        (tmp_path / str(step) / "meta" / "metadata").write_text(content)
    assert checkpoint.newest_meta(tmp_path) == whole
    assert meta.score_in(tmp_path / "2") is None


def test_a_checkpoint_of_another_format_is_refused_in_a_sentence_and_stays(tmp_path):
    folder = tmp_path / "checkpoints"
    save(folder, 1, 2)
    rewrite(folder, 2, lambda saved: {**saved, "format": 2})
    message = "2 has checkpoint format 2, and this version of ganjax reads 3: use the version that wrote it"
    with open_(folder) as checkpointer, pytest.raises(UserError, match=message):
        checkpointer.restore(template())
    with pytest.raises(UserError, match=message):
        checkpoint.load_ema(folder)
    assert checkpoint.steps(folder) == [1, 2] and not (tmp_path / "damaged").exists()


def test_scores_of_other_metrics_modes_or_protocols_are_not_compared():
    scores = {
        1: meta.score("min:swd", 22.6),
        2: meta.score("min:fid", 168.0, {"num": 50}),
        3: meta.score("min:fid", 90.0, {"num": 10}),
        4: None,
        5: meta.score("min:fid", 170.0, {"num": 50}),
        6: meta.score("max:fid", 1.0, {"num": 50}),
        7: meta.score("min:fid", float("nan"), {"num": 50}),
    }
    assert list(meta.best_steps(scores).values()) == [1, 3, 6, 2]  # "best" is the last: the kind scored most recently


def test_other_shapes_are_no_damage(tmp_path):
    save(tmp_path / "checkpoints", 1, 2)
    wider = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((301,), leaf.dtype) if leaf.shape == (300,) else leaf, template()
    )
    with (
        open_(tmp_path / "checkpoints") as checkpointer,
        pytest.raises(UserError, match=r"2 does not fit.*params.w is float32\(300,\) in the.*float32\(301,\) by"),
    ):
        checkpointer.restore(wider)
    assert not (tmp_path / "damaged").exists() and checkpoint.steps(tmp_path / "checkpoints") == [1, 2]


def test_the_state_of_another_run_is_read_and_nothing_is_written(tmp_path):
    save(tmp_path, 1, 2)
    before = sorted((str(f), f.stat().st_mtime_ns) for f in tmp_path.rglob("*"))
    restored, meta = checkpoint.load_state(tmp_path, template(), 1)
    assert (weight((restored, meta)), meta["step"]) == (1, 1)
    assert sorted((str(f), f.stat().st_mtime_ns) for f in tmp_path.rglob("*")) == before


def test_all_damaged_is_an_error_that_moves_nothing(tmp_path):
    save(tmp_path, 1, 2)
    for step in (1, 2):
        flip_a_bit(tmp_path, step)
    with open_(tmp_path) as checkpointer, pytest.raises(UserError, match="can be read"):
        checkpointer.restore(template())
    assert (tmp_path / "2").is_dir()


def test_a_save_that_was_cut_off_is_no_checkpoint(tmp_path):
    save(tmp_path, 1)
    shutil.copytree(tmp_path / "1", tmp_path / "2.orbax-checkpoint-tmp")
    with open_(tmp_path) as checkpointer:
        assert checkpointer.latest() == 1
        assert weight(checkpointer.restore(template())) == 1


def test_a_state_that_is_not_finite_is_never_written(tmp_path):
    with open_(tmp_path) as checkpointer:
        with pytest.raises(NonFinite, match=r"networks\['discriminator'\].params"):
            checkpointer.save(1, state(float("nan")), META)
        assert checkpointer.latest() is None
    assert not any(f.name.isdigit() for f in tmp_path.iterdir())


def test_saves_fall_on_images_and_on_seconds(tmp_path):
    with open_(tmp_path, batch_size=64, every_images=100) as checkpointer:
        assert [step for step in range(1, 9) if checkpointer.due(step)] == [2, 4, 5, 7, 8]
    with open_(tmp_path, every_images=0, every_seconds=1e-9) as checkpointer:
        assert checkpointer.due(1)


def test_samples_need_the_ema_alone_and_its_checksum_is_read(tmp_path):
    save(tmp_path, 1, 2)
    shutil.rmtree(tmp_path / "2" / "state")
    ema, meta = checkpoint.load_ema(tmp_path)
    assert (ema["generator"]["params"]["w"][0], meta["step"]) == (2, 2)
    flip_a_bit(tmp_path, 2, "ema")
    assert checkpoint.load_ema(tmp_path)[1]["step"] == 1
    with pytest.raises(UserError, match="damaged"):
        checkpoint.load_ema(tmp_path, 2)
    with pytest.raises(UserError, match="no checkpoint 9; there is: 1, 2"):
        checkpoint.load_ema(tmp_path, 9)
    with pytest.raises(UserError, match="keep_best"):
        checkpoint.load_ema(tmp_path, "best")
    (tmp_path / "2" / "ema" / "_METADATA").write_text("{")
    with pytest.raises(UserError, match="_METADATA cannot be parsed"):
        checkpoint.load_ema(tmp_path, 2)


def test_meta_is_json_with_a_checksum_for_each_leaf(tmp_path):
    save(tmp_path, 1)
    meta = json.loads((tmp_path / "1" / "meta" / "metadata").read_text())
    assert len(meta["crc32"]) == len(jax.tree.leaves(state(0.0)))
