import jax.numpy as jnp
import numpy as np

from ganjax.ops.norm import instance_norm


def test_instance_norm(x64):
    x = np.random.default_rng(0).standard_normal((2, 5, 4, 3)) * 3 + 7
    expected = (x - x.mean((1, 2), keepdims=True)) / np.sqrt(x.var((1, 2), keepdims=True) + 1e-5)
    np.testing.assert_allclose(instance_norm(jnp.asarray(x)), expected, atol=1e-12)


def test_half_precision_keeps_its_dtype_and_exact_statistics():
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 64, 64, 2)) + 100, jnp.bfloat16)
    y = instance_norm(x)
    assert y.dtype == jnp.bfloat16
    assert abs(float(jnp.mean(y.astype(jnp.float32)))) < 1e-2
