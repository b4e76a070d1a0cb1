import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from ganjax.augment.blur import blur


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_it_is_scipys_gaussian(sigma):
    images = jax.random.uniform(jax.random.key(0), (2, 20, 24, 3), minval=-1, maxval=1)
    expected = gaussian_filter(np.asarray(images, np.float64), (0, sigma, sigma, 0), mode="nearest", truncate=6 / sigma)
    np.testing.assert_allclose(jax.jit(blur)(images, sigma), expected, atol=2e-6)


def test_no_blur_changes_no_bit_and_its_gradient_is_finite():
    images = jax.random.uniform(jax.random.key(0), (1, 16, 16, 3))
    np.testing.assert_array_equal(jax.jit(blur)(images, 0.0), images)
    assert np.isfinite(jax.grad(lambda images: jnp.sum(blur(images, 0.0) ** 2))(images)).all()
