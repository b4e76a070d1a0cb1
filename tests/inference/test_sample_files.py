"""The files of `launch.py sample`: complete, with a record of their origin, and not overwritten by another run."""

from types import SimpleNamespace

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from ganjax.data import metadata
from ganjax.data.labels import Labels
from ganjax.errors import UserError
from ganjax.inference import provenance, sample_files


def model(step=5, weights=1, classes=()):
    """Return a stand-in for a loaded run: its samples are flat images of level seed / 10."""

    def sample(num, seed, progress, label, size=None):
        return np.full((num, 8, 8, 3), seed / 10, np.float32)

    def chunks(num, seed, progress, label, size=None):
        for start in range(0, num, 2):
            yield sample(min(2, num - start), seed, progress, label)

    labels = Labels(classes, (1,) * len(classes), (classes,), np.arange(len(classes))[:, None], "") if classes else None
    meta = {"step": step, "images": 80, "crc32_ema": {"w": weights}}
    return SimpleNamespace(config=ConfigDict({"a": 1}), meta=meta, labels=labels, sample=sample, chunks=chunks)


def test_images_say_what_drew_them_and_the_same_again_is_fine(tmp_path):
    out = tmp_path / "out"
    paths = sample_files.write(model(), tmp_path / "run", out, 3, seed=2)
    assert [path.name for path in paths] == [f"2-{i:05d}.png" for i in range(3)]
    with Image.open(paths[0]) as image:
        record = metadata.record_of(image.info)
        assert image.getpixel((0, 0)) == (153,) * 3
    assert {name: record[name] for name in ("run", "step", "seed", "method")} == {
        "run": "run", "step": 5, "seed": 2, "method": "sample"}  # fmt: skip
    assert record["software"].startswith("ganjax ") and len(record["weights"]) == len(record["config"]) == 64
    before = paths[0].read_bytes()
    sample_files.write(model(), tmp_path / "run", out, 5, seed=2)
    assert len(list(out.iterdir())) == 5 and paths[0].read_bytes() == before
    sample_files.write(model(step=6), tmp_path / "run", out, 2, seed=3)  # another seed has other names
    (grid,) = sample_files.write(model(), tmp_path / "run", out, 2, as_grid=True)
    with Image.open(grid) as image:
        assert (grid.name, metadata.record_of(image.info)["method"]) == ("grid.png", "grid")


@pytest.mark.parametrize(
    ("change", "run", "origin"),
    [
        ({"step": 6}, "run", "of run run, step 5, seed 0"),
        ({"weights": 2}, "run", "of run run, step 5, seed 0"),  # retrained under the same name
        ({}, "other", "of run run, step 5, seed 0"),
    ],
)
@pytest.mark.parametrize("as_grid", [True, False])
def test_what_another_run_drew_is_not_replaced_unasked(tmp_path, change, run, origin, as_grid, caplog):
    out, settings = tmp_path / "out", {"as_grid": as_grid}
    first = sample_files.write(model(), tmp_path / "run", out, 3, **settings)[0].read_bytes()
    with pytest.raises(UserError, match=f"(00000|grid).png exists already, {origin}: set --overwrite or choose"):
        sample_files.write(model(**change), tmp_path / run, out, 2, **settings)
    assert (
        sample_files.write(model(**change), tmp_path / run, out, 2, **settings, overwrite=True)[0].read_bytes() != first
    )
    assert as_grid or "1 images of another origin are beside the new ones, the first is " in caplog.text


def test_a_file_of_unknown_origin_is_not_replaced_unasked(tmp_path):
    (tmp_path / "0-00001.png").write_bytes(b"mine")
    with pytest.raises(UserError, match="0-00001.png exists already, of unknown origin"):
        sample_files.write(model(), "run", tmp_path, 2)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("mine", {"num": 2}, "--out=.*/mine: .*/mine is a file; give a folder"),
        ("mine", {"num": 1}, "--out=.*/mine: .*/mine is a file; give a folder"),
        ("mine/a/b", {"num": 2}, "--out=.*/mine/a/b: .*/mine is a file; give a folder"),
        ("mine/a.png", {"num": 1}, "--out=.*/mine/a.png: .*/mine is a file; give a folder"),
        ("mine.png", {"num": 2}, "--out=.*/mine.png: .*/mine.png is a file; give a folder"),
        ("mine.png", {"num": 1}, "mine.png exists already, of unknown origin"),
        ("new.png", {"num": 2}, "is the name of a picture: give a folder, or set --grid or --num=1"),
        ("new.gif", {"num": 2, "as_grid": True}, "is the name of a picture: give a folder, or end in .png"),
        ("n" * 300, {"num": 2}, "--out=.*/n*/0-00000.png cannot be written: File name too long"),
    ],
)
def test_an_output_that_cannot_be_is_said_before_any_work(tmp_path, name, settings, message):
    for there in ("mine", "mine.png"):
        (tmp_path / there).write_bytes(b"mine")
    idle = model()
    idle.sample = idle.chunks = lambda *_, **__: pytest.fail("drawn")
    with pytest.raises(UserError, match=message):
        sample_files.write(idle, "run", tmp_path / name, **settings)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mine", "mine.png"]


@pytest.mark.parametrize(("name", "kind"), [("g.png", "PNG"), ("a/g.JPG", "JPEG"), ("g.webp", "WEBP")])
@pytest.mark.parametrize("settings", [{"num": 2, "as_grid": True}, {"num": 1}])
def test_one_picture_may_have_a_name_and_a_format(tmp_path, name, kind, settings):
    for _ in range(2):
        (path,) = sample_files.write(model(classes=("a", "b")), "run", tmp_path / name, seed=2, **settings)
        with Image.open(path) as image:
            assert (path, image.format) == (tmp_path / name, kind)
            assert metadata.record_of(image.info)["seed"] == 2
    (tmp_path / "folder.png").mkdir()
    (path,) = sample_files.write(model(), "run", tmp_path / "folder.png", **settings)
    assert path.parent == tmp_path / "folder.png"


def test_each_chunk_is_written_before_the_next_is_drawn(tmp_path):
    counts = []

    def chunks(num, seed, progress, label, size=None):
        for level in (0.0, 0.5, 1.0):
            counts.append(len(list(tmp_path.glob("*.png"))))
            yield np.full((2, 8, 8, 3), level, np.float32)

    run = model()
    run.chunks = chunks
    paths = sample_files.write(run, "run", tmp_path, 6)
    assert counts == [0, 2, 4]
    assert [Image.open(path).getpixel((0, 0))[0] for path in paths] == [128, 128, 191, 191, 255, 255]


def test_folders_of_classes_are_safe_names_within_the_output(tmp_path):
    classes = ("../../evil", "/etc", "a/b", "a-b", "M\udcfcller")
    paths = sample_files.write(model(classes=classes), "run", tmp_path / "out", 1, label="all")
    assert len(set(paths)) == 5 and all(path.parent.parent == tmp_path / "out" for path in paths)
    with Image.open(paths[0]) as image:
        assert metadata.record_of(image.info)["label"] == "../../evil"
    (grid,) = sample_files.write(model(classes=classes), "run", tmp_path, 1, label="all", as_grid=True)
    assert grid.exists()


@pytest.mark.parametrize("text", ["{", "[1]", "3", "", "[" * 9999])
def test_a_damaged_record_is_none(text, tmp_path):
    image = Image.new("L", (1, 1))
    image.info["ganjax"] = text
    assert metadata.record_of(image.info) is None
    image.info["ganjax"] = b"\xff"
    assert metadata.record_of(image.info) is None


def test_a_record_holds_what_is_known():
    assert list(provenance.record(run="a", label=None, seed=0)) == ["software", "run", "seed"]
