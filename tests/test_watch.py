"""The watcher measures each checkpoint of a run once, goes on where it stopped, and says what `evaluate` says."""

import json

import pytest
from PIL import Image
from test_evaluate import small

from ganjax import evaluate, watch
from ganjax.train import train


def test_watching_measures_each_checkpoint_once_and_ends_with_the_run(paintings, tmp_path):
    run = tmp_path / "run"
    train(small(paintings, total_images=32), run)
    waited = []

    def wait(seconds):  # the trainer goes on meanwhile
        waited.append(seconds)
        train(small(paintings, total_images=48), run)

    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "total_images": 48}))
    rows = list(watch.watch(str(run), ("rand_fd", "swd"), 20, wait=wait))
    assert [row["images"] for row in rows] == [16, 32, 48]
    assert len(waited) == 1
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
