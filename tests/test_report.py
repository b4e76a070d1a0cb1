import json
import os

import numpy as np
import pytest

from configs import dcgan
from ganjax import grid, page
from ganjax.errors import NonFinite
from ganjax.report import Report, drop_after, read_rows


@pytest.fixture
def config():
    config = dcgan.get_config("debug")
    config.report.every_images = 16
    config.report.tensorboard = False
    return config


def metrics(value: float) -> dict:
    return {"d_loss": np.float32(value), "g_loss": np.float32(2 * value)}


def test_scalars_are_means_over_the_interval(tmp_path, config):
    report = Report(tmp_path, config, 0, {}, [])
    for step in range(1, 5):
        report.write(step, metrics(step))
    report.flush()
    rows = read_rows(tmp_path / "scalars.jsonl")
    assert [(row["step"], row["images"], row["d_loss"], row["g_loss"]) for row in rows] == [
        (2, 16, 1.5, 3),
        (4, 32, 3.5, 7),
    ]
    assert report.latest["d_loss"] == 3.5


def test_metrics_are_read_one_step_late(tmp_path, config):
    report = Report(tmp_path, config, 0, {}, [])
    report.write(1, metrics(float("nan")))
    with pytest.raises(NonFinite, match="d_loss is nan at step 1"):
        report.write(2, metrics(0.0))


def test_the_metrics_of_several_steps_come_at_once(tmp_path, config):
    report = Report(tmp_path, config, 0, {}, [])
    padded = lambda *values: {"d_loss": np.array(values), "g_loss": np.array(values)}  # noqa: E731
    report.write(2, padded(1.0, 2.0, np.nan), 2)  # the third is of no step
    report.write(3, padded(3.0, 9.0, 9.0), 1)
    report.write(4, metrics(5))
    report.flush()
    rows = read_rows(tmp_path / "scalars.jsonl")
    assert [(row["step"], row["d_loss"]) for row in rows] == [(2, 1.5), (4, 4)]
    report.write(7, padded(0.0, 0.0, np.inf), 3)
    with pytest.raises(NonFinite, match="d_loss is inf at step 7"):
        report.flush()


def test_a_resume_drops_what_came_after_its_step(tmp_path, config):
    (tmp_path / "samples").mkdir()
    for step in (2, 8):
        (tmp_path / "samples" / f"{step}.png").touch()
    lines = [json.dumps({"step": step}) for step in (2, 4, 6)]
    (tmp_path / "scalars.jsonl").write_text("\n".join(lines) + '\n{"step": 8, "d_lo')  # the kill cut the last line
    Report(tmp_path, config, 4, {}, [])
    assert [row["step"] for row in read_rows(tmp_path / "scalars.jsonl")] == [2, 4]
    assert [f.name for f in (tmp_path / "samples").iterdir()] == ["2.png"]


def test_dropping_from_a_file_that_is_not_there_is_no_error(tmp_path):
    drop_after(tmp_path / "none.jsonl", 3)
    assert not os.listdir(tmp_path)


def test_the_page_holds_everything_and_asks_for_nothing(tmp_path, config):
    (tmp_path / "samples").mkdir()
    for step in (0, 10, 20):
        sheet = grid.sheet([("real", np.zeros((4, 32, 32, 3))), ("generated", np.ones((16, 32, 32, 3)))], 4)
        sheet.save(tmp_path / "samples" / f"{step}.png")
    rows = [{"step": s, "images": 8 * s, "d_loss": 1.0, "g_loss": 2.0, "swd": 3.0} for s in range(1, 20)]
    page.write(tmp_path, config, rows, {"device": "<cpu>"}, [("bad & <b>.png", "empty file")])
    text = (tmp_path / "report.html").read_text()
    assert text.count("data:image/webp;base64,") == 3 + 1  # the time line, and the last one shown
    assert "bad &amp; &lt;b&gt;.png" in text
    assert "&lt;cpu&gt;" in text
    assert "<svg" in text
    for reference in ("http-equiv", 'src="http', 'href="http', "url(http", "@import"):
        assert reference not in text


def test_a_sheet_has_a_block_for_each_caption_and_enlarges_small_images():
    sheet = grid.sheet([("a", -np.ones((3, 32, 32, 1))), ("b", np.ones((5, 32, 32, 3)))], 4)
    assert sheet.size == (4 * 66 + 2, 22 + 68 + 22 + 2 * 66 + 2)
    assert sheet.getpixel((10, 30)) == (0, 0, 0)
    assert grid.columns(64) == 8
    assert grid.columns(10) == 4
