"""Images that are read with alpha."""

import numpy as np
import pytest
from PIL import Image

from ganjax.config import file as config_file
from ganjax.config.check import check
from ganjax.data import images
from ganjax.errors import UserError


def saved(path, pixels):
    Image.fromarray(pixels).save(path)
    return path


def test_alpha_is_kept_and_what_is_clear_is_white(tmp_path):
    pixels = np.full((8, 8, 4), (200, 10, 30, 255), np.uint8)
    pixels[:, 4:] = 0  # black, and clear
    read = images.read(saved(tmp_path / "half.png", pixels), channels=4)
    fitted = images.fit(read, 8, 8)
    np.testing.assert_array_equal(fitted[:, :4], pixels[:, :4])
    np.testing.assert_array_equal(fitted[:, 4:], np.broadcast_to((255, 255, 255, 0), (8, 4, 4)))
    smaller = images.fit(read, 2, 2)[..., :3]  # no black from the clear half bleeds into the colours
    np.testing.assert_allclose(smaller[:, 0], np.broadcast_to((200, 10, 30), (2, 3)), atol=2)


@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
def test_images_without_alpha_are_opaque(mode, tmp_path):
    path = saved(tmp_path / "plain.png", np.asarray(Image.new("RGB", (4, 4), (51, 51, 51))))
    with Image.open(path) as image:
        image.convert(mode).save(tmp_path / "mode.png")
    pixels = np.asarray(images.read(tmp_path / "mode.png", channels=4))
    np.testing.assert_array_equal(pixels, np.broadcast_to((51, 51, 51, 255), (4, 4, 4)))


def test_padding_is_clear():
    padded = images.fit(Image.new("RGBA", (8, 4), (9, 9, 9, 255)), 8, 8, "pad")
    assert (padded[0] == (255, 255, 255, 0)).all() and (padded[4] == (9, 9, 9, 255)).all()


def test_translators_refuse_alpha():
    config = config_file.load_file("cyclegan", ["--config.data.channels=4", "--config.data.a=X", "--config.data.b=Y"])
    with pytest.raises(UserError, match="data.channels = 4: cyclegan learns no alpha"):
        check(config)
