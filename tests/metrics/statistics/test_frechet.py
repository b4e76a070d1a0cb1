"""Frechet distance: closed forms, the expected values of the peers' own tests, and both algorithms compared."""

import numpy as np
import pytest

from ganjax.errors import UserError
from ganjax.metrics.statistics import frechet


def test_closed_form_of_gaussians():
    identity = frechet.Moments(np.zeros(2048), np.eye(2048), 10)
    shifted = frechet.Moments(np.ones(2048), np.eye(2048), 10)
    assert frechet.distance(identity, shifted) == pytest.approx(2048, rel=1e-12)  # as pytorch-fid's own test
    a = frechet.Moments(np.array([1.0, 2.0]), np.diag([4.0, 9.0]), 10)
    b = frechet.Moments(np.array([0.0, 0.0]), np.diag([1.0, 25.0]), 10)
    assert frechet.distance(a, b) == pytest.approx(5 + (2 - 1) ** 2 + (3 - 5) ** 2, rel=1e-12)


def test_compare_gans_oracle():
    real, fake = np.ones((100, 2)), np.full((100, 2), 9.0)
    real[:50, 0], fake[50:, 0] = 2, 2
    assert frechet.of_features(real, fake) == pytest.approx(89.091, abs=1e-4)


@pytest.mark.parametrize("sizes", [(40, 60), (40, 20), (20, 15), (200, 20), (33, 32)])
def test_both_routes_equal_the_definition(sizes):
    rng = np.random.default_rng(2023)
    a, b = (rng.standard_normal((n, 32)) * np.linspace(0.1, 3, 32) + rng.standard_normal(32) for n in sizes)
    covariances = [np.cov(x, rowvar=False) for x in (a, b)]
    roots = np.sqrt(np.maximum(np.linalg.eigvals(covariances[0] @ covariances[1]).real, 0)).sum()
    defined = ((a.mean(0) - b.mean(0)) ** 2).sum() + sum(np.trace(c) for c in covariances) - 2 * roots
    full = min(sizes) > 32
    assert frechet.of_features(a, b) == pytest.approx(defined, rel=1e-9 if full else 1e-5)
    assert frechet.distance(frechet.moments(a), frechet.moments(b)) == pytest.approx(
        frechet.of_features(a, b), rel=1e-9 if full else 1e-6
    )


@pytest.mark.parametrize("n", [2, 4, 64, 1024, 32768])
@pytest.mark.parametrize("dim", [2, 16, 256])
def test_torch_fidelitys_own_cases(n, dim):
    """Its test compares eigenvalues with a matrix root to five places, on draws of RandomState(2023)."""
    rng = np.random.RandomState(2023)
    a, b = rng.randn(n, dim), rng.randn(n, dim) * 1.5 + 0.5
    covariances = [np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b)]
    values, vectors = np.linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ covariances[1] @ root), 0)).sum()
    defined = ((a.mean(0) - b.mean(0)) ** 2).sum() + sum(np.trace(c) for c in covariances) - 2 * cross
    assert frechet.of_features(a, b) == pytest.approx(defined, rel=1e-9 if n > dim else 1e-5)
    assert frechet.of_features(a, b) == pytest.approx(frechet.of_features(b, a), rel=1e-9)


def test_torch_fidelitys_trap_of_nan():
    rng = np.random.RandomState(1)
    a, b = rng.randn(4, 4), rng.randn(4, 4)
    assert np.isfinite(frechet.of_features(a, b))
    assert np.isfinite(frechet.distance(frechet.moments(a), frechet.moments(b)))


def test_pytorch_fids_flat_images():
    flat = np.array([0.0, 0.5, 1.0])[:, None] * np.ones(2048)
    moments = frechet.moments(flat)
    np.testing.assert_allclose(moments.mean, 0.5)
    np.testing.assert_allclose(moments.cov, 0.25)


def test_dead_features_leave_a_singular_covariance():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((500, 8)), rng.standard_normal((500, 8)) * 2
    zeros = np.zeros((500, 3))
    wide = frechet.of_features(np.concatenate([a, zeros], 1), np.concatenate([b, zeros], 1))
    assert wide == pytest.approx(frechet.of_features(a, b), rel=1e-9)


def test_singular_covariances_keep_their_digits():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((10, 256))
    assert frechet.of_features(a, a) < 1e-10
    # A copy along a new axis costs its squared distance and nothing else.
    shifted = np.concatenate([a, np.ones((10, 1))], 1)
    assert frechet.of_features(np.concatenate([a, np.zeros((10, 1))], 1), shifted) == pytest.approx(1, rel=1e-12)


def test_batches_give_the_moments_of_the_whole():
    features = np.random.default_rng(1).standard_normal((1000, 16)).astype(np.float32) + 1000
    sums = frechet.Sums.zeros(16)
    for i in range(0, 1000, 64):
        sums = sums.add(features[i : i + 64])
    assert sums.n == 1000
    whole = features.astype(np.float64)
    np.testing.assert_allclose(sums.moments().mean, whole.mean(0), rtol=1e-14)
    np.testing.assert_allclose(sums.moments().cov, np.cov(whole, rowvar=False), atol=1e-12)
    np.testing.assert_allclose(sums.moments(0).cov, np.cov(whole, rowvar=False, ddof=0), atol=1e-12)


def test_the_bias_is_gone_at_infinity():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((20_000, 16)), rng.standard_normal((2_000, 16))
    result = frechet.at_infinity(a, b, seed=0)
    assert result["sizes"][0] == 200 and result["sizes"][-1] == 2000 and len(result["sizes"]) == 15
    # By the delta method (D + D (D + 1) / 4) (1 / N + 1 / M) = 0.046 is expected.
    assert result["distances"][-1] > 0.03
    assert abs(result["value"]) < 0.02


@pytest.mark.parametrize("bad", [np.zeros((1, 4)), np.zeros((0, 4)), np.array([[1.0, 2], [np.nan, 0]])])
def test_bad_features_are_refused(bad):
    with pytest.raises(UserError, match="at least 2|first of image 1"):
        frechet.of_features(bad, np.zeros((5, bad.shape[1])))
