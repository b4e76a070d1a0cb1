"""Kernel distances against their definitions, pair by pair."""

import numpy as np
import pytest

from ganjax.errors import UserError
from ganjax.metrics.statistics import kernel


def brute(x, y, k):
    n, m = len(x), len(y)
    kxx = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    kyy = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return kxx + kyy - 2 * np.mean([[k(a, b) for b in y] for a in x])


def cubic(a, b):
    return (a @ b / len(a) + 1) ** 3


@pytest.fixture
def sets():
    rng = np.random.default_rng(0)
    return rng.standard_normal((31, 8)).astype(np.float32), rng.standard_normal((24, 8)).astype(np.float32) * 1.2


@pytest.mark.parametrize("rows", [2048, 7])
def test_unbiased_mmd_of_all(sets, rows, monkeypatch):
    monkeypatch.setattr(kernel, "ROWS", rows)
    x, y = (s.astype(np.float64) for s in sets)
    assert kernel.mmd(*sets) == pytest.approx(brute(x, y, cubic), rel=1e-12)


@pytest.mark.parametrize(("subsets", "size"), [(4, 10), (1, 10), (100, 20)])
def test_subsets_are_those_of_torch_fidelity(sets, subsets, size, monkeypatch):
    monkeypatch.setattr(kernel, "ROWS", 7)
    rng, expected = np.random.RandomState(2020), []
    x, y = (s.astype(np.float64) for s in sets)
    for _ in range(min(subsets, 4)):
        a, b = (s[rng.choice(len(s), size, replace=False)] for s in (x, y))
        expected.append(brute(a, b, cubic))
    values = kernel.mmd_subsets(*sets, subsets, size)
    assert values.shape == (subsets,)
    np.testing.assert_allclose(values[:4], expected, rtol=1e-9)


def test_the_unbiased_estimate_is_zero_on_average():
    rng = np.random.default_rng(1)
    values = [kernel.mmd(rng.standard_normal((50, 4)), rng.standard_normal((50, 4))) for _ in range(200)]
    assert min(values) < 0 < max(values)
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))


def test_cmmd_is_the_biased_gaussian_one():
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((6, 5)), rng.standard_normal((9, 5)) + 0.3
    x, y = (s / np.linalg.norm(s, axis=1, keepdims=True) for s in (x, y))

    def k(a, b):
        return np.mean(np.exp(-((a[:, None] - b) ** 2).sum(-1) / 200))

    assert kernel.cmmd(x * 3, y * 0.1) == pytest.approx(1000 * (k(x, x) + k(y, y) - 2 * k(x, y)), rel=1e-9)


def test_too_few_images_for_a_subset(sets):
    with pytest.raises(UserError, match="subsets of 1000 cannot be drawn from 31 and 24 images"):
        kernel.mmd_subsets(*sets)
