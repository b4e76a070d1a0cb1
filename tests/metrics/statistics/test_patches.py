import numpy as np
import pytest

from ganjax.errors import UserError
from ganjax.metrics.statistics import patches

# CIELAB, for D65, of sRGB's primaries and greys, from Lindbloom's calculator.
LAB = {
    (255, 0, 0): (53.2408, 80.0925, 67.2032),
    (0, 255, 0): (87.7347, -86.1827, 83.1793),
    (0, 0, 255): (32.2970, 79.1875, -107.8602),
    (255, 255, 255): (100, 0, 0),
    (128, 128, 128): (53.585, 0, 0),
    (0, 0, 0): (0, 0, 0),
}


def flat(*colours, n=8, size=16):
    return np.concatenate([np.full((n, size, size, 3), colour, np.uint8) for colour in colours])


def noise(n, size, seed, spread=256):
    return np.random.default_rng(seed).integers(128 - spread // 2, 128 + spread // 2, (n, size, size, 3), np.uint8)


def test_lab_of_known_colours():
    np.testing.assert_allclose(patches.lab(np.array(list(LAB), np.uint8)), list(LAB.values()), atol=1e-3)


def test_colour_distance_of_two_flat_sets_is_their_delta_e():
    a, b = (200, 30, 40), (60, 90, 220)
    shift = np.diff(patches.lab(np.array([a, b], np.uint8)), axis=0)[0]
    result = patches.colour(flat(a), flat(b))
    assert result["value"] == pytest.approx(
        np.linalg.norm(shift), rel=0.03
    )  # the mean over 64 directions, not over all
    axes = [result[name] for name in ("lightness", "green_red", "blue_yellow")]
    np.testing.assert_allclose(axes, np.abs(shift))


def test_colour_of_greys_is_the_distance_of_lightness():
    grey = np.random.default_rng(0).integers(0, 200, (20, 16, 16, 1), np.uint8)
    result = patches.colour(grey, grey + 40)
    assert result["green_red"] == pytest.approx(0, abs=1e-9)
    assert result["value"] == pytest.approx(result["lightness"], rel=0.02)


def test_colour_does_not_look_at_places():
    a = noise(40, 16, 0)
    shuffled = a.reshape(40, -1, 3)[:, np.random.default_rng(1).permutation(256)].reshape(a.shape)
    like, other = patches.colour(a, shuffled)["value"], patches.colour(a, noise(40, 16, 2, 64))["value"]
    assert like < 2 < 15 < other


def test_patch_fd_of_two_flat_sets_is_the_squared_difference():
    # There is no variance: |m1 - m2|^2 over 8 x 8 x 3 values is all, at both resolutions.
    result = patches.patch_fd(flat((10, 20, 30)), flat((40, 20, 90)))
    expected = 64 * (30**2 + 60**2) / 255**2
    assert result["value"] == pytest.approx(expected, rel=1e-4)
    assert result["levels"] == {"16": pytest.approx(expected, rel=1e-4), "8": pytest.approx(expected, rel=1e-4)}
    assert result["means"] == pytest.approx(1, abs=1e-4)


def test_patch_fd_of_white_noise_is_that_of_its_spreads():
    # Covariances s^2 I: 192 (s1 - s2)^2; the mean of four pixels has half the spread, so a quarter of it.
    a, b = noise(150, 32, 0, 200), noise(150, 32, 1, 80)
    s = [np.sqrt((spread**2 - 1) / 12) / 255 for spread in (200, 80)]
    expected = 192 * (s[0] - s[1]) ** 2
    result = patches.patch_fd(a, b)
    assert result["levels"]["32"] == pytest.approx(expected, rel=0.05)
    assert result["levels"]["16"] == pytest.approx(expected / 4, rel=0.05)
    assert result["means"] < 0.01
    assert patches.patch_fd(a, noise(150, 32, 2, 200))["value"] < expected / 10


def test_patch_fd_sees_texture_that_colour_does_not():
    a = np.kron(noise(200, 16, 0), np.ones((1, 2, 2, 1), np.uint8))
    shuffled = a.reshape(200, -1, 3)[:, np.random.default_rng(1).permutation(1024)].reshape(a.shape)
    assert patches.patch_fd(a[:100], shuffled[:100])["value"] > 5 * patches.patch_fd(a[:100], a[100:])["value"]


@pytest.mark.parametrize("metric", [patches.patch_fd, patches.colour])
def test_results_follow_the_seed_and_count_the_images(metric):
    a, b = noise(9, 16, 0), noise(6, 16, 1)
    assert metric(a, b, 5) == metric(a, b, 5) != metric(a, b, 6)
    assert (metric(a, b)["n_real"], metric(a, b)["n_fake"]) == (6, 6)


@pytest.mark.parametrize("metric", [patches.patch_fd, patches.colour])
def test_images_that_do_not_fit_are_named(metric):
    with pytest.raises(UserError, match="uint8"):
        metric(noise(2, 16, 0).astype(np.float32), noise(2, 16, 0))
    with pytest.raises(UserError, match="generated ones"):
        metric(noise(2, 16, 0), noise(2, 32, 0))
    with pytest.raises(UserError, match="16 pixels"):
        patches.patch_fd(noise(2, 15, 0), noise(2, 15, 0))
