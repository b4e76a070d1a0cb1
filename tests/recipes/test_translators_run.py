"""Runs from image to image: their metrics and settings, and that older runs resume."""

import json

import numpy as np
import pytest
from PIL import Image
from tiny import config_of

import ganjax
from ganjax import task
from ganjax.errors import UserError
from ganjax.inference import tiles
from ganjax.metrics import evaluate
from ganjax.tasks import restore
from ganjax.training.loop import train
from ganjax.workdir import meta


def changed(config, **values):
    config = config.copy_and_resolve_references()
    config.update_from_flattened_dict(values)
    return config


@pytest.mark.slow
def test_a_run_measures_pairs_and_what_a_translation_keeps(tmp_path):
    """PSNR and SSIM compare each translation with its own partner, with equal values in the loop and afterwards."""
    config = config_of("pix2pix:debug")
    config.update_from_flattened_dict(
        {"total_images": 16, "data.atelier.num_images": 12, "report.tensorboard": False, "model.generator.width": 4,
         "metrics": ("psnr", "structure", "rand_lpips", "rand_fd")}
    )  # fmt: skip
    train(config, tmp_path)
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    later = evaluate.workdir(str(tmp_path), ("psnr", "structure"), num=12)
    assert later["psnr"]["value"] == pytest.approx(last["psnr"]["value"], rel=1e-4)
    tables = task.of(config).open(config).tables
    run = ganjax.load(tmp_path)
    errors = []
    for a, b in zip(tables["a"].images, tables["b"].images, strict=True):
        a, b = (x[2:34, 2:34] for x in (a, b))
        errors.append(10 * np.log10(255**2 / np.mean((run(a).astype(float) - b) ** 2)))
    assert later["psnr"]["value"] == pytest.approx(np.mean(errors), abs=0.05)
    assert -1 <= last["structure"]["value"] <= 1 and 0 < last["rand_lpips"]["value"] < 1


@pytest.mark.slow
def test_what_are_pairs_is_settled_at_the_start_and_stays(tmp_path):
    config = config_of("cyclegan:debug")
    config.update_from_flattened_dict(
        {"total_images": 8, "data.atelier.num_images": 8, "report.tensorboard": False, "model.generator.width": 4,
         "model.discriminator.width": 4}
    )  # fmt: skip
    train(config.copy_and_resolve_references(), tmp_path)
    with pytest.raises(UserError, match="config.data.paired = 'no', not 'yes'"):
        train(changed(config, **{"data.paired": "yes", "total_images": 16}), tmp_path)
    train(changed(config, **{"data.paired": "auto", "total_images": 16}), tmp_path)
    assert ganjax.load(tmp_path).config.data.paired == "no"


def test_metrics_of_pairs_are_refused_where_there_are_none(tmp_path):
    config = config_of("cyclegan:debug")
    config.metrics = ("psnr",)
    with pytest.raises(UserError, match="psnr needs pairs"):
        train(config, tmp_path)


@pytest.mark.slow
def test_a_run_from_whole_images_learns_from_what_it_damages(tmp_path):
    """Previews use fixed damage; training damages images randomly at each step."""
    config = config_of("restore:debug")
    config.update_from_flattened_dict(
        {"total_images": 16, "data.atelier.num_images": 12, "report.tensorboard": False, "model.generator.width": 4,
         "metrics": ("psnr",), "damage.kinds": ("gaussian", "holes"), "damage.chance": 1.0}
    )  # fmt: skip
    train(config.copy_and_resolve_references(), tmp_path)
    saved = ganjax.load(tmp_path).config
    assert saved.task == "restore"
    dataset = task.of(saved).open(saved)
    assert dataset.tables.keys() == {"b"}
    rows = np.arange(4)
    damaged = restore.damaged_images(saved, dataset.target, rows)
    np.testing.assert_array_equal(damaged[2:], restore.damaged_images(saved, dataset.target, rows[2:]))
    whole = dataset.target.images[:4, 2:34, 2:34].astype(np.float32) / 127.5 - 1
    assert (np.abs(damaged - whole).mean((1, 2, 3)) > 0.02).all()
    with pytest.raises(UserError, match="damage 'hole' is not known; did you mean 'holes'"):
        train(changed(config, **{"damage.kinds": ("hole",)}), tmp_path / "wrong")
    with pytest.raises(UserError, match="set only --config.data.path=FOLDER"):
        train(changed(config, **{"data.a": "x", "data.b": "y"}), tmp_path / "both")


@pytest.mark.slow
def test_sincut_learns_from_two_files_and_translates_whole_images_and_tiles_alike(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for name in ("photo", "art"):
        small = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8))
        small.resize((160, 120), Image.Resampling.BICUBIC).save(tmp_path / f"{name}.png")
    config = config_of("sincut:debug")
    config.update_from_flattened_dict(
        {"total_images": 16, "report.tensorboard": False, "data.a": str(tmp_path / "photo.png"),
         "data.b": str(tmp_path / "art.png"), "metrics": ("rand_fd", "structure"), "metrics_images": 8}
    )  # fmt: skip
    train(config, tmp_path / "run")
    assert "photo.png and " in (tmp_path / "run" / "report.html").read_text()
    run, photo = ganjax.load(tmp_path / "run"), Image.open(tmp_path / "photo.png")
    monkeypatch.setattr(tiles, "TILE", 128)
    whole, parts = (np.asarray(run(photo, tile=tile), int) for tile in ("whole", "fast"))
    # Without norms, the pixels of a tile depend only on the tile's input.
    assert whole.shape == (120, 160, 3) and np.abs(whole - parts)[:112].max() <= 1
    with pytest.raises(UserError, match="--tile=exact is for residual generators"):
        run(photo, tile="exact")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cyclegan", "pix2pix"])
def test_a_run_from_before_a_key_was_known_goes_on_and_translates(name, tmp_path):
    config = config_of(f"{name}:debug")
    config.update_from_flattened_dict(
        {"total_images": 8, "schedule_images": 16, "data.atelier.num_images": 8, "report.tensorboard": False,
         "model.generator.width": 4, "model.discriminator.width": 4}
    )  # fmt: skip
    train(config.copy_and_resolve_references(), tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    for key in ("content", "content_kind", "feature_matching"):
        saved["loss"].pop(key, None)
    del saved["data"]["windows"]
    (tmp_path / "config.json").write_text(json.dumps(saved))
    (file,) = tmp_path.glob("checkpoints/*/meta/metadata")
    metadata = json.loads(file.read_text())
    del metadata["checksum"]
    for key in ("loss.content", "loss.content_kind", "loss.feature_matching", "data.windows"):
        metadata["config"].pop(key, None)
    file.write_text(json.dumps(meta.seal(metadata)))
    assert ganjax.load(tmp_path)(np.zeros((32, 32, 3), np.uint8)).shape == (32, 32, 3)
    config.total_images = 16
    assert int(train(config, tmp_path).step) == 8
