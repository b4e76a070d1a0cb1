"""Layer by layer on disk, a generator gives what it gives in memory."""

import os

import jax
import numpy as np
import pytest

from ganjax.errors import UserError
from ganjax.inference import streamed
from ganjax.nets import translate


def made(blur, size, blocks=2):
    net = translate.Generator(4, blocks, blur=blur)
    image = jax.random.uniform(jax.random.key(0), (1, *size, 3), minval=-1)
    variables = jax.jit(lambda: net.init(jax.random.key(1), image, train=False))()
    whole = jax.jit(lambda variables: net.apply(variables, image, train=False))(variables)
    params = {"net": variables["params"]} if blur else {"ab": variables["params"], "ba": {}}
    return {"params": params}, np.asarray(image[0]), np.asarray(whole[0])


@pytest.mark.parametrize("blur", [False, True])
@pytest.mark.parametrize("size", [(200, 132), (36, 8)])
def test_it_is_the_whole_image(blur, size, tmp_path, monkeypatch):
    monkeypatch.setattr(streamed.tempfile, "tempdir", str(tmp_path))
    variables, image, whole = made(blur, size)
    np.testing.assert_allclose(streamed.translate(variables, image), whole, atol=1e-5)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_it_is_the_whole_image_at_a_megapixel():
    """Full width, nine blocks: more rounding, and far more pixels in each norm."""
    net = translate.Generator()
    image = jax.random.uniform(jax.random.key(0), (1, 1024, 1024, 3), minval=-1)
    variables = jax.jit(lambda: net.init(jax.random.key(1), image[:, :64, :64], train=False))()
    whole = jax.jit(lambda variables, image: net.apply(variables, image, train=False))(variables, image)
    found = streamed.translate({"params": {"ab": variables["params"], "ba": {}}}, np.asarray(image[0]))
    np.testing.assert_allclose(found, whole[0], atol=1e-4)


def test_another_network_and_a_full_disk_are_told(monkeypatch):
    with pytest.raises(UserError, match="for residual generators .*--tile=fast"):
        streamed.translate({"params": {"down_0": {}}}, np.zeros((8, 8, 3), np.float32))
    variables, image, _ = made(False, (36, 8), 1)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(UserError, match="No space left on device; set TMPDIR"):
        streamed.translate(variables, image)
