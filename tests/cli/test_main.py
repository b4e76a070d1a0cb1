import contextlib
import functools
import json
import re
import shutil
import subprocess
import sys
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image
from running import ROOT, launch

import ganjax
from ganjax.cli import evaluate as evaluate_verb
from ganjax.cli import main as launcher
from ganjax.cli import sample as sample_verb
from ganjax.configs.generate import dcgan
from ganjax.errors import UserError
from ganjax.metrics import evaluate
from ganjax.metrics.features import classifier
from ganjax.system import signals
from ganjax.training.loop import train
from ganjax.workdir import meta


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    config = dcgan.get_config("debug")
    config.total_images, config.report.tensorboard = 16, False
    train(config, workdir)
    return workdir


@pytest.mark.parametrize("verb", ["", "train", "sweep", "sample", "evaluate"])
def test_help_reads_well(verb):
    done = launch(*filter(None, [verb]), "--help", cwd=ROOT)
    assert done.returncode == 0
    assert "--workdir" in done.stdout or not verb
    assert max(map(len, done.stdout.splitlines())) <= 120


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--config.data.resolutoin=32"],
            "error: --config.data.resolutoin: there is no such key; did you mean 'data.resolution'?",
        ),
        (["--config.batch_size=x"], "error: --config.batch_size=x: expected int, as in --config.batch_size=64"),
        (["--config.data.path=/nowhere"], "error: config.data.path: there is no folder /nowhere"),
        (["--process_id=1"], "error: --coordinator, --num_processes and --process_id need --distributed"),
        (["--workdri=x"], "error: train: --workdri is not known; did you mean '--workdir'?"),
    ],
)
def test_a_mistake_is_one_line_without_a_traceback(flags, message, tmp_path):
    done = launch("train", "--config=dcgan_art", f"--workdir={tmp_path}", *flags, cwd=ROOT)
    assert done.returncode == 1
    assert done.stdout.strip() == message


def test_a_start_that_is_stopped_promises_no_checkpoint(monkeypatch, tmp_path):
    monkeypatch.setattr(signals, "advice", "")
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(launcher.console, "start", lambda patient: None)
    monkeypatch.setattr(launcher, "start", Mock())
    for verb, advice in (("sample", ""), ("train", "; run the same command to resume")):
        others = ["--config=/nowhere.py"] if verb == "train" else ["--out=x"]
        assert launcher.command([verb, f"--workdir={tmp_path}", *others]) == 1
        assert signals.advice == advice


def test_places_may_begin_with_a_tilde_and_are_never_empty(monkeypatch, capsys):
    monkeypatch.setenv("HOME", "/home/of")
    options = launcher.parser().parse_args(["sample", "--workdir=~/run", "--out=~/x/y"])
    assert (options.workdir, options.out) == ("/home/of/run", "/home/of/x/y")
    with pytest.raises(SystemExit):
        launcher.parser().parse_args(["sample", "--workdir=~/run", "--out="])
    assert "argument --out: the path is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--num=3", "--grid", "--label=all"], ""),
        (["--interpolate=1,2", "--frames=3", "--label=noble", "--truncation=0.5", "--move=1:2"], ""),
        (["--codes=a.safetensors", "--directions=3", "--by=pca"], ""),
        (["--mix=0:1", "--interpolate=0,1"], "choose one of them"),
        (["--mix=0:1", "--num=3"], "--num goes with plain samples only"),
        (["--frames=3"], "--frames goes with --interpolate only"),
        (["--codes=a.safetensors", "--label=noble"], "--label goes with plain samples or --interpolate or --mix or"),
        (["--mix=0:1", "--label=all"], "--label=all does not go with --mix"),
    ],
)
def test_flags_of_sample_that_would_have_no_effect_are_refused(flags, message):
    options = launcher.parser().parse_args(["sample", "--workdir=a", "--out=b", *flags])
    with pytest.raises(UserError, match=message) if message else contextlib.nullcontext():
        sample_verb.check_flags(options)


@pytest.mark.parametrize(
    ("verb", "flag", "message"),
    [
        ("sample", "--seed=4294967296", "4294967296 must be from 0 to 4294967295"),
        ("sample", "--seed=18446744073709551616", "must be from 0 to 4294967295"),
        ("sample", "--seed=-1", "-1 must be from 0"),
        ("sample", "--seed=1.5", "1.5 is not a whole number"),
        ("sample", "--num=0", "0 must be from 1 to 10000000"),
        ("sample", "--num=1e30", "must be from 1"),
        ("sample", "--num=many", "many is not a whole number"),
        ("sample", "--step=-3", "-3 must be from 0"),
        ("sample", "--step=newest", "newest is not a whole number"),
        ("translate", "--strength=nan", "nan must be from 0 to 1"),
        ("translate", "--strength=1e400", "inf must be from 0 to 1"),
        ("evaluate", "--resolution=9999999", "must be from 16 to 16384"),
        ("evaluate", "--seeds=0", "0 must be from 1"),
        ("train", "--num_processes=0", "0 must be from 1"),
    ],
)
def test_numbers_out_of_bounds_are_one_line(verb, flag, message, capsys):
    needed = {"sample": ["--out=x"], "translate": ["--out=x", "--input=x"], "train": ["--config=x"]}.get(verb, [])
    with pytest.raises(SystemExit) as end:
        launcher.parser().parse_args([verb, "--workdir=x", *needed, flag])
    (line,) = capsys.readouterr().err.splitlines()
    assert end.value.code == 2 and line.startswith("error: argument --") and message in line


def test_numbers_are_taken_as_people_write_them():
    options = launcher.parser().parse_args(["sample", "--workdir=x", "--out=x", "--num=1e3", "--seed=4_294_967_295"])
    assert (options.num, options.seed) == (1000, 2**32 - 1)
    assert launcher.parser().parse_args(["sample", "--workdir=x", "--out=x", "--step=best"]).step == "best"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--metrics="], "--metrics=: expected names"),
        (["--metrics=None"], "expected names"),
        (["--metrics=1,2"], "expected names"),
        (["--metrics=[swd,rand_fd]"], r"--metrics=\[swd,rand_fd\]: expected names, separated by commas"),
        (["--metrics=(swd"], "expected names"),
        (["--metrics=('swd',1)"], "expected names"),
        (["--metrics=" + "(" * 20_000], "expected names"),
        (["--seed=4294967295", "--seeds=2"], "beyond the last seed, 4294967295"),
        (["--metrics=what is this"], "such as"),
    ],
)
def test_metrics_and_seeds_that_cannot_be_are_one_sentence(flags, message, tmp_path):
    options = launcher.parser().parse_args(["evaluate", "--real=x", "--fake=y", *flags])
    with pytest.raises(UserError, match=message) as error:
        evaluate_verb.run(options)
    assert len(str(error.value)) < 200


def test_a_workdir_with_another_architecture_is_refused_in_one_line(run):
    flags = ["--config=dcgan:debug", "--config.model.z_dim=7", f"--workdir={run}"]
    done = launch("train", *flags, cwd=ROOT)
    assert done.returncode == 1
    assert done.stdout.strip().startswith(f"error: {run} holds a run with config.model.z_dim = 100, not 7")


@pytest.mark.slow
def test_compiled_programs_are_kept_and_used_again(tmp_path, monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.setenv("GANJAX_CACHE", str(tmp_path))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    flags = ["--config=dcgan:debug", "--config.total_images=16", "--config.report.tensorboard=false"]
    for name in ("first", "second"):
        done = launch("train", *flags, f"--workdir={tmp_path / name}", cwd=ROOT)
        assert done.returncode == 0, done.stdout
        assert "cache" not in done.stdout
        (folder,) = (tmp_path / "programs").iterdir()  # one kind of machine
        programs = {file.name for file in folder.iterdir() if file.name.endswith("-cache")}
        if name == "first":
            before = programs
    assert any("update" in program for program in before) and programs == before


def test_a_cache_that_cannot_be_named_is_one_line_in_every_verb(monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.setenv("GANJAX_CACHE", "~nobody-here/x")
    done = launch("evaluate", "--list", cwd=ROOT)
    assert done.returncode == 1 and len(done.stdout.splitlines()) == 1
    assert done.stdout.startswith("error: GANJAX_CACHE=~nobody-here/x: ")


def test_sample_writes_single_images_or_one_grid(run, tmp_path):
    done = launch("sample", f"--workdir={run}", "--num=5", "--seed=3", f"--out={tmp_path / 'a'}", cwd=ROOT)
    assert done.returncode == 0, done.stdout
    files = sorted((tmp_path / "a").iterdir())
    assert [f.name for f in files] == [f"3-{i:05d}.png" for i in range(5)]
    expected = ganjax.load(run).sample(70, seed=3)[:5]
    pixels = np.stack([np.asarray(Image.open(f)) for f in files]).astype(float)
    np.testing.assert_allclose(pixels, np.round(127.5 * (expected + 1)), atol=1)
    done = launch("sample", f"--workdir={run}", "--num=5", "--grid", f"--out={tmp_path / 'b'}", cwd=ROOT)
    assert done.returncode == 0, done.stdout
    assert Image.open(tmp_path / "b" / "grid.png").width == 3 * 66 + 2


def test_load_gives_config_variables_and_samples(run):
    model = ganjax.load(run)
    assert (model.config.recipe, model.meta["images"]) == ("dcgan", 16)
    images = model.sample(3)
    assert images.shape == (3, 32, 32, 3)
    assert np.abs(images).max() <= 1
    many = model.sample(200)
    np.testing.assert_array_equal(images, many[:3])
    chunks = list(model.chunks(200))
    assert [len(chunk) for chunk in chunks] == [64, 64, 64, 8]
    np.testing.assert_array_equal(np.concatenate(chunks), many)
    with pytest.raises(UserError, match="holds no run"):
        ganjax.load(run / "nothing")
    for num, seed in ((0, 0), (2.5, 0), (1, -1), (1, 2**32), (1, 2**64)):
        with pytest.raises(UserError, match="must be an integer of at least 1|a seed must be"):
            model.sample(num, seed)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model.z_dim", 7, "describe the network|saved with"),
        ("model.generator.width", 0, "above 0|saved with"),
        ("model.generator.norm", "odd", "odd"),
        ("data.channels", 1, "does not describe|saved with"),
        ("data.resolution", 16384, "does not describe|saved with"),
        ("data.resolution", 10**9, "from 1 to 16384"),
        ("optimizer.g_lr", 1e400, "optimizer.g_lr = inf must be"),
        ("loss.kind", "\ud800", "loss.kind"),
    ],
)
def test_a_config_that_is_not_its_checkpoints_is_one_sentence(run, tmp_path, key, value, message):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoints").symlink_to(run / "checkpoints")
    config = json.loads((run / "config.json").read_text())
    *groups, name = key.split(".")
    functools.reduce(dict.__getitem__, groups, config)[name] = value
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=message) as error:
        ganjax.load(tmp_path / "run")
    assert "\n" not in str(error.value)


def test_loading_in_a_script_prints_nothing_and_sets_up_no_log(run):
    code = (
        f"import logging, ganjax; ganjax.load({str(run)!r}).sample(1, progress=True); assert not logging.root.handlers"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("older", [False, True])
def test_a_config_edited_by_hand_is_said_by_its_key(run, tmp_path, older):
    shutil.copytree(run, tmp_path / "run")
    config = tmp_path / "run" / "config.json"
    saved = json.loads(config.read_text())
    saved["model"]["z_dim"] = 64
    config.write_text(json.dumps(saved))
    if older:  # a checkpoint that does not hold its config
        file = tmp_path / "run" / "checkpoints" / "2" / "meta" / "metadata"
        metadata = json.loads(file.read_text())
        for key in ("checksum", "config", "shapes", "score"):
            del metadata[key]
        file.write_text(json.dumps(meta.seal(metadata)))
    edited = "config.model.z_dim = 64, and its checkpoint was saved with 100"
    message = "does not describe the networks of its" if older else edited
    with pytest.raises(UserError, match=message) as error:
        ganjax.load(tmp_path / "run")
    assert "\n" not in str(error.value)


def test_images_that_moved_are_given_to_evaluate(conditional, tmp_path):
    art, names = conditional / "art", ("swd",)
    art.rename(tmp_path / "moved")
    try:
        with pytest.raises(UserError, match="images are not at .*art: give their folder, --data=DIR"):
            evaluate.workdir(conditional / "run", names, 8)
        assert (
            evaluate.workdir(conditional / "run", names, 8, places={"path": str(tmp_path / "moved")})["swd"]["value"]
            > 0
        )
    finally:
        (tmp_path / "moved").rename(art)


def test_json_on_stdout_is_json_alone(monkeypatch, capsys, tmp_path):
    results = {"swd": {"value": 1.0, "better": "lower", "n_real": 2, "n_fake": 2}}
    monkeypatch.setattr(evaluate, "folders", lambda *_: results)
    args = ["evaluate", "--real=a", "--fake=b", f"--sheet={tmp_path / 'x.png'}"]
    evaluate_verb.run(launcher.parser().parse_args([*args, "--json"]))
    printed = capsys.readouterr()
    assert json.loads(printed.out) == results and printed.err == f"nearest: {tmp_path / 'x.png'}\n"
    evaluate_verb.run(launcher.parser().parse_args(args))
    assert capsys.readouterr().out.endswith(f"nearest: {tmp_path / 'x.png'}\n")


def test_evaluate_a_run_and_two_folders(run, paintings, tmp_path):
    done = launch("evaluate", f"--workdir={run}", "--num=32", "--metrics=swd", f"--out={tmp_path / 'x.json'}", cwd=ROOT)
    assert done.returncode == 0, done.stdout
    result = json.loads((tmp_path / "x.json").read_text())["swd"]
    assert result["value"] > 0
    assert (result["n_real"], result["n_fake"], result["images"]) == (32, 32, 16)
    pair = [f"--real={paintings}", f"--fake={paintings}", "--resolution=32", f"--out={tmp_path / 'y.json'}"]
    done = launch("evaluate", *pair, "--metrics=swd", cwd=ROOT)
    assert done.returncode == 0, done.stdout
    assert json.loads((tmp_path / "y.json").read_text())["swd"]["value"] < result["value"] / 3
    for flags, message in (
        ([*pair, "--metrics=sdw"], "metric 'sdw' is not known; did you mean 'swd'?"),
        ([], "give either --workdir=DIR, or --real=DIR and --fake=DIR"),
    ):
        with pytest.raises(UserError, match=re.escape(message)):
            evaluate_verb.run(launcher.parser().parse_args(["evaluate", *flags]))


@pytest.mark.slow
def test_the_default_metrics_need_no_download(run, tmp_path):
    sheet, out = tmp_path / "near.png", tmp_path / "x.json"
    done = launch("evaluate", f"--workdir={run}", "--num=32", f"--sheet={sheet}", f"--out={out}", cwd=ROOT)
    assert done.returncode == 0, done.stdout
    results = json.loads(out.read_text())
    assert results.keys() == set(evaluate.DEFAULT) and not any("error" in result for result in results.values())
    with Image.open(sheet) as picture:
        assert picture.height > 2 * 8 * 66  # the nearest by pixels, then by Lite0


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    """Return the folder of a run of two steps on two attributes: images in red-big, red-small and blue-small."""
    root, rng = tmp_path_factory.mktemp("conditional"), np.random.default_rng(0)
    for name, count in (("red-big", 12), ("red-small", 8), ("blue-small", 20)):
        (root / "art" / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(root / "art" / name / f"{i}.png")
    config = dcgan.get_config("debug")
    config.total_images, config.report.tensorboard, config.metrics_images = 16, False, 40
    config.data.path, config.data.labels, config.data.attributes = str(root / "art"), True, "-"
    config.condition.kind, config.metrics = "projection", ("label_acc", "rand_fd")
    with pytest.MonkeyPatch.context() as patch:  # train the classifier briefly: it need not be good
        patch.setattr(classifier.train, "__defaults__", (0, 64, False, True))
        train(config, root / "run")
    return root


def test_a_conditional_run_gives_what_is_asked_for(conditional):
    model = ganjax.load(conditional / "run")
    assert model.labels.names == (("blue", "red"), ("big", "small"))
    plain, red, new = (model.sample(6, seed=1, label=label) for label in ("", "red-big", "blue-big"))
    assert (red != new).any() and (plain != red).any()
    np.testing.assert_array_equal(model.sample(6, seed=1, label="red-*")[0].shape, red[0].shape)
    with pytest.raises(UserError, match="'rde' is not one of blue, red; did you mean 'red'"):
        model.sample(1, label="rde-big")
    with Image.open(sorted((conditional / "run" / "samples").glob("*.png"))[-1]) as sheet:
        assert sheet.height > 5 * 66  # real, generated, and a row for each of three classes


def test_its_metrics_know_what_was_asked_for(conditional):
    rows = [json.loads(line) for line in (conditional / "run" / "metrics.jsonl").read_text().splitlines()]
    assert 0 <= rows[-1]["label_acc"]["value"] <= 1 and rows[-1]["label_acc"]["n_fake"] == 40


def test_samples_of_every_class_lie_in_its_folder(conditional, tmp_path):
    done = launch("sample", f"--workdir={conditional / 'run'}", "--label=all", "--num=3", f"--out={tmp_path}", cwd=ROOT)
    assert done.returncode == 0, done.stdout
    folders = {path.parent.name for path in tmp_path.rglob("*.png")}
    assert folders == {"red-big", "red-small", "blue-small"} and len(list(tmp_path.rglob("*.png"))) == 9
    wrong = launch("sample", f"--workdir={conditional / 'run'}", "--label=green-big", f"--out={tmp_path}", cwd=ROOT)
    assert wrong.returncode == 1 and "error: label 'green-big': 'green' is not one of blue, red" in wrong.stdout


def test_a_foreign_runs_class_names_never_leave_the_folder(conditional, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoints").symlink_to(conditional / "run" / "checkpoints")
    config = json.loads((conditional / "run" / "config.json").read_text())
    config["data"]["classes"] = ["../../evil-big", "/abs-small", "/abs-big"]
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    out = tmp_path / "a" / "b" / "out"
    done = launch("sample", f"--workdir={tmp_path / 'run'}", "--label=all", "--num=1", f"--out={out}", cwd=ROOT)
    assert done.returncode == 0, done.stdout
    files = list(tmp_path.rglob("*.png"))
    assert len(files) == 3 and all(path.parent.parent == out for path in files)


def test_a_conditional_run_of_one_class_is_refused(conditional):
    config = dcgan.get_config("debug")
    one = conditional / "one"
    (one / "red-big").mkdir(parents=True)
    Image.new("RGB", (32, 32)).save(one / "red-big" / "0.png")
    config.data.path, config.data.labels, config.condition.kind = str(one), True, "projection"
    with pytest.raises(UserError, match="needs two classes or more, and folder has 1"):
        train(config, conditional / "none")


@pytest.mark.parametrize("label", ["red", np.ones(3)])
def test_a_label_is_refused_by_a_run_that_has_none(run, label):
    with pytest.raises(UserError, match="this run is not conditional"):
        ganjax.load(run).sample(1, label=label)
