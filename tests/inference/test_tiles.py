"""Translation of images with a trained run, which needs its workdir only: sizes, kinds of images, tiles."""

import shutil

import numpy as np
import pytest
from PIL import Image
from running import ROOT, launch

import ganjax
from ganjax.configs.generate import dcgan
from ganjax.configs.translate import cyclegan
from ganjax.errors import UserError
from ganjax.inference import tiles
from ganjax.training.loop import train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("translate")
    config = cyclegan.get_config("debug")
    config.update_from_flattened_dict({"total_images": 16, "model.generator.width": 4, "model.discriminator.width": 4,
                                       "data.atelier.num_images": 8, "report.tensorboard": False})  # fmt: skip
    train(config, folder / "run")
    shutil.move(folder / "run", folder / "moved")
    return folder / "moved"


@pytest.fixture(scope="module")
def model(run):
    return ganjax.load(run)


def picture(height=40, width=50, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (40, 50), (5, 300)])
def test_any_size_comes_back_at_its_size(model, size):
    assert model(picture(*size)).shape == (*size, 3)


def test_what_comes_back_is_of_the_kind_that_was_given(model):
    pixels = picture()
    output = model(pixels)
    assert output.dtype == np.uint8
    np.testing.assert_array_equal(np.asarray(model(Image.fromarray(pixels))), output)
    assert (model(pixels, direction="ba") != output).any()
    assert model(Image.fromarray(pixels[..., 0])).mode == "RGB"
    for wrong in (pixels[..., :1], pixels[..., 0], pixels / 255, np.zeros((0, 5, 3), np.uint8)):
        with pytest.raises(UserError, match=r"must be uint8 \(H, W, 3\), not"):
            model(wrong)


def test_strength_mixes_and_colours_can_stay(model):
    pixels = picture()
    output = model(pixels)
    np.testing.assert_array_equal(model(pixels, strength=0.0), pixels)
    half = model(pixels, strength=0.5).astype(int)
    assert np.abs(half - (pixels.astype(int) + output) / 2).max() <= 0.5
    smooth = np.asarray(Image.fromarray(picture(4, 5) // 2 + 64).resize((50, 40), Image.Resampling.BICUBIC))
    recoloured = model(smooth, keep_color=True)
    chroma = [np.asarray(Image.fromarray(x).convert("YCbCr"), int)[..., 1:] for x in (smooth, recoloured)]
    assert np.abs(chroma[0] - chroma[1]).mean() < 12 < np.abs(chroma[0] - np.asarray(
        Image.fromarray(model(smooth)).convert("YCbCr"), int)[..., 1:]).mean() + 12  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"direction": "bb"}, "'bb' is not known: this run translates ab and ba"),
        ({"strength": 1.5}, r"strength 1.5 must lie in \[0, 1\]"),
        ({"tile": "slow"}, "'slow' is none of auto, whole, fast, exact"),
    ],
)
def test_wishes_that_cannot_be_are_refused(model, options, message):
    with pytest.raises(UserError, match=message):
        model(picture(), **options)


def test_tiles_blend_without_a_seam_and_cover_every_pixel(model, monkeypatch):
    """With the norms' statistics of the whole image, tiles give the whole image's output within their overlap."""
    monkeypatch.setattr(tiles, "TILE", 128)
    monkeypatch.setattr(tiles, "OVERLAP", 96)
    scene = np.asarray(Image.fromarray(picture(9, 12)).resize((320, 200), Image.Resampling.BICUBIC))
    norms = []

    def statistics(direction, pixels):
        floats = tiles._floats(pixels)[None]
        norms.append(direction.norms(np.pad(floats, ((0, 0), (0, 24), (0, 0), (0, 0)), "reflect")))
        return norms[-1]

    monkeypatch.setattr(tiles, "_statistics", statistics)
    whole, tiled = (model(scene, tile=tile).astype(int) for tile in ("whole", "fast"))
    assert tiled.shape == whole.shape and len(norms) == 1
    assert np.abs(whole - tiled)[:160, :288].max() <= 1  # closer to the sides the padding has an effect
    assert np.abs(whole - tiled).mean() < 1.0


def test_fast_tiles_of_a_long_picture_are_near_the_whole(model, monkeypatch):
    """Statistics come from an image reduced by its area; reduced by its longer side, to 8x128, they were far worse."""
    monkeypatch.setattr(tiles, "TILE", 128)
    scene = np.asarray(Image.fromarray(picture(4, 64)).resize((1024, 64), Image.Resampling.BICUBIC))
    whole, tiled = (model(scene, tile=tile).astype(int) for tile in ("whole", "fast"))
    assert np.abs(whole - tiled).mean() < 6  # 4.7; it was 13.7


def test_layers_on_disk_give_the_whole_image(model):
    whole, layers = (model(picture(70, 90), tile=tile).astype(int) for tile in ("whole", "exact"))
    assert np.abs(whole - layers).max() <= 1


def test_tiles_cover_a_side_with_their_overlap():
    for side in (1, 512, 513, 6000, 4000):
        starts = tiles._starts(side)
        assert starts[0] == 0 and starts[-1] + tiles.TILE >= side
        assert all(start % tiles.STEP == 0 for start in starts)
        total = np.zeros(side)
        for start in starts:
            length = min(tiles.TILE, side - start)
            total[start : start + length] += tiles._fade(start, length, side)
        assert (total > 0).all()


def test_the_command(run, tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    done = launch(
        "translate", f"--workdir={run}", f"--input={tmp_path / 'a.png'}", f"--out={tmp_path / 'out'}", cwd=ROOT
    )
    assert done.returncode == 0 and "1 image in" in done.stdout, done.stdout
    wrong = launch("sample", f"--workdir={run}", f"--out={tmp_path / 'out'}", cwd=ROOT)
    assert wrong.returncode == 1 and "translates images: it cannot draw samples" in wrong.stdout


def test_a_run_that_samples_does_not_translate(tmp_path):
    config = dcgan.get_config("debug")
    config.total_images, config.report.tensorboard = 8, False
    train(config, tmp_path)
    with pytest.raises(UserError, match="draws samples: it cannot translate images"):
        ganjax.load(tmp_path)(picture())
