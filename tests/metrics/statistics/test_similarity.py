from pathlib import Path

import numpy as np
import pytest
from fixtures.make_similarity import pictures

from ganjax.errors import UserError
from ganjax.metrics.statistics import similarity

PEER = np.load(Path(__file__).parents[2] / "fixtures" / "similarity.npz")  # from torchmetrics, per channel, averaged


def noise(shape, seed):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def flat(*values, size=64):
    return np.stack([np.full((size, size, 3), value, np.float32) for value in values])


def brute_ssim(a, b):
    """Return the SSIM of two planes, computed window by window in float64."""
    offsets = np.arange(11) - 5
    weights = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    weights /= weights.sum()
    values = []
    for top in range(a.shape[0] - 10):
        for left in range(a.shape[1] - 10):
            x, y = (plane[top : top + 11, left : left + 11].astype(np.float64) for plane in (a, b))
            mx, my = (weights * x).sum(), (weights * y).sum()
            vx, vy = (weights * (x - mx) ** 2).sum(), (weights * (y - my) ** 2).sum()
            cov = (weights * (x - mx) * (y - my)).sum()
            c1, c2 = 6.5025, 58.5225
            values.append((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return np.mean(values)


def test_psnr_by_hand():
    a = flat(100, 0, 7)
    np.testing.assert_allclose(similarity.psnr(a, a + 5)[0], 20 * np.log10(255 / 5))
    assert similarity.psnr(flat(0), flat(255))[0] == 0
    assert np.isinf(similarity.psnr(a, a)).all()
    dot = noise((1, 8, 8, 1), 0) // 2
    other = dot.copy()
    other[0, 3, 3, 0] += 100  # unsigned differences must not wrap
    np.testing.assert_allclose(similarity.psnr(dot, other), 10 * np.log10(255**2 / (100**2 / 64)))
    np.testing.assert_allclose(similarity.psnr(other, dot), similarity.psnr(dot, other))


def test_ssim_is_the_formula_window_by_window():
    a, b = (images[:, :14, :17] for images in pictures(40, 56))
    expected = [np.mean([brute_ssim(x[..., c], y[..., c]) for c in range(3)]) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(similarity.ssim(a, b), expected, atol=1e-5)


def test_ssim_and_ms_ssim_are_torchmetrics():
    np.testing.assert_allclose(similarity.ssim(*pictures(40, 56)), PEER["ssim"], atol=1e-5)
    np.testing.assert_allclose(similarity.ms_ssim(*pictures(192, 208)), PEER["ms_ssim"], atol=1e-5)
    assert PEER["ms_ssim"][3] == 0  # negative images: a negative term counts as 0


def test_ms_ssim_is_compare_gans_on_its_three_flat_images():
    # Its test takes images 1, .7 and 0 with L = 255: all but the last luminance term is 1.
    a, b = flat(1, 1, 0.7), flat(0.7, 0, 0)
    assert similarity.ms_ssim(a, b).mean() == pytest.approx(0.989989, abs=1e-3)
    luminance = [((2 * x * y + 6.5025) / (x * x + y * y + 6.5025)) ** 0.1333 for x, y in ((1, 0.7), (1, 0), (0.7, 0))]
    np.testing.assert_allclose(similarity.ms_ssim(a, b), luminance, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 16, 16, 3), (2, 28, 28, 1), (2, 33, 50, 3)])
def test_an_image_is_itself(shape):
    images = noise(shape, 0)
    np.testing.assert_allclose(similarity.ssim(images, images), 1, atol=1e-6)
    np.testing.assert_allclose(similarity.ms_ssim(images, images), 1, atol=1e-6)


def test_chunks_change_nothing(monkeypatch):
    a, b = noise((5, 16, 16, 3), 0), noise((5, 16, 16, 3), 1)
    whole = similarity.ms_ssim(a, b)
    monkeypatch.setattr(similarity, "CHUNK", 2 * a[0].size)
    np.testing.assert_allclose(similarity.ms_ssim(a, b), whole, atol=1e-6)


def test_diversity_of_one_image_is_1_and_of_noise_near_0():
    one = np.broadcast_to(noise((1, 32, 32, 3), 0), (9, 32, 32, 3))
    result = similarity.diversity(one)
    assert result["value"] == pytest.approx(1, abs=1e-6)
    assert (result["pairs"], result["n"]) == (4, 9)
    many = noise((9, 32, 32, 3), 0)
    assert similarity.diversity(many)["value"] < 0.1
    assert similarity.diversity(many, 1) == similarity.diversity(many, 1) != similarity.diversity(many, 2)
    assert similarity.diversity(many, pairs=2)["pairs"] == 2
    assert similarity.diversity(many, pairs=1)["stderr"] is None


def test_standard_error_by_hand():
    # Both groups share the variance (2 * 1 + 2 * 4) / (1 + 1) = 5; each mean is of two values: sqrt(5 (1/2 + 1/2)) / 2.
    groups = [np.array([1.0, 3.0]), np.array([6.0, 2.0])]
    assert similarity._standard_error(groups) == pytest.approx(np.sqrt(5) / 2)


def test_diversity_within_classes_pairs_no_two_classes():
    # Each class is one image, repeated: the images of a pair of one class are equal, those of other pairs are not.
    two = np.stack([noise((32, 32, 3), label) for label in (0, 1) for _ in range(6)])
    labels = np.repeat([0, 1], 6)
    within = similarity.diversity(two, labels=labels)
    assert within["value"] == pytest.approx(1, abs=1e-6)
    assert within["classes"].keys() == {0, 1}
    assert similarity.diversity(two)["value"] < 0.9
    labels[:7] = -1
    assert similarity.diversity(two, labels=labels)["classes"].keys() == {1}


def test_images_that_cannot_be_compared_are_named():
    with pytest.raises(UserError, match="one shape"):
        similarity.ssim(noise((1, 32, 32, 3), 0), noise((1, 32, 33, 3), 0))
    with pytest.raises(UserError, match="11 pixels"):
        similarity.ssim(noise((1, 10, 32, 3), 0), noise((1, 10, 32, 3), 0))
    with pytest.raises(UserError, match="16 pixels"):
        similarity.ms_ssim(noise((1, 15, 32, 3), 0), noise((1, 15, 32, 3), 0))
    with pytest.raises(UserError, match="two images"):
        similarity.diversity(noise((1, 32, 32, 3), 0))
