"""Perceptual path lengths of generators for which they have closed forms."""

import numpy as np
import pytest

from ganjax.metrics.statistics import ppl


def draw(num, seed):
    return np.random.default_rng(seed).standard_normal((num, 48))


def sample(z):
    return 0.05 * z.reshape(-1, 4, 4, 3)


def squares(a, b):
    return ((np.float64(a) - b) ** 2).sum((1, 2, 3))


@pytest.mark.parametrize("end", [False, True])
def test_of_a_linear_generator_it_is_the_mean_squared_arc(end):
    result = ppl.compute(sample, draw, {}, 500, 0, end, distance=squares)
    start, stop = np.split(draw(1000, 0), 2)
    cosine = (start * stop).sum(1) / np.linalg.norm(start, axis=1) / np.linalg.norm(stop, axis=1)
    arcs = (0.05 * np.linalg.norm(start, axis=1).mean() * np.arccos(cosine)) ** 2
    assert result["value"] == pytest.approx(np.sort(arcs)[5:-5].mean(), rel=0.01)
    assert result["sampling"] == ("end" if end else "full")


def test_slerp_keeps_the_length_and_divides_the_angle():
    a, b = np.array([[2.0, 0]]), np.array([[0, 3.0]])
    third = ppl.slerp(a, b, np.array([[1 / 3]]))
    np.testing.assert_allclose(third, [[np.cos(np.pi / 6), np.sin(np.pi / 6)]], atol=1e-12)
    np.testing.assert_allclose(ppl.slerp(a, a, np.array([[0.4]])), [[1, 0]], atol=1e-12)


def test_large_images_are_reduced_and_all_paths_counted():
    sides = []

    def distance(a, b):
        sides.append(a.shape)
        return np.arange(len(a), dtype=np.float32) * 0 + 1e-8

    def large(z):
        return np.zeros((len(z), 512, 512, 1), np.float32)

    assert ppl.compute(large, draw, {}, 20, distance=distance)["value"] == pytest.approx(1)
    assert sides == [(16, 256, 256, 3)] * 2
