import numpy as np
import pytest

from ganjax.metrics.statistics import swd


def noise(n, size, seed):
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), np.uint8)


def test_sliced_distance_of_a_shift_is_the_mean_projection_of_it():
    # Between a cloud and itself shifted by t, every 1-D distance is |t . u|; the mean over unit u in 2-D is 2 |t| / pi.
    cloud = np.random.default_rng(0).standard_normal((50, 2)).astype(np.float32)
    shift = np.array([3.0, 4.0], np.float32)
    assert swd.sliced(cloud, cloud + shift, np.random.default_rng(1)) == pytest.approx(5 * 2 / np.pi, rel=0.05)
    assert swd.sliced(cloud, cloud[::-1].copy(), np.random.default_rng(1)) == pytest.approx(0, abs=1e-6)


def test_levels_go_down_to_16_pixels():
    assert list(swd.compute(noise(8, 64, 0), noise(8, 64, 1))["levels"]) == ["64", "32", "16"]
    assert list(swd.compute(noise(8, 28, 0), noise(8, 28, 1))["levels"]) == ["28"]


def test_the_laplacian_pyramid_adds_up_to_the_image():
    images = noise(2, 64, 0)
    levels = swd._pyramid(images)
    rebuilt = levels[-1]
    for level in reversed(levels[:-1]):
        rebuilt = level + swd._up(rebuilt, level.shape)
    np.testing.assert_allclose(rebuilt, images, atol=1e-3)


def test_a_set_is_nearer_to_its_like_than_to_another_kind():
    flat = np.broadcast_to(noise(64, 1, 2), (64, 32, 32, 3)) // 2 + noise(64, 32, 3) // 8
    like = swd.compute(noise(64, 32, 0), noise(64, 32, 1))
    other = swd.compute(noise(64, 32, 0), flat.astype(np.uint8))
    assert like["value"] * 3 < other["value"]
    assert like == swd.compute(noise(64, 32, 0), noise(64, 32, 1))
