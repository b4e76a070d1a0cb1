"""Images with alpha, shown as RGB."""

import jax.numpy as jnp
import numpy as np
import pytest

from ganjax.ops.alpha import on_board, on_white

RED = np.array([1.0, -1.0, -1.0], np.float32)


def image(alpha):
    return np.concatenate([np.broadcast_to(RED, (1, 16, 16, 3)), np.full((1, 16, 16, 1), alpha, np.float32)], -1)


@pytest.mark.parametrize("module", [np, jnp])
def test_what_is_clear_shows_the_board(module):
    opaque, half, clear = (np.asarray(on_board(module.asarray(image(alpha)))) for alpha in (1, 0, -1))
    np.testing.assert_array_equal(opaque, np.broadcast_to(RED, (1, 16, 16, 3)))
    np.testing.assert_array_equal(np.unique(clear), [-0.25, 0.25])
    np.testing.assert_array_equal(clear[0, ::2, ::2, 0], np.where(np.indices((8, 8)).sum(0) % 2, 0.25, -0.25))
    np.testing.assert_allclose(half, (opaque + clear) / 2, atol=1e-7)
    assert half.dtype == np.float32
    grey = np.asarray(on_board(module.asarray(image(1)[..., 3:])))
    np.testing.assert_array_equal(grey, np.ones((1, 16, 16, 3)))


def test_alpha_on_white():
    pixels = np.array([[255, 0, 10, 255], [255, 0, 10, 0], [255, 0, 100, 51]], np.uint8)
    np.testing.assert_array_equal(on_white(pixels), [[255, 0, 10], [255, 255, 255], [255, 204, 224]])
    assert on_white(pixels[:, :3]).base is pixels
