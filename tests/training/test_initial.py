"""A run that starts from another's weights (`init_from`), with parts that are not trained (`freeze`)."""

import json
import shutil

import jax
import numpy as np
import pytest
import safetensors
from running import assert_same, read_state
from tiny import small

from ganjax import recipe
from ganjax.cli.main import command
from ganjax.config import file as config_file
from ganjax.config.check import check
from ganjax.errors import UserError
from ganjax.report.run_log import read_rows
from ganjax.training import initial
from ganjax.training.loop import train
from ganjax.workdir import weights_file

PLAIN = {"diffaugment": "", "penalty.r1": 0.0, "penalty.lecam": 0.0, "loss.kind": "non_saturating"}
FROZEN = "['networks']['discriminator'].params"


def dcgan(**changes):
    return small("dcgan", **{**PLAIN, "model.generator.norm": "layer", "model.generator.width": 4, **changes})


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("source")
    train(dcgan(), workdir)
    return workdir


def leaves(state, part):
    """Return {place in the state's part: array}."""
    return {key.removeprefix(part): leaf for key, leaf in state.items() if key.startswith(part)}


def test_networks_begin_with_the_sources_average_and_optimisers_anew(source, tmp_path):
    train(dcgan(total_images=8, init_from=str(source)), tmp_path)
    parent, start = read_state(source, 4), read_state(tmp_path, 0)
    average = leaves(parent, ".ema['generator']" if ".ema['generator']" in str(parent) else "['ema']['generator']")
    assert average
    for part in (
        "['ema']['generator']['params']",
        "['networks']['generator'].params",
        "['networks']['generator']['params']",
    ):
        for place, leaf in leaves(start, part).items():
            np.testing.assert_array_equal(leaf, parent[f"['ema']['generator']['params']{place}"], err_msg=place)
    moments = [leaf for key, leaf in start.items() if "opt_state" in key]
    assert moments and not any(np.any(leaf) for leaf in moments)
    assert int(start["['step']"]) == 0


def test_what_does_not_fit_is_named_and_begins_anew(source, tmp_path, caplog):
    caplog.set_level("INFO")
    train(dcgan(total_images=8, init_from=f"{source}:4", **{"data.resolution": 32}), tmp_path)
    text = caplog.text
    assert f"starting from {source} at step 4 (32 images): " in text
    assert "initialised anew, as they do not fit: " in text
    assert config_file.read(tmp_path / "config.json").init_from == f"{source}:4"
    parent, start = read_state(source, 4), read_state(tmp_path, 0)
    same = [key for key in start if key in parent and "params" in key and "opt_state" not in key
            and start[key].shape == parent[key].shape]  # fmt: skip
    assert same and len(same) < sum("params" in key and "opt_state" not in key for key in start)


@pytest.mark.slow
def test_a_resumed_run_does_not_read_its_source_again(source, tmp_path):
    train(dcgan(init_from=str(source)), tmp_path / "whole")
    train(dcgan(total_images=16, init_from=str(source)), tmp_path / "parts")
    train(dcgan(init_from=""), tmp_path / "parts")
    assert_same(read_state(tmp_path / "whole", 4), read_state(tmp_path / "parts", 4))


@pytest.mark.slow
def test_a_file_of_weights_is_a_source_too(source, tmp_path):
    file = tmp_path / "shared.safetensors"
    assert command(["export", f"--workdir={source}", f"--out={file}"]) == 0
    with safetensors.safe_open(file, "np") as opened:
        about = json.loads(opened.metadata()["ganjax"])
    assert (about["step"], about["images"], about["config"]["recipe"]) == (4, 32, "dcgan")
    train(dcgan(total_images=8, init_from=str(file)), tmp_path / "from_file")
    train(dcgan(total_images=8, init_from=str(source)), tmp_path / "from_run")
    assert_same(read_state(tmp_path / "from_file", 1), read_state(tmp_path / "from_run", 1))


def test_frozen_arrays_stay_and_the_others_move(tmp_path):
    config = check(dcgan(freeze=("discriminator.down_0", "generator.up")))
    gan = recipe.build(config)
    batch = {"image": jax.random.uniform(jax.random.key(0), (8, 16, 16, 3)), "label": np.full(8, -1, np.int32)}
    before = jax.jit(gan.init)(jax.random.key(1), batch)
    after, _ = jax.jit(gan.step)(before, batch, jax.random.key(2))
    for network in ("generator", "discriminator"):
        old, new = before.networks[network].params, after.networks[network].params
        for layer in old:
            moved = any(np.any(a != b) for a, b in zip(*map(jax.tree.leaves, (old[layer], new[layer])), strict=True))
            assert moved != f"{network}.{layer}".startswith(config.freeze), layer


@pytest.mark.slow
@pytest.mark.parametrize("recipe_name", ["dcgan", "fastgan"])  # of layer norm; of batch and spectral norm
def test_cdc_begins_at_zero_and_a_resumed_run_keeps_its_source(recipe_name, tmp_path):
    def config(**changes):
        plain = {"condition.kind": "none", "data.labels": False} if recipe_name == "fastgan" else PLAIN
        return small(recipe_name, **{**plain, "report.every_images": 8, **changes})

    train(config(), tmp_path / "many")
    few = {"init_from": str(tmp_path / "many"), "penalty.cdc": 1000.0}
    train(config(**few), tmp_path / "whole")
    terms = [row["penalty_cdc"] for row in read_rows(tmp_path / "whole" / "scalars.jsonl") if "penalty_cdc" in row]
    assert len(terms) == 4 and abs(terms[0]) < 1e-3 < max(terms)
    train(config(total_images=16, **few), tmp_path / "parts")
    shutil.rmtree(tmp_path / "many")
    train(config(**few), tmp_path / "parts")
    assert_same(read_state(tmp_path / "whole", 4), read_state(tmp_path / "parts", 4))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"init_from": "NOWHERE"}, "holds no run"),
        ({"init_from": "NOWHERE.safetensors"}, "there is no file"),
        ({"init_from": "SOURCE:last"}, "after the colon stands a step, or best"),
        ({"init_from": "SOURCE:77"}, "has no checkpoint 77; there is: "),
        ({"init_from": "SOURCE", "branch.workdir": "SOURCE"}, "leave out one"),
        ({"penalty.cdc": 1.0}, "compares with the run of config.init_from"),
        ({"freeze": ("discriminator.conv_9",)}, "no array begins with 'discriminator.conv_9'"),
    ],
)
def test_errors_name_the_key_and_the_way_out(source, tmp_path, changes, message):
    changes = {key: value.replace("SOURCE", str(source)).replace("NOWHERE", str(tmp_path / "nowhere"))
               if isinstance(value, str) else value for key, value in changes.items()}  # fmt: skip
    with pytest.raises(UserError, match=message):
        train(dcgan(**changes), tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_foreign_file_is_refused(tmp_path):
    file = tmp_path / "foreign.safetensors"
    import safetensors.numpy

    safetensors.numpy.save_file({"conv1.weight": np.zeros(3, np.float32)}, file)
    with pytest.raises(UserError, match="was not written by `ganjax export`: it has no config"):
        train(dcgan(init_from=str(file)), tmp_path / "run")


def test_a_full_disk_is_said_in_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise safetensors.SafetensorError("No space left on device")

    monkeypatch.setattr(weights_file.safetensors.numpy, "save_file", full)
    with pytest.raises(UserError, match="x.safetensors cannot be written: No space left on device"):
        weights_file.write(tmp_path / "x.safetensors", {"generator": {"params": {"a": np.zeros(3)}}}, {})
    assert not list(tmp_path.iterdir())


def test_a_path_with_a_colon_is_a_path(tmp_path):
    (tmp_path / "of:12").mkdir()
    assert initial.parse(str(tmp_path / "of:12")) == (tmp_path / "of:12", None)
    assert initial.parse(f"{tmp_path}:12") == (tmp_path, 12)
    assert initial.parse(f"{tmp_path}:best") == (tmp_path, "best")
