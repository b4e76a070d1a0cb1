"""A run's folder: errors in edited configs are one sentence, and outputs stay out of the data."""

import json
import os
from pathlib import Path

import pytest
from running import CONFIGS

import ganjax
from ganjax.config import derived, groups
from ganjax.config import file as config_file
from ganjax.config.check import check
from ganjax.configs.generate import dcgan
from ganjax.configs.translate import cyclegan
from ganjax.errors import UserError
from ganjax.workdir import run_folder
from ganjax.workdir.lock import claim


@pytest.fixture
def workdir(tmp_path):
    config = dcgan.get_config("debug")
    config.data.update({"name": "folder", "path": "/art"})
    config_file.save(config, tmp_path / "config.json")
    return tmp_path


def edit(workdir, key, value):
    """Set a dotted key of config.json; `...` removes it."""
    saved = json.loads((workdir / "config.json").read_text())
    *groups, last = key.split(".")
    group = saved
    for name in groups:
        group = group[name]
    group.pop(last, None)
    if value is not ...:
        group[last] = value
    (workdir / "config.json").write_text(json.dumps(saved))


@pytest.mark.parametrize("text", ["[]", "null", '"x"', "3", "{", "", "[" * 9000, "{}9" + "9" * 5000])
def test_a_file_that_is_no_config_is_one_sentence(workdir, text):
    (workdir / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config.json cannot be read \(.*\); restore it") as error:
        run_folder.read_config(workdir)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("batch_size", "8", "batch_size"),
        ("batch_size", 8.5, "batch_size"),
        ("batch_size", True, "config.batch_size = True must be a whole number"),
        ("batch_size", -3, "must be at least 1"),
        ("batch_size", 10**30, "config.batch_size = 1000000000000000000000000000000 must be from 1"),
        ("checkpoint.every_images", "x", "config.checkpoint.every_images = 'x' must be a whole number"),
        ("report.every_images", 0.5, "config.report.every_images = 0.5 must be a whole number"),
        ("data.max_damaged", 10**400, "config.data.max_damaged = a number of 1329 bits must be at most 3e.38"),
        ("optimizer.g_lr", 10**400, "config.optimizer.g_lr = a number of 1329 bits must be at most 3e.38"),
        ("seed", {}, "config.seed = {} must be a whole number"),
        ("data", [], r"config.data = \[\] must be a group"),
        ("data", 3, "data"),
        ("task", None, "config.task = None must be text"),
        ("data.path", 3, "path"),
        ("data.classes", [1, 2], "config.data.classes = .* must be a list of texts"),
        ("data.class_counts", ["a"], "must be a list of counts"),
        ("metrics", [3], "must be a list of texts"),
        ("metrics", None, "metrics"),
        ("optimizer.g_lr", "fast", "config.optimizer.g_lr = 'fast' must be a number"),
        ("optimizer.g_lr", float("nan"), "config.optimizer.g_lr = nan must be from 0"),
        ("optimizer.g_lr", float("inf"), "config.optimizer.g_lr = inf must be from 0"),
        ("optimizer", "adam", "config.optimizer = 'adam' must be a group of keys, such as optimizer."),
        ("loss.kind", 3, "config.loss.kind = 3 must be text"),
        ("health", 1, "health"),
    ],
)
def test_a_value_of_another_type_is_named(workdir, key, value, message):
    edit(workdir, key, value)
    with pytest.raises(UserError, match=message) as error:
        run_folder.read_config(workdir)
    assert str(error.value).startswith(f"{workdir / 'config.json'}: config.") and "\n" not in str(error.value)


def test_a_folder_that_is_not_utf8_is_refused_before_a_checkpoint_is_touched(tmp_path):
    folder = tmp_path / os.fsdecode(b"\xff")
    link = tmp_path / "link"
    link.symlink_to(folder)
    for place in (folder / "run", link):
        with pytest.raises(UserError, match="--workdir=.*need a path in UTF-8, which .*xff.* is not") as error:
            claim(place).__enter__()
        with pytest.raises(UserError, match="need a path in UTF-8"):
            ganjax.load(place)
        str(error.value).encode()
    assert not folder.exists()


def test_keys_that_a_run_did_not_know_are_at_their_defaults(workdir):
    edit(workdir, "penalty", ...)
    edit(workdir, "branch", ...)
    config = run_folder.read_config(workdir)
    assert (config.penalty.lecam, config.branch.workdir, config.is_locked) == (0.0, "", True)
    config_file.save(cyclegan.get_config("debug"), workdir / "config.json")
    assert run_folder.read_config(workdir).task == "translate"
    edit(workdir, "task", ...)
    with pytest.raises(UserError, match="config.json: this run was made by an older version of ganjax"):
        run_folder.read_config(workdir)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model.z_dim", 64, "says config.model.z_dim = 64, and its checkpoint was saved with 100: set it back"),
        ("model.z_dim", "100", "config.model.z_dim = '100', and its checkpoint was saved with 100"),
        ("model.z_dim", ..., "'model.z_dim' is missing; the checkpoint was saved with 100"),
        ("model.zdim", 3, "there is no key 'model.zdim'; did you mean 'model.z_dim'"),
        ("batchsize", 3, "there is no key 'batchsize'; did you mean 'batch_size'"),
        ("seed", 1, "config.seed = 1"),
        ("data.path", "/elsewhere", None),
        ("report.grid", 9, None),
        ("data.class_counts", [3], None),
    ],
)
def test_a_config_that_is_not_the_checkpoints_is_refused_by_key(workdir, key, value, message):
    meta = {"config": json.loads(json.dumps(derived.flatten(run_folder.read_config(workdir))))}
    edit(workdir, key, value)
    config = run_folder.read_config(workdir)
    run_folder.agree(config, None, workdir)
    run_folder.agree(config, {"step": 3}, workdir)  # an older checkpoint has no config to compare
    if message is None:
        run_folder.agree(config, meta, workdir)
        return
    with pytest.raises(UserError, match=message):
        run_folder.agree(config, meta, workdir)


def test_renamed_classes_are_named():
    assert run_folder.class_changes(("a", "b"), ("a", "b")) == ""
    assert run_folder.class_changes(("Mu\u0308ller",), ("M\u00fcller",)) == ""
    assert run_folder.class_changes(("blue", "red"), ("blue", "rouge")) == "'red' is now 'rouge'"
    assert run_folder.class_changes(("blue", "red"), ("blue", "green", "red")) == "new: 'green'"
    assert run_folder.class_changes(("a", "b", "c", "d", "e"), ()) == "missing: 'a', 'b', 'c', ..."


def test_outputs_stay_out_of_the_data(tmp_path):
    art, runs = tmp_path / "art", tmp_path / "runs"
    (art / "monet").mkdir(parents=True)
    (runs / "one" / "samples").mkdir(parents=True)
    (tmp_path / "alias").symlink_to(art)

    def refusal(place, folder=art, flag="--workdir"):
        try:
            run_folder.check_apart(place, {"config.data.path": folder}, flag)
        except UserError as error:
            return str(error)
        return ""

    assert not refusal(runs / "one")
    assert not refusal(tmp_path / "art2")
    assert not refusal(tmp_path)  # data may lie below the workdir, except where the run writes
    for place in (art, art / "runs", art / "monet" / "x", tmp_path / "alias" / "x"):
        assert "would be taken for images of it" in refusal(place)
        assert "would be taken for images of it" in refusal(place, flag="--out")
    assert "which the run itself writes to" in refusal(runs / "one", runs / "one" / "samples")
    (art / "monet" / "link").symlink_to(runs)
    assert "would be taken" in refusal(runs / "one" / "more")
    (art / "monet" / "ring").symlink_to(art)
    assert not refusal(tmp_path / "other")
    assert not refusal(tmp_path / "other", tmp_path / "missing")


def test_places_mean_the_same_from_every_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    config = groups.base()
    config.data.update({"name": "folder", "path": "~/art", "a": "photos", "b": ""})
    run_folder.make_absolute(config.data)
    assert (config.data.path, config.data.a) == (str(tmp_path / "home" / "art"), str(tmp_path / "photos"))
    assert run_folder.roots(config.data) == {
        "config.data.path": tmp_path / "home" / "art",
        "config.data.a": tmp_path / "photos",
    }
    config.data.update({"name": "tfds:cycle_gan/x", "path": "sets", "a": "trainA", "b": "trainB"})
    run_folder.make_absolute(config.data)
    assert (config.data.path, config.data.a, run_folder.roots(config.data)) == (str(tmp_path / "sets"), "trainA", {})


def test_images_that_moved_are_given_by_their_own_keys(tmp_path):
    data = groups.base().data
    data.update({"name": "folder", "path": "/old"})
    assert run_folder.moved(data, {"path": "/new"}).path == "/new" and data.path == "/old"
    with pytest.raises(UserError, match="--data_a: this run has no config.data.a; give --data"):
        run_folder.moved(data, {"a": "/new"})
    data.update({"path": "", "a": "/x", "b": "/y"})
    assert run_folder.moved(data, {"b": "/z"}).b == str(Path("/z"))
    with pytest.raises(UserError, match="give --data_a and --data_b"):
        run_folder.moved(data, {"path": "/new"})
    with pytest.raises(UserError, match="the atelier's"):
        run_folder.moved(groups.base().data, {"path": "/new"})


@pytest.mark.parametrize(
    "file",
    CONFIGS,
    ids=lambda file: file.stem,
)
def test_every_config_is_read_as_it_was_saved(file, tmp_path):
    config = check(config_file.load_file(str(file), []))
    config_file.save(config, tmp_path / "config.json")
    saved = run_folder.read_config(tmp_path)
    assert derived.flatten(saved) == derived.flatten(config)
    run_folder.agree(saved, {"config": json.loads(json.dumps(derived.flatten(config)))}, tmp_path)
