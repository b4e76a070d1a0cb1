"""`launch.py project`: codes of pictures, kept in files that `sample` edits, mixes and morphs."""

import shutil

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image
from running import launch

import ganjax
from ganjax.data import metadata
from ganjax.errors import UserError
from ganjax.inference import codes_file, inside, projected_files, projection
from ganjax.inference.latents import Direction, Space


@pytest.fixture
def run(styled_run, tmp_path):
    """A copy of the run, in which a test may write."""
    return shutil.copytree(styled_run, tmp_path / "copied")


@pytest.fixture(scope="module")
def space(styled_run):
    return Space(ganjax.load(styled_run))


def test_codes_come_back_from_their_file_and_are_moved(space, tmp_path):
    file, codes = tmp_path / "a.safetensors", space.draw(1, seed=3)
    codes_file.write(file, codes, {"software": "ganjax"})
    read = codes_file.read(file, space)
    np.testing.assert_array_equal(read.values, codes.values)
    np.testing.assert_array_equal(read.label, codes.label)
    direction = Direction("a", np.eye(space.size, dtype=np.float32)[0], 2.0, (0, space.layers))
    edited = Space(space.model, psi=0.5, moves=[(direction, 1.5)])
    stops = inside.stops(edited, f"{file},0")
    calm = space.mean() + 0.5 * (codes.values[0] - space.mean())
    np.testing.assert_allclose(stops.values[0] - calm, np.eye(space.size)[[0] * space.layers] * 3, atol=1e-5)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros(3, np.float32)}, "holds no code"),
        ({"values": np.zeros((1, 2, 3), np.float32)}, "has codes of 2 x 3 numbers, and this run 6 x 8"),
        ({"values": np.zeros((2, 6, 8), np.float32)}, "holds no code"),
        ({"values": np.zeros((0, 6, 8), np.float32)}, "holds no code"),
        ({"values": np.full((1, 6, 8), np.nan, np.float32)}, "not finite"),
        ({"values": np.full((1, 6, 8), 1e300)}, "not finite"),
        ({"values": np.zeros((1, 6, 8), np.float32)}, "labels differ"),
        ({"values": np.zeros((1, 6, 8), np.float32), "label": np.full((1, 1), 9, np.int32)}, "labels differ"),
    ],
)
def test_a_foreign_file_of_codes_is_refused(space, tmp_path, arrays, message):
    safetensors.numpy.save_file(arrays, tmp_path / "x.safetensors")
    with pytest.raises(UserError, match=message):
        codes_file.read(tmp_path / "x.safetensors", space)


class Guess:
    """A projector that finds the same code for every picture."""

    def __init__(self, space):
        self.space, self.calls = space, 0

    def __call__(self, target, starts, seed, progress):
        self.calls += 1
        code = self.space.draw(1, seed)
        image = self.space.render(code)[0]
        return projection.Projection(code, image, np.ones(11), np.stack([image] * 11))


RECORD = {"software": "ganjax", "run": "a", "weights": "abc", "method": "project", "seed": 0, "plus": False}


@pytest.fixture
def pictures(tmp_path):
    """A folder of three pictures with names that could meet."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, name in enumerate(("a, b.png", "a- b.jpg", "sheet.png")):
        Image.new("RGB", (20, 30), (80 * i, 0, 0)).save(folder / name)
    return folder


def test_results_are_kept_and_no_picture_is_lost(space, pictures, tmp_path):
    source, guess, out = projected_files.source(str(pictures), space), Guess(space), tmp_path / "out"
    paths = projected_files.write(guess, source, out, RECORD)
    assert sorted(path.name for path in paths) == ["a- b-2.safetensors", "a- b.safetensors", "sheet-2.safetensors"]
    assert len(list(out.glob("*.png"))) == 4 and len(list(out.glob("ways/*.png"))) == 3 == guess.calls
    with Image.open(out / "sheet.png") as sheet:
        before = np.asarray(sheet)
    paths[0].unlink()  # as if it had been stopped
    projected_files.write(guess, source, out, {**RECORD, "run": "b", "software": "newer"})
    with Image.open(out / "sheet.png") as sheet:
        np.testing.assert_array_equal(before, np.asarray(sheet))
    assert guess.calls == 4
    with pytest.raises(UserError, match=r"found with other settings \(plus\): set --overwrite"):
        projected_files.write(guess, source, out, {**RECORD, "plus": True})
    Image.new("RGB", (20, 30), (0, 0, 99)).save(pictures / "sheet.png")
    with pytest.raises(UserError, match=r"sheet-2.safetensors is of another picture: set --overwrite"):
        projected_files.write(guess, source, out, RECORD)
    projected_files.write(guess, source, out, {**RECORD, "plus": True}, overwrite=True)
    assert guess.calls == 7


@pytest.mark.parametrize("overwrite", [False, True])
def test_pictures_of_others_are_never_replaced(space, pictures, overwrite):
    guess, before = Guess(space), {path.name: path.read_bytes() for path in pictures.iterdir()}
    source = projected_files.source(str(pictures / "sheet.png"), space)
    with pytest.raises(UserError, match=r"sheet.png exists, and is no result of `project`: choose another --out"):
        projected_files.write(guess, source, pictures, RECORD, overwrite=overwrite)
    assert {path.name: path.read_bytes() for path in pictures.iterdir()} == before and guess.calls == 0


@pytest.mark.slow  # five processes, two of which search
def test_the_commands(run, space, tmp_path):
    pictures, out = tmp_path / "pictures", tmp_path / "codes"
    pictures.mkdir()
    drawn = np.clip(np.round((space.render(space.draw(2, seed=7)) + 1) * 127.5), 0, 255).astype(np.uint8)
    for name, pixels in zip("ab", drawn, strict=True):
        Image.fromarray(pixels).save(pictures / f"{name}.png")
    (pictures / "broken.png").write_bytes(b"no picture")
    done = launch("project", f"--workdir={run}", f"--folder={pictures}", f"--out={out}", "--steps=20")
    assert done.returncode == 0 and "codes of 2 pictures" in done.stdout, done.stdout
    assert "left out: broken.png" in done.stdout
    names = ["a.png", "a.safetensors", "b.png", "b.safetensors", "sheet.png", "ways"]
    assert sorted(path.name for path in out.iterdir()) == names
    with Image.open(out / "a.png") as image:
        assert image.size == (16, 16) and metadata.record_of(image.info)["picture"] == "a.png"
    before = (out / "a.safetensors").read_bytes()
    done = launch("project", f"--workdir={run}", f"--image={pictures / 'a.png'}", f"--out={out}", "--steps=10")
    assert done.returncode == 1 and "found with other settings (steps)" in done.stdout
    done = launch("project", f"--workdir={run}", f"--folder={pictures}", f"--out={pictures / 'codes'}")
    assert done.returncode == 1 and "(--folder): files written there would be taken for images of it" in done.stdout
    done = launch("project", f"--workdir={run}", f"--image={pictures / 'a.png'}", f"--out={out}", "--steps=20")
    assert done.returncode == 0 and (out / "a.safetensors").read_bytes() == before
    files = f"{out / 'a.safetensors'},{out / 'b.safetensors'}"
    for flag, file in (("interpolate", "morph.gif"), ("codes", "both.png"), ("mix", "mixed.png")):
        text = files.replace(",", ":") if flag == "mix" else files
        done = launch("sample", f"--workdir={run}", f"--{flag}={text}", f"--out={tmp_path / file}")
        assert done.returncode == 0 and (tmp_path / file).exists(), done.stdout


def test_a_wrong_picture_is_refused_by_the_flags_name(space, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("no picture")
    with pytest.raises(UserError, match="^--image: .*none.png does not exist"):
        projected_files.source(str(tmp_path / "none.png"), space)
    with pytest.raises(UserError, match="^--image: .*holds no image"):
        projected_files.source(str(text), space)
