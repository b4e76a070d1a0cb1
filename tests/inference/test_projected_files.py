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
from ganjax.inference import codes_file, inside, projected_files
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
    np.testing.assert_allclose(stops.values[0] - codes.values[0], np.eye(space.size)[[0] * space.layers] * 3, atol=1e-5)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros(3, np.float32)}, "holds no codes"),
        ({"values": np.zeros((1, 2, 3), np.float32)}, "has codes of 2 x 3 numbers, and this run 6 x 8"),
        ({"values": np.full((1, 6, 8), np.nan, np.float32)}, "holds no codes"),
        ({"values": np.zeros((1, 6, 8), np.float32)}, "labels differ"),
        ({"values": np.zeros((1, 6, 8), np.float32), "label": np.full((1, 1), 9, np.int32)}, "labels differ"),
    ],
)
def test_a_foreign_file_of_codes_is_refused(space, tmp_path, arrays, message):
    safetensors.numpy.save_file(arrays, tmp_path / "x.safetensors")
    with pytest.raises(UserError, match=message):
        codes_file.read(tmp_path / "x.safetensors", space)


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
    names = ["a-way.png", "a.png", "a.safetensors", "b-way.png", "b.png", "b.safetensors", "sheet.png"]
    assert sorted(path.name for path in out.iterdir()) == names
    with Image.open(out / "a.png") as image:
        assert image.size == (16, 16) and metadata.record_of(image.info)["picture"] == "a.png"
    before = (out / "a.safetensors").read_bytes()
    done = launch("project", f"--workdir={run}", f"--image={pictures / 'a.png'}", f"--out={out}", "--steps=10")
    assert done.returncode == 0 and (out / "a.safetensors").read_bytes() == before
    files = f"{out / 'a.safetensors'},{out / 'b.safetensors'}"
    for flag, file in (("interpolate", "morph.gif"), ("codes", "both.png"), ("mix", "mixed.png")):
        text = files.replace(",", ":") if flag == "mix" else files
        done = launch("sample", f"--workdir={run}", f"--{flag}={text}", "--frames=3", f"--out={tmp_path / file}")
        assert done.returncode == 0 and (tmp_path / file).exists(), done.stdout


def test_a_wrong_picture_is_refused_by_the_flags_name(space, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("no picture")
    with pytest.raises(UserError, match="^--image: .*none.png does not exist"):
        projected_files.targets(str(tmp_path / "none.png"), space)
    with pytest.raises(UserError, match="^--image: .*holds no image"):
        projected_files.targets(str(text), space)
