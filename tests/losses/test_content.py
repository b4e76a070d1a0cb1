"""Content losses: values by hand, and the changes of an image that they ignore."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ganjax.losses import content

X = jax.random.uniform(jax.random.key(0), (2, 24, 20, 3), minval=-1)
Y = jax.random.uniform(jax.random.key(1), (2, 24, 20, 3), minval=-1)


def test_structure_is_the_weighted_correlation_of_each_window():
    taps = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    weights = np.outer(taps, taps) / taps.sum() ** 2

    def grey(x):
        return np.asarray(x, np.float64) @ [0.299, 0.587, 0.114]

    terms = []
    for x, y in zip(grey(X), grey(Y), strict=True):
        for top in range(14):
            for left in range(10):
                p, q = x[top : top + 11, left : left + 11], y[top : top + 11, left : left + 11]
                p, q = p - (weights * p).sum(), q - (weights * q).sum()
                cross, xx, yy = ((weights * a * b).sum() for a, b in ((p, q), (p, p), (q, q)))
                terms.append((cross + 0.0018) / (np.sqrt(xx * yy) + 0.0018))
    assert float(content.structure(X, Y)) == pytest.approx(1 - np.mean(terms), abs=1e-5)


def test_structure_leaves_brightness_and_contrast_free_and_sees_a_negative():
    assert float(content.structure(X, X)) == pytest.approx(0, abs=1e-5)
    assert float(content.structure(0.6 * X + 0.2, X)) == pytest.approx(0, abs=1e-2)
    assert float(content.structure(-X, X)) == pytest.approx(2, abs=0.1)


def test_pooled_keeps_colours_and_leaves_strokes_free():
    assert float(content.pooled(X + 0.25, X)) == pytest.approx(0.0625, rel=1e-4)
    strokes = jnp.tile(jnp.array([0.5, -0.5]), 10)[None, None, :, None]  # any ten columns have mean 0
    assert float(content.pooled(X + strokes, X)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("kind", content.KINDS)
def test_gradients_are_finite_on_flat_and_on_small_images(kind):
    for shape in ((1, 16, 16, 3), (1, 6, 8, 1)):
        flat = jnp.zeros(shape)
        gradient = jax.grad(content.KINDS[kind])(flat, flat + 0.5)
        assert np.isfinite(np.asarray(gradient)).all()
