import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganjax.configs.generate import dcgan
from ganjax.errors import NonFinite, UserError
from ganjax.report import grid, page, run_log
from ganjax.report.run_log import Report
from ganjax.workdir.rows import append, drop_after, read_rows


@pytest.fixture
def config():
    config = dcgan.get_config("debug")
    config.report.every_images = 16
    config.report.tensorboard = False
    return config


def metrics(value: float) -> dict:
    return {"d_loss": np.float32(value), "g_loss": np.float32(2 * value)}


def test_scalars_are_means_over_the_interval(tmp_path, config):
    run_log = Report(tmp_path, config, 0, {}, [])
    for step in range(1, 5):
        run_log.write(step, metrics(step))
    run_log.flush()
    rows = read_rows(tmp_path / "scalars.jsonl")
    assert [(row["step"], row["images"], row["d_loss"], row["g_loss"]) for row in rows] == [
        (2, 16, 1.5, 3),
        (4, 32, 3.5, 7),
    ]
    assert run_log.latest["d_loss"] == 3.5


def test_metrics_are_read_one_step_late(tmp_path, config):
    run_log = Report(tmp_path, config, 0, {}, [])
    run_log.write(1, metrics(float("nan")))
    with pytest.raises(NonFinite, match="d_loss is nan at step 1"):
        run_log.write(2, metrics(0.0))


def test_the_metrics_of_several_steps_come_at_once(tmp_path, config):
    def padded(*values):
        return {"d_loss": np.array(values), "g_loss": np.array(values)}

    run_log = Report(tmp_path, config, 0, {}, [])
    run_log.write(2, padded(1.0, 2.0, np.nan), 2)  # the third value belongs to no step
    run_log.write(3, padded(3.0, 9.0, 9.0), 1)
    run_log.write(4, metrics(5))
    run_log.flush()
    rows = read_rows(tmp_path / "scalars.jsonl")
    assert [(row["step"], row["d_loss"]) for row in rows] == [(2, 1.5), (4, 4)]
    run_log.write(7, padded(0.0, 0.0, np.inf), 3)
    with pytest.raises(NonFinite, match="d_loss is inf at step 7"):
        run_log.flush()


def test_a_resume_drops_what_came_after_its_step(tmp_path, config):
    (tmp_path / "samples").mkdir()
    for step in (2, 8):
        (tmp_path / "samples" / f"{step}.png").touch()
    lines = [json.dumps({"step": step}) for step in (2, 4, 6)]
    (tmp_path / "scalars.jsonl").write_text("\n".join(lines) + '\n{"step": 8, "d_lo')  # a kill cut the last line
    Report(tmp_path, config, 4, {}, [])
    assert [row["step"] for row in read_rows(tmp_path / "scalars.jsonl")] == [2, 4]
    assert [f.name for f in (tmp_path / "samples").iterdir()] == ["2.png"]


def test_a_resume_knows_the_newest_scalars_up_to_its_step(tmp_path, config):
    run = Report(tmp_path, config, 0, {}, [])
    run.scalar(4, {"d_loss": 1.0, "diversity": 0.5})
    run.scalar(6, {"d_loss": 1 / 3})
    before = dict(run.latest)
    run.scalar(8, {"d_loss": 9.0, "swd": 1.0})
    assert Report(tmp_path, config, 6, {}, []).latest == before == {"d_loss": 1 / 3, "diversity": 0.5}


def test_dropping_from_a_file_that_is_not_there_is_no_error(tmp_path):
    drop_after(tmp_path / "none.jsonl", 3)
    assert not os.listdir(tmp_path)


DAMAGED = [b"[1]", b"3", b'{"loss": 1}', b'{"step": "2"}', b'{"step": 2, "images": "x"}', b'{"step": 2, "x": "\xff"}',
           b"[" * 200_000, b'{"step": 2, "swd": {"value": 1' + b"0" * 400 + b"}}", b'{"step": 1' + b"0" * 5000 + b"}",
           b"", b'{"step": 2, "d_lo']  # fmt: skip


def test_damaged_lines_are_left_out_and_logged_once(tmp_path, caplog):
    path, good = tmp_path / "rows.jsonl", [{"step": 1, "images": 8}, {"step": 3, "images": 24, "name": "x"}]
    lines = [json.dumps(row).encode() for row in good]
    path.write_bytes(b"\n".join([lines[0], *DAMAGED, lines[1]]) + b"\n" + DAMAGED[-1])
    assert read_rows(path) == read_rows(path) == good
    assert caplog.text.count("12 damaged line(s) are left out") == 1
    assert read_rows(path, numbers=True) == good[:1]
    append(path, {"step": 5})  # on a line of its own
    assert read_rows(path) == [*good, {"step": 5}]
    drop_after(path, 3)
    assert path.read_text().splitlines() == [line.decode() for line in lines]
    path.unlink()
    path.mkdir()
    assert read_rows(path) == [] and "cannot be read" in caplog.text
    with pytest.raises(UserError, match="rows.jsonl cannot be written: Is a directory"):
        append(path, {})


def test_outputs_that_cannot_be_written_are_logged_once_and_stop_nothing(tmp_path, config, caplog):
    config.report.tensorboard = True
    (tmp_path / "tensorboard").touch()  # a file where the folder should be
    for name in ("samples/8.png", "report.html", "metrics.jsonl"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "metrics.jsonl" / "x").touch()
    with pytest.raises(UserError, match="metrics.jsonl cannot be read"):  # at the start there is nothing to lose
        Report(tmp_path, config, 8, {}, [])
    (tmp_path / "metrics.jsonl" / "x").unlink()
    (tmp_path / "metrics.jsonl").rmdir()
    run = Report(tmp_path, config, 8, {}, [])
    (tmp_path / "scalars.jsonl").mkdir()
    (tmp_path / "metrics.jsonl").mkdir()
    for step in (9, 10):
        run.write(step, metrics(1.0))
        run.flush()
        run.picture(8, Image.new("RGB", (8, 8)), {"diversity": 1.0})
        run.scores(step, {"swd": {"value": 1.0}})
        run.show()
    run.close()
    for what in ("tensorboard/", "scalars.jsonl", "metrics.jsonl", "a sheet of samples", "report.html"):
        assert caplog.text.count(f"{what} is left out, and training goes on") == 1, what
    assert run.latest["d_loss"] == 1.0


def test_files_with_unexpected_names_or_types_do_not_stop_a_resume(tmp_path, config, caplog):
    odd = ("\N{SUPERSCRIPT TWO}.png", "\N{ARABIC-INDIC DIGIT NINE}.png", "09.png", "x.png")
    for name in ("samples/999.png", ".report.json"):
        (tmp_path / name).mkdir(parents=True)
    for name in (*odd, "7.png", "9.png"):
        (tmp_path / "samples" / name).touch()
    Report(tmp_path, config, 8, {}, [])
    assert page.samples(tmp_path) == [tmp_path / "samples" / "7.png"]
    assert {file.name for file in (tmp_path / "samples").iterdir()} == {*odd, "7.png", "999.png"}
    assert ".report.json is left out, and training goes on" in caplog.text
    other = tmp_path / "other"
    other.mkdir()
    (other / "samples").touch()
    run = Report(other, config, 8, {}, [])
    run.picture(8, Image.new("RGB", (8, 8)))
    run.show()
    assert caplog.text.count("a sheet of samples is left out") == 1 and (other / "report.html").exists()


def test_a_log_that_cannot_be_read_keeps_its_rows(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    append(path, {"step": 1})
    before = path.read_bytes()

    def failing(self):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", failing)
        with pytest.raises(UserError, match="rows.jsonl cannot be read: Input/output error; it is unchanged"):
            drop_after(path, 3)
    assert path.read_bytes() == before


def test_a_log_that_cannot_be_cut_refuses_a_start_and_not_a_rollback(tmp_path, config, caplog):
    (tmp_path / "scalars.jsonl").mkdir()
    with pytest.raises(UserError, match="scalars.jsonl cannot be"):
        Report(tmp_path, config, 8, {}, [])
    Report(tmp_path, config, 8, {}, [], rolled_back=True)
    assert "scalars.jsonl is left out, and training goes on" in caplog.text


def test_a_damaged_sheet_is_left_out_of_the_page(tmp_path, config, caplog):
    (tmp_path / "samples").mkdir()
    for step in (0, 10, 20):
        Image.new("RGB", (64, 64)).save(page.sheet(tmp_path, step))
    whole = page.sheet(tmp_path, 10).read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"junk", whole[:40] + b"x" * 60 + whole[100:]):
        page.sheet(tmp_path, 10).write_bytes(damaged)
        page.write(tmp_path, config, [], {}, [])
        assert (tmp_path / "report.html").read_text().count("data:image/webp;base64,") == 2 + 1
    assert "10.png cannot be read" in caplog.text


def test_names_of_files_reach_the_page_as_text(tmp_path, config):
    scores = [{"step": 1, "images": 8, "<b>": {"error": "<i>"}, "x": {"value": 1.0, "better": "<u>"}}]
    facts, skipped = {"data": "/M\udcfcller"}, [("M\udcfcller\n<script>", "damaged")]
    page.write(tmp_path, config, [], facts, skipped, scores)
    text = (tmp_path / "report.html").read_text()
    assert r"M\xfcller\n&lt;script&gt;" in text and r"/M\xfcller" in text
    for tag in ("<b><td>", "<i>", "<u>"):
        assert tag not in text
    run_log.facts_file(tmp_path).write_text("{")
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    run_log.rewrite_page(tmp_path)  # the facts are damaged: the rest is written


def test_the_page_is_complete_and_loads_nothing(tmp_path, config):
    (tmp_path / "samples").mkdir()
    for step in (0, 10, 20):
        sheet = grid.sheet([("real", np.zeros((4, 32, 32, 3))), ("generated", np.ones((16, 32, 32, 3)))], 4)
        sheet.save(tmp_path / "samples" / f"{step}.png")
    rows = [{"step": s, "images": 8 * s, "d_loss": 1.0, "g_loss": 2.0, "swd": 3.0} for s in range(1, 20)]
    page.write(tmp_path, config, rows, {"device": "<cpu>"}, [("bad & <b>.png", "empty file")])
    text = (tmp_path / "report.html").read_text()
    assert text.count("data:image/webp;base64,") == 3 + 1  # the timeline, and the newest sheet
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
