"""Every recipe from noise learns images of any shape: high or wide, grey or with alpha, which its samples keep."""

import numpy as np
import pytest
from PIL import Image
from tiny import TINY, TRANSLATORS, small

import ganjax
from ganjax.config import groups
from ganjax.inference import sample_files
from ganjax.training.loop import train

MODES = {1: "L", 4: "RGBA"}
FROM_NOISE = [name for name in TINY if name not in TRANSLATORS and name not in groups.TASKS]
QUICK = "dcgan"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of 12 images, 24 pixels high and 40 wide: noise, the right half of which is clear."""
    root, numbers = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for channels, mode in MODES.items():
        (root / mode).mkdir()
        for i in range(12):
            image = numbers.integers(0, 256, (24, 40, channels), np.uint8)
            if mode == "RGBA":
                image[..., 3] = np.where(np.arange(40) < 20, 255, 0)
            Image.fromarray(image.squeeze()).save(root / mode / f"{i}.png")
    return root


@pytest.mark.parametrize("channels", MODES)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == QUICK else pytest.mark.slow) for name in FROM_NOISE]
)
def test_images_are_learnt_and_written_in_their_shape(name, channels, folders, tmp_path):
    mode = MODES[channels]
    shape = {"data.resolution": 24, "data.width": 40, "data.channels": channels}
    plain = {"data.labels": False, "condition.kind": "none", "data.attributes": "", "data.balance": 0.0}
    config = small(name, total_images=16, **{**shape, **plain, "data.path": str(folders / mode)})
    train(config, tmp_path / "run")
    paths = sample_files.write(ganjax.load(tmp_path / "run"), tmp_path / "run", tmp_path / "out", 2, 0)
    for path in paths:
        with Image.open(path) as image:
            assert (image.mode, image.size) == (mode, (40, 24))
