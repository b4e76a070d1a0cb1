"""What is seen inside a generator: strips and loops, tables of styles, directions that people may rename."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from running import launch

import ganjax
from ganjax.data import metadata
from ganjax.errors import UserError
from ganjax.inference import directions, inside, video_colour
from ganjax.inference.latents import Direction, Space

CELL, GAP, LINE = 64, 2, 22  # of sheets: `ganjax.report.grid`


@pytest.fixture
def run(styled_run, tmp_path):
    """A copy of the run, in which a test may write."""
    return shutil.copytree(styled_run, tmp_path / "copied")


@pytest.fixture(scope="module")
def space(styled_run):
    return Space(ganjax.load(styled_run))


def cells(path, columns):
    """Return the images of a sheet of one block, uint8 (N, 64, 64, 3)."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture)[LINE + GAP :, GAP:]
    rows = pixels.shape[0] // (CELL + GAP)
    tops, lefts = (range(0, count * (CELL + GAP), CELL + GAP) for count in (rows, columns))
    return np.stack([pixels[top : top + CELL, left : left + CELL] for top in tops for left in lefts])


def shown(images):
    """Return images in [-1, 1] as a sheet shows them."""
    return np.clip(np.round((images + 1) * 127.5), 0, 255).astype(np.uint8).repeat(4, 1).repeat(4, 2)


def test_a_strip_goes_from_the_first_image_to_the_last(space, tmp_path):
    codes = inside.stops(space, "3,1")
    file = inside.path(space, codes, ["3", "1"], 4, tmp_path / "strip.png", {"software": "ganjax"})
    strip, drawn = cells(file, 5), shown(space.render(space.draw(4)))
    assert len(strip) == 5
    np.testing.assert_array_equal(strip[0], drawn[3])
    assert np.abs(strip[4].astype(int) - drawn[1]).max() <= 1
    with Image.open(file) as picture:
        assert metadata.record_of(picture.info) == {"software": "ganjax"}
    with pytest.raises(UserError, match="at least two"):
        inside.path(space, codes[:1], ["3"], 4, tmp_path / "one.png", {})


def test_loops_are_animations_with_their_settings(space, tmp_path):
    codes, record = inside.stops(space, "0,1,2"), {"software": "ganjax", "seed": 0}
    with Image.open(inside.path(space, codes, "012", 3, tmp_path / "loop.gif", record)) as loop:
        assert (loop.n_frames, loop.info["loop"], loop.size) == (9, 0, (256, 256))
        assert json.loads(loop.info["comment"]) == record
    av = pytest.importorskip("av")
    with av.open(str(inside.path(space, codes, "012", 3, tmp_path / "loop.mp4", record))) as video:
        assert len(list(video.decode(video=0))) == 9
        assert json.loads(video.metadata["comment"]) == record


@pytest.mark.parametrize("height", [512, 768])  # players take untagged videos from 720 rows on for BT.709
def test_the_colours_of_a_video_are_those_of_its_images(tmp_path, height):
    av = pytest.importorskip("av")
    colours = np.array([[200, 60, 40], [30, 90, 200], [250, 250, 250], [10, 10, 10]])
    image = np.broadcast_to(colours.repeat(height // 4, 0)[:, None], (height, 256, 3))
    file = inside.animation(iter([image[None] / 127.5 - 1]), tmp_path / "flat.mp4", {})
    with av.open(str(file)) as video:
        frame = next(video.decode(video=0))
    assert int(frame.colorspace) == video_colour.BT709
    decoded = np.asarray(video_colour.to_image(frame, video_colour.of_frame(frame, "flat")), float)
    for i, colour in enumerate(colours):
        assert np.abs(decoded[height // 4 * i + height // 8, 128] - colour).max() <= 3


def test_stops_may_be_of_other_classes(space):
    label = space.model.labels.classes[1]
    codes = inside.stops(space, f"2,2@{label}")
    assert list(codes.label[1]) == list(space.model.labels.parse(label))
    np.testing.assert_array_equal(codes.values[0], space.draw(3).values[2])
    assert list(inside.stops(space, "2", label=label).label[0]) == list(codes.label[1])
    np.testing.assert_array_equal(inside.stops(space, "70").values[0], space.draw(71).values[70])
    for wrong, message in (("a", "write numbers"), ("-1", "write numbers"), ("1,", "write numbers"), ("1@x", "'x'")):
        with pytest.raises(UserError, match=message):
            inside.stops(space, wrong)


def test_a_table_shows_each_row_in_the_style_of_each_column(space, tmp_path):
    rows, columns = space.draw(5)[:2], space.draw(5)[2:]
    file = inside.mixtures(space, rows, columns, 2, tmp_path / "mix.png", {})
    table, drawn = cells(file, 4), shown(space.render(space.draw(5)))
    assert len(table) == 12
    for cell, image in zip(table[[1, 2, 3, 4, 8]], drawn[[2, 3, 4, 0, 1]], strict=True):
        assert np.abs(cell.astype(int) - image).max() <= 1
    mixed = space.mixed(space.draw(2), space.draw(5)[2:], 2)
    assert np.abs(table[11].astype(int) - shown(space.render(mixed))[5]).max() <= 1
    with pytest.raises(UserError, match="--layer="):
        inside.mixtures(space, rows, columns, space.layers, tmp_path / "x.png", {})


def test_directions_keep_the_names_that_people_give_them(space, tmp_path):
    file, found = tmp_path / "directions.json", directions.principal(space, 3)
    directions.write(file, found, "abc", 7)
    content = json.loads(file.read_text())
    content["directions"][1] |= {"name": "sun", "layers": [1, 2]}
    file.write_text("\ufeff" + json.dumps(content), encoding="utf-8")
    read = directions.read(file, space, "abc")
    np.testing.assert_array_equal(read[1].vector, found[1].vector)
    assert read[1]._replace(vector=None) == Direction("sun", None, found[1].deviation, (1, 2))
    moves = directions.parse("sun:-1.5,2:+3", read)
    assert [(direction.name, amount) for direction, amount in moves] == [("sun", -1.5), ("pca2", 3.0)]
    for wrong in ("sun", "sun:", ":1", "sun:nan", "sun:101", "9:1", "moon:1", "1:2;3:4", ""):
        with pytest.raises(UserError, match="--move="):
            directions.parse(wrong, read)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vector": [1.0]}, "finite numbers"),
        ({"vector": [float("nan")] * 8}, "finite numbers"),
        ({"layers": [0, 99]}, "must lie in"),
        ({"layers": 3}, "not hold directions"),
        ({"layers": [0, float("inf")]}, "not hold directions"),
        ({"name": "a:b"}, "without ':'"),
        ({"name": "3"}, "no number"),
        ({"deviation": float("nan")}, "finite number"),
        ({"name": "pca1"}, "twice"),
        (None, "not hold directions"),
    ],
)
def test_a_spoilt_file_of_directions_says_what_is_wrong(space, tmp_path, change, message):
    file = tmp_path / "directions.json"
    directions.write(file, directions.principal(space, 2), "abc", 7)
    content = json.loads(file.read_text())
    content["directions"][0] = {**content["directions"][0], **change} if change else []
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match=message):
        directions.read(file, space, "abc")


def test_directions_of_other_weights_are_refused(space, tmp_path):
    directions.write(tmp_path / "d.json", directions.of_weights(space, 2), "abc", 7)
    with pytest.raises(UserError, match="another checkpoint: set --step=7, or find new"):
        directions.read(tmp_path / "d.json", space, "abd")
    with pytest.raises(UserError, match="no such file"):
        directions.read(tmp_path / "none.json", space, "abc")


@pytest.mark.slow  # eleven processes
def test_the_commands(run, tmp_path):
    def sample(*flags):
        done = launch("sample", f"--workdir={run}", *flags)
        assert "Traceback" not in done.stdout
        return done.returncode, done.stdout

    strips = tmp_path / "strips.png"
    assert sample("--directions=2", f"--out={strips}")[0] == 0
    assert (run / "directions.json").exists() and strips.exists()
    code, message = sample("--directions=2", f"--out={tmp_path / 'again.png'}")
    assert code == 1 and "perhaps with names of yours" in message
    before = (run / "directions.json").read_text()
    assert sample("--directions=2", "--by=weights", "--overwrite", f"--out={strips}")[0] == 0
    assert (run / "directions-1.json").read_text() == before != (run / "directions.json").read_text()
    assert sample("--move=0:+2", "--num=2", "--truncation=0.5", f"--out={tmp_path / 'out'}")[0] == 0
    with Image.open(tmp_path / "out" / "0-00000.png") as picture:
        record = metadata.record_of(picture.info)
    assert (record["truncation"], record["move"]) == (0.5, "0:+2")
    code, message = sample("--num=2", f"--out={tmp_path / 'out'}")  # as drawn
    assert code == 1 and "exists already" in message
    for flags, message in (
        (["--mix=0:1", "--interpolate=0,1", f"--out={tmp_path / 'a.png'}"], "choose one of them"),
        (["--mix=0:1", f"--out={tmp_path / 'a.gif'}"], "give the name of a picture"),
        (["--mix=0", f"--out={tmp_path / 'a.png'}"], "ROWS:COLUMNS"),
        (["--mix=0:1", "--num=3", f"--out={tmp_path / 'a.png'}"], "--num goes with plain samples only"),
        (["--layer=3", f"--out={tmp_path / 'a'}"], "--layer goes with --mix only"),
        (["--codes=3", f"--out={tmp_path / 'a.png'}"], "cannot be read"),
        (["--mix=0:1", f"--out={strips}"], "exists already"),
        (["--move=sun:1", f"--out={tmp_path / 'b'}"], "no direction 'sun'"),
    ):
        code, text = sample(*flags)
        assert code == 1 and message in text, text
