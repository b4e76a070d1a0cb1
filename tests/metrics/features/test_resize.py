from pathlib import Path

import jax
import numpy as np
import pytest
from fixtures import random_weights
from PIL import Image

from ganjax.metrics.features import resize

STORED = np.load(Path(__file__).parents[2] / "fixtures" / "resize.npz")  # by make_resize.py
PEERS = {"tf1": resize.tf1_bilinear, "torch": resize.torch_bilinear, "pillow": resize.pillow_bicubic}


def images(name):
    height, width, out = random_weights.RESIZES[name]
    return random_weights.images(1, max(height, width))[:, :height, :width], out


@pytest.mark.parametrize("name", random_weights.RESIZES)
@pytest.mark.parametrize("peer", PEERS)
def test_resized_images_equal_the_peers(peer, name):
    pixels, out = images(name)
    stored = STORED[f"{peer}_{name}"]
    for function in (PEERS[peer], jax.jit(PEERS[peer], static_argnums=(1, 2))):
        y = np.asarray(function(pixels, out, out))
        assert y.dtype == np.float32 and y.shape == (1, out, out, 3)
        np.testing.assert_allclose(y[0, random_weights.ROWS, :, 1], stored, rtol=0, atol=7e-5)


@pytest.mark.parametrize("name", random_weights.RESIZES)
def test_tf1_is_equal_to_the_bit_outside_jit(name):
    pixels, out = images(name)
    y = np.asarray(resize.tf1_bilinear(pixels, out, out))
    np.testing.assert_array_equal(y[0, random_weights.ROWS, :, 1], STORED[f"tf1_{name}"])


@pytest.mark.parametrize("size", [(17, 40), (64, 64), (200, 31)])
def test_bicubic_equals_pillows_of_floats(size):
    pixels = np.random.default_rng(0).uniform(50, 200, (1, *size, 1)).astype(np.float32)
    theirs = Image.fromarray(pixels[0, :, :, 0]).resize((48, 96), Image.Resampling.BICUBIC)
    ours = np.asarray(resize.pillow_bicubic(pixels, 96, 48))
    np.testing.assert_allclose(ours[0, :, :, 0], np.asarray(theirs).clip(0, 255), rtol=0, atol=6e-5)


def test_bicubic_overshoots_are_clipped():
    edge = np.repeat(np.uint8([0, 255]), 8).reshape(1, 1, 16, 1).repeat(16, 1)
    y = np.asarray(resize.pillow_bicubic(edge, 64, 64))
    assert y.min() == 0 and y.max() == 255


@pytest.mark.parametrize("function", PEERS.values())
def test_the_same_size_changes_nothing_and_floats_are_as_bytes(function):
    pixels = random_weights.images(2, 20)
    np.testing.assert_array_equal(function(pixels, 20, 20), pixels)
    np.testing.assert_array_equal(function(pixels.astype(np.float32), 31, 9), function(pixels, 31, 9))


@pytest.mark.parametrize("function", PEERS.values())
def test_other_arrays_are_refused(function):
    for wrong in (np.zeros((4, 4, 3), np.uint8), np.zeros((1, 4, 4, 3), np.int32)):
        with pytest.raises(ValueError, match="images must be"):
            function(wrong, 8, 8)


def test_live_against_pytorch():
    torch = pytest.importorskip("torch")
    pixels = random_weights.images(2, 77)
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    theirs = torch.nn.functional.interpolate(x, size=(299, 150), mode="bilinear", align_corners=False)
    ours = resize.torch_bilinear(pixels, 299, 150)
    np.testing.assert_allclose(ours, theirs.permute(0, 2, 3, 1).numpy(), rtol=0, atol=7e-5)
