import json

import pytest
from running import CONFIGS, ROOT

from ganjax.config import derived
from ganjax.config import file as config_file
from ganjax.config.check import branch_step, check
from ganjax.errors import UserError


def load(*overrides, file="dcgan_art"):
    return config_file.load_file(file, list(overrides))


@pytest.mark.parametrize("file", CONFIGS, ids=lambda f: f.stem)
@pytest.mark.parametrize("variant", ["", ":debug"])
def test_every_config_loads_locked_and_says_how_to_run_it(file, variant):
    config = config_file.load_file(f"{file}{variant}", [])
    assert config.is_locked
    assert (ROOT / "ganjax" / "recipes" / f"{config.recipe}.py").is_file()
    assert f"--config={file.stem} " in file.read_text()


def test_every_recipe_has_a_config_of_its_name():
    recipes = {p.stem for p in (ROOT / "ganjax" / "recipes").glob("*.py")} - {"__init__"}
    assert recipes <= {f.stem for f in CONFIGS}


def test_overrides_keep_the_type():
    config = load(
        "--config.optimizer.g_lr=1",
        "--config.batch_size=32",
        "--config.augment.flip=false",
        "--config.metrics=('swd',)",
    )
    assert (config.optimizer.g_lr, config.batch_size, config.augment.flip) == (1.0, 32, False)
    assert isinstance(config.optimizer.g_lr, float)
    assert config.metrics == ("swd",)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--config.batchsize=32", "did you mean 'batch_size'"),
        ("--config.data.resolutoin=32", "did you mean 'data.resolution'"),
        ("--config.data=3", "is a group"),
        ("--config.batch_size=many", "expected int"),
        ("--config.batch_size=1e-3", "expected int"),
        ("--config.batch_size=1e999999999", "expected int"),
        ("--config.batch_size=inf", "expected int"),
        ("--config.batch_size=" + "9" * 5000, "expected int"),
        ("--config.optimizer.g_lr=1,5", "expected float"),
        ("--config.metrics=('swd'", "expected tuple, as in --config.metrics=a,b"),
        ("--config.metrics=('swd', 3)", "expected tuple"),
        ("--config.metrics={'swd': 3}", "expected tuple"),
        ("--config.metrics=" + "(" * 500, "expected tuple"),
        ("--config.model.generator.widths=(8, 4.5)", "expected tuple"),
        ("--config.model.generator.widths=wide", "expected tuple"),
        ("--config.optimizer.g_lr=fast", "expected float"),
        ("--config.augment.flip=maybe", "expected bool"),
    ],
)
def test_a_bad_override_is_one_sentence(flag, message):
    with pytest.raises(UserError, match=message) as error:
        load(flag, file="biggan")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("batch_size=1e3", 1000),
        ("total_images=1_000_000", 1_000_000),
        ("total_images=2.5e3", 2500),
        ("augment.flip=no", False),
        ("augment.flip=YES", True),
        ("metrics=", ()),
        ("metrics=None", ()),
        ("metrics=()", ()),
        ("metrics=swd, colour,", ("swd", "colour")),
        ("metrics=['swd']", ("swd",)),
        ("model.generator.widths=1e2,8", (100, 8)),
        ("model.generator.widths=[8]", (8,)),
        ("model.generator.attention=", ()),
    ],
)
def test_values_are_taken_as_people_write_them(flag, value):
    config = check(load(f"--config.{flag}", file="biggan"))
    result = derived.flatten(config)[flag.partition("=")[0]]
    assert result == value and type(result) is type(value)


def test_a_missing_file_gets_the_nearest_and_a_broken_one_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no file .*did you mean .*dcgan_art"):
        config_file.load_file(str(ROOT / "configs" / "generate" / "dcgan_artt.py"), [])
    for name in ("dcgan_artt", "configs/dcgan_art.py", "generate/dcgan_art.py"):
        with pytest.raises(UserError, match=r"no file .*did you mean .*dcgan_art"):
            config_file.load_file(name, [])
    (tmp_path / "broken.py").write_text("def get_config(): return 1 / 0")
    with pytest.raises(UserError, match=r"broken.py: ZeroDivisionError"):
        config_file.load_file(str(tmp_path / "broken.py"), [])
    with pytest.raises(
        UserError, match=r"dcgan.py:Debug: the only variant is :debug, not :Debug; did you mean 'debug'"
    ):
        config_file.load_file(f"{ROOT}/configs/generate/dcgan.py:Debug", [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def get_config(): return 3", "must return a ConfigDict, not a int"),
        ("def get_sweep(): pass", "this is a sweep: launch.py sweep"),
        ("x = 1", "has no get_config"),
        ("raise SystemExit(7)", "SystemExit: 7"),
        ("import nowhere_at_all", "ModuleNotFoundError"),
        ("def get_config(:", "SyntaxError"),
        ("def get_config(): raise ValueError('a\\nb')", "ValueError: a b"),
    ],
)
def test_a_file_that_gives_no_config_is_one_line(tmp_path, text, message):
    (tmp_path / "file.py").write_text(text)
    with pytest.raises(UserError, match=message) as error:
        config_file.load_file(str(tmp_path / "file.py"), [])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "batch_size = 0 must be at least 1"),
        ({"data.load_size": 16}, "load_size = 16 is smaller"),
        ({"data.fit": "stretch"}, "'crop' or 'pad'"),
        ({"data.channels": 2}, "must be 3"),
        ({"data.resident": "always"}, "'auto', 'yes' or 'no'"),
        ({"steps_per_call": 0}, "steps_per_call = 0 must be at least 1"),
        ({"checkpoint.keep_last": 1}, "at least 2"),
        ({"checkpoint.keep_best": "g_loss"}, "min:name"),
        ({"augment.crop_scale": 0.0}, "from 0.01 to 1"),
        ({"precision": "float16"}, "float16"),
        ({"total_images": -1}, "must be at least 0"),
        ({"total_images": 63}, "less than one batch of 64"),
        ({"seed": -1}, "seed = -1 must be"),
        ({"optimizer.b2": 1.5}, "from 0 to 0.999999"),
        ({"optimizer.b1": 1.0}, "from 0 to 0.999999"),
        ({"optimizer.g_lr": float("inf")}, "optimizer.g_lr = inf must be from 0 to 3e.38"),
        ({"optimizer.g_lr": float("nan")}, "optimizer.g_lr = nan must be from 0 to 3e.38"),
        ({"optimizer.g_lr": -0.0}, "optimizer.g_lr = -0.0 must be from 0"),
        ({"optimizer.eps": float("nan")}, "optimizer.eps = nan must be from 0 to 1"),
        ({"ema.half_life_images": float("inf")}, "ema.half_life_images = inf must be from 0 to 2000000000"),
        ({"loss.instance_noise": float("inf")}, "loss.instance_noise = inf must be"),
        ({"model.discriminator.slope": float("nan")}, "model.discriminator.slope = nan must be from -65536"),
        ({"total_images": 10**22}, "total_images = 10000000000000000000000 must be from 0 to 2000000000"),
        ({"batch_size": 10**5000}, "batch_size = a number of 16610 bits must be from 1"),
        ({"model.z_dim": 10**9}, "model.z_dim = 1000000000 must be"),
        ({"seed": 2**32}, "seed = 4294967296 must be from 0 to 4294967295"),
        ({"data.resolution": 10**6}, "from 1 to 16384"),
        ({"checkpoint.keep_best": "min"}, "min:name"),
        ({"branch.step": "10"}, "branch.step = '10' needs the run to branch from: --config.branch.workdir=DIR"),
        ({"branch.step": "\u0663x", "branch.workdir": "/x"}, "branch.step = '\u0663x' must be a step, 'best'"),
        ({"branch.step": "9" * 5000, "branch.workdir": "/x"}, "must be a step, 'best'"),
        ({"branch.step": "-1", "branch.workdir": "/x"}, "must be a step, 'best'"),
    ],
)
def test_values_that_cannot_be_right_are_refused(change, message):
    config = load()
    config.update_from_flattened_dict(change)
    with pytest.raises(UserError, match=message):
        check(config)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": "64"}, "batch_size = '64' must be a whole number"),
        ({"batch_size": 64.0}, "batch_size = 64.0 must be a whole number"),
        ({"batch_size": True}, "batch_size = True must be a whole number"),
        ({"batch_size": None}, "batch_size = None must be a whole number"),
        ({"health": 1}, "health = 1 must be true or false"),
        ({"metrics": ("swd", 3)}, r"metrics = \('swd', 3\) must be a list of texts"),
        ({"metrics": 5}, "metrics = 5 must be a list of texts"),
        ({"data.classes": (1, None)}, r"data.classes = \(1, None\) must be a list of texts"),
        ({"data.path": "a\nb" * 90, "data.name": 3}, "data.name = 3 must be text"),
        ({"data": 3}, "data = 3 must be a group of keys, such as data."),
        ({"seed": {"a": 1}}, "seed = {'a': 1} must be a whole number"),
        ({"optimizer.g_lr": "fast"}, "optimizer.g_lr = 'fast' must be a number"),
    ],
)
def test_values_of_another_type_are_refused(change, message):
    config = load(file="dcgan")
    with config.unlocked(), config.ignore_type():
        for key, value in change.items():
            group, _, name = key.rpartition(".")
            setattr(config[group] if group else config, name, value)
    with pytest.raises(UserError, match=message) as error:
        check(config)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("text", "step"), [("", None), ("best", "best"), ("1e3", 1000), (" 8 ", 8)])
def test_a_branchs_step_is_written_as_other_numbers_are(text, step):
    config = load("--config.branch.workdir=/x", f"--config.branch.step={text}")
    assert branch_step(check(config)) == step


def test_no_metrics_may_be_written_as_none():
    config = load()
    with config.unlocked(), config.ignore_type():
        config.metrics = None
    assert check(config).metrics == ()


def test_a_path_alone_means_a_folder():
    config = load("--config.data.path=/x", file="dcgan")
    assert check(config).data.name == "folder"


def test_metrics_may_be_listed_with_commas():
    assert check(load("--config.metrics=swd,other")).metrics == ("swd", "other")


def test_a_key_that_an_older_run_did_not_know_is_no_obstacle(tmp_path):
    saved = load()
    with saved.unlocked():
        del saved.augment.rotate
    assert config_file.resume(load(), saved, tmp_path) == {}


def test_what_an_older_run_saved_has_the_new_keys_at_their_defaults(tmp_path):
    saved = load().to_dict()
    del saved["data"]["attributes"], saved["health"]
    (tmp_path / "config.json").write_text(json.dumps(saved))
    back = config_file.read(tmp_path / "config.json")
    assert (back.data.attributes, back.health) == ("", True)


def test_what_is_saved_reads_back_equal(tmp_path):
    config = load("--config.metrics=('swd',)")
    config_file.save(config, tmp_path / "config.json")
    back = config_file.read(tmp_path / "config.json")
    assert derived.flatten(back) == derived.flatten(config)
    assert back.is_locked
    assert json.loads((tmp_path / "config.json").read_text())["batch_size"] == 64


def test_a_damaged_or_missing_saved_config_is_named(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        config_file.read(tmp_path / "config.json")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        config_file.read(tmp_path / "config.json")


def test_a_resume_may_change_some_keys_and_no_others(tmp_path):
    saved = load()
    saved.schedule_images = saved.total_images
    longer = load(
        "--config.total_images=5", "--config.checkpoint.keep_last=7", "--config.data.path=/x", "--config.mesh.data=2"
    )
    changed = config_file.resume(longer, saved, tmp_path)
    assert set(changed) == {"total_images", "checkpoint.keep_last", "data.path", "mesh.data"}
    assert derived.horizon(longer) == saved.total_images  # schedules keep their first horizon
    with pytest.raises(UserError, match=r"config.model.z_dim = 100, not 64.*--config.model.z_dim=100"):
        config_file.resume(load("--config.model.z_dim=64"), saved, tmp_path)
    with pytest.raises(UserError, match=f"batch_size.*where --config.branch.workdir={tmp_path} continues"):
        config_file.resume(load("--config.batch_size=8"), saved, tmp_path)
    with pytest.raises(UserError, match="branch.workdir.*another --workdir$"):
        config_file.resume(load("--config.branch.workdir=/other"), saved, tmp_path)
