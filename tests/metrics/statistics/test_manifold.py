"""Precision, recall, density, coverage: counts by brute force, the published example of prdc, ties, duplicates."""

import numpy as np
import pytest

from ganjax.errors import UserError
from ganjax.metrics.statistics import manifold


def brute(real, fake, k, strict):
    def distance(a, b):
        return ((a[:, None] - b) ** 2).sum(-1)

    less = np.less if strict else np.less_equal
    radii, fake_radii = (np.sort(distance(s, s), 1)[:, k] for s in (real, fake))
    inside = less(distance(real, fake), radii[:, None])
    within = less(distance(real, fake), fake_radii)
    return inside.any(0).mean(), within.any(1).mean(), inside.sum() / (k * len(fake)), inside.any(1).mean()


@pytest.mark.parametrize("ties", ["strict", "inclusive"])
@pytest.mark.parametrize("integers", [False, True])
@pytest.mark.parametrize("share", [0, 1])
@pytest.mark.parametrize("unit", [1.0, 2.0**-90, 2.0**90])
def test_counts_are_those_of_brute_force(ties, integers, share, unit, monkeypatch):
    monkeypatch.setattr(manifold, "CELLS", 1000)
    monkeypatch.setattr(manifold, "OWN", 1000)
    monkeypatch.setattr(manifold, "NEAR", share)  # 1: float32 decides all that it can; 0: float64 does
    monkeypatch.setattr(manifold, "PAIRS", 7)
    rng = np.random.default_rng(3)
    real, fake = rng.standard_normal((60, 5)), rng.standard_normal((50, 5)) * 1.2
    if integers:  # with many equal distances
        real, fake = np.round(real * 2) + 1000, np.round(fake * 2) + 1000
        real = np.unique(real, axis=0)
    real, fake = real * unit, fake * unit
    expected = brute(real, fake, 5, ties == "strict")
    result = manifold.prdc(real, fake, 5, ties)
    assert tuple(result[name] for name in ("precision", "recall", "density", "coverage")) == pytest.approx(expected)
    pair = manifold.precision_recall(real, fake, 3, ties)
    assert (pair["precision"], pair["recall"]) == pytest.approx(brute(real, fake, 3, ties == "strict")[:2])


def test_prdcs_published_example():
    rng = np.random.default_rng(0)
    real, fake = (rng.standard_normal((2000, 1000)).astype(np.float32) for _ in range(2))
    result = manifold.prdc(real, fake, 5)
    # For 10,000 images (below) density is 1.0555 and coverage 0.9735; by symmetry, recall equals precision on average.
    assert result["density"] == pytest.approx(1.05, abs=0.08)
    assert result["coverage"] == pytest.approx(0.97, abs=0.02)
    assert result["precision"] == pytest.approx(result["recall"], abs=0.08)


@pytest.mark.slow
def test_prdcs_published_numbers():
    rng = np.random.default_rng(0)
    result = manifold.prdc(*rng.standard_normal((2, 10_000, 1000)), 5)
    published = {"precision": 0.4772, "recall": 0.4705, "density": 1.0555, "coverage": 0.9735}
    # They are of another draw. Density, of mean 1, varies most: a few fakes near the centre lie in very many balls.
    for name, value in published.items():
        assert result[name] == pytest.approx(value, abs=0.15 if name == "density" else 0.03), name


def test_a_narrow_generator_is_precise_and_recalls_little():
    rng = np.random.default_rng(0)
    real, fake = 3 * rng.standard_normal((500, 16)), 0.1 * rng.standard_normal((500, 16))
    result = manifold.precision_recall(real, fake)
    assert result["precision"] > 0.8 and result["recall"] < 0.3


def test_duplicates_have_radius_zero():
    unique = np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32)
    five = np.repeat(unique, 5, 0)
    assert manifold.precision_recall(five, five, 3, "inclusive")["precision"] == 1
    assert manifold.precision_recall(five, five, 3, "strict")["precision"] == 0
    with pytest.raises(UserError, match="200 real images have 3 others of the same features"):
        manifold.prdc(five, five, 3)
    with pytest.raises(UserError, match="too few for 5 neighbours"):
        manifold.prdc(unique[:5], unique, 5)


def test_near_ties_of_float32_are_decided_in_float64():
    """Each fake is 1e-9 inside or outside its ball, which float32 products cannot resolve."""
    rng = np.random.default_rng(0)
    real = rng.standard_normal((300, 64))
    radii = np.sqrt(np.sort(((real[:, None] - real) ** 2).sum(-1), 1)[:, 3])
    directions = rng.standard_normal((300, 64))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    for shift, strict in ((1e-9, False), (-1e-9, True)):
        fake = real + directions * (radii * (1 + shift))[:, None]
        inside = manifold._Distances(real, fake).less(slice(0, 300), ((radii**2)[:, None],), "strict")[0].diagonal()
        assert inside.all() == strict and inside.any() == strict


def test_a_generator_that_gives_one_image_is_measured():
    rng = np.random.default_rng(0)
    real = rng.standard_normal((400, 32)).astype(np.float32)
    one = np.repeat(real[:1] + 0.01, 400, 0)
    assert (manifold._radii(one, 5) == 0).all()
    result = manifold.prdc(real, one, 5)
    assert result["precision"] == 1 and result["recall"] == 0
