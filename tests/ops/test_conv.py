import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ganjax.ops.conv import conv_transpose

CASES = [
    ((4, 4), (2, 2), "SAME"),
    ((4, 4), (1, 1), "VALID"),
    ((3, 3), (2, 2), "SAME"),
    ((5, 3), (2, 3), "SAME"),
    ((3, 3), (1, 1), "SAME"),
    ((2, 2), (3, 3), "VALID"),
    ((4, 4), (2, 2), ((1, 2), (0, 3))),
    ((1, 1), (2, 2), "SAME"),
]


@pytest.mark.parametrize(("kernel", "strides", "padding"), CASES)
def test_transposed_convolution_and_its_gradients_equal_the_native_ones(x64, kernel, strides, padding):
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (2, 5, 6, 3), jnp.float64)
    k = jax.random.normal(keys[1], (*kernel, 3, 4), jnp.float64)

    def native(x, k):
        return jax.lax.conv_transpose(x, k, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))

    ours, pull_ours = jax.vjp(lambda x, k: conv_transpose(x, k, strides, padding), x, k)
    theirs, pull_theirs = jax.vjp(native, x, k)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10)
    g = jax.random.normal(keys[2], theirs.shape, jnp.float64)
    for a, b in zip(pull_ours(g), pull_theirs(g), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10)


def test_gradient_of_a_gradient(x64):
    keys = jax.random.split(jax.random.key(1), 2)
    x = jax.random.normal(keys[0], (2, 4, 4, 3), jnp.float64)
    k = jax.random.normal(keys[1], (4, 4, 3, 2), jnp.float64)

    def penalty(op):
        inner = jax.grad(lambda x, k: jnp.sum(jnp.sin(op(x, k))))
        return jax.grad(lambda x, k: jnp.sum(inner(x, k) ** 2), (0, 1))(x, k)

    ours = penalty(lambda x, k: conv_transpose(x, k, (2, 2)))
    theirs = penalty(lambda x, k: jax.lax.conv_transpose(x, k, (2, 2), "SAME"))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


def test_an_unknown_padding_is_refused():
    with pytest.raises(ValueError, match="'FULL'"):
        conv_transpose(jnp.zeros((1, 4, 4, 1)), jnp.zeros((3, 3, 1, 1)), padding="FULL")
