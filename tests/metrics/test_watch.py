"""The watcher scores each checkpoint of a run once, resumes after a stop, and gives the same values as `evaluate`."""

import json
from types import SimpleNamespace

import pytest
from blobs import pictures, small
from PIL import Image

from ganjax.configs.translate import cyclegan
from ganjax.data.table import Dataset, Table
from ganjax.metrics import evaluate, watch
from ganjax.recipe import Method
from ganjax.training.loop import train
from ganjax.workdir import run_folder


def blackened(variables, key, inputs):
    return {"image": 0 * inputs["image"]}


@pytest.mark.parametrize("paired", [True, False])
def test_watching_a_run_from_image_to_image_measures_its_translations_once(tmp_path, monkeypatch, paired):
    """A has 6 images: only 6 translations are measured, though 20 are requested."""
    config, polls = cyclegan.get_config("debug"), []
    tables = {name: Table({"image": pictures(6, 6, 36)}, [str(i) for i in range(6)]) for name in "ab"}
    methods = {"translate_ab": Method((), None, blackened)}
    monkeypatch.setattr(run_folder, "read_config", lambda root: config)
    monkeypatch.setattr(watch, "steps", lambda folder: [2, 4] if polls else [2])
    monkeypatch.setattr(watch, "load", lambda path, step: SimpleNamespace(
        config=config, methods=methods, variables=step, meta={"images": 8 * step}))  # fmt: skip
    monkeypatch.setattr(evaluate, "open_data", lambda model, places: Dataset(tables, paired))
    config.total_images, config.batch_size = 32, 8
    names = ("colour", "structure", "modes")  # modes needs labels, and fails each time
    rows = list(watch.watch(str(tmp_path), names, 20, wait=polls.append))
    assert [(row["step"], row["structure"]["n_fake"]) for row in rows] == [(2, 6), (4, 6)] and len(polls) == 1
    assert "error" in rows[0]["modes"]
    assert list(watch.watch(str(tmp_path), names[:2], 20, wait=polls.append)) == []
    comparison = evaluate.comparison_of(watch.load("", 2), 20, {})
    real, options = evaluate.real_side(comparison, evaluate.Options())
    fake = evaluate.generated_side(comparison, 2, 20)
    assert evaluate.score(("structure",), real, fake, options)["structure"] == rows[0]["structure"]


@pytest.mark.slow
def test_watching_measures_each_checkpoint_once_and_ends_with_the_run(paintings, tmp_path):
    run = tmp_path / "run"
    train(small(paintings, total_images=32), run)
    waits = []

    def wait(seconds):  # the trainer resumes while the watcher waits
        waits.append(seconds)
        train(small(paintings, total_images=48), run)

    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "total_images": 48}))
    rows = list(watch.watch(str(run), ("rand_fd", "swd"), 20, wait=wait))
    assert [row["images"] for row in rows] == [16, 32, 48]
    assert len(waits) == 1
    assert list(watch.watch(str(run), ("swd",), 20)) == []
    again = list(watch.watch(str(run), ("msssim",), 20))
    assert [row["images"] for row in again] == [16, 32, 48]
    assert "Metrics, after 48 images" in (run / "report.html").read_text()
    direct = evaluate.workdir(str(run), ("rand_fd",), 20, step=4)["rand_fd"]
    assert direct["value"] == pytest.approx(rows[1]["rand_fd"]["value"], rel=1e-6)
    assert direct["images"] == 32
    several = evaluate.workdir(str(run), ("swd",), 20, seeds=3, sheet=str(tmp_path / "sheet.png"))["swd"]
    assert len(several["values"]) == 3 and several["interval_95"][0] < several["value"] < several["interval_95"][1]
    sheet = Image.open(tmp_path / "sheet.png")
    assert sheet.width == 5 * 66 + 2 and sheet.height > 8 * 66
