import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ganjax import losses


def test_non_saturating_at_chance_is_2_log_2_and_log_2():
    loss = losses.non_saturating()
    zeros = jnp.zeros(5)
    assert float(loss.d(zeros, zeros)) == pytest.approx(2 * np.log(2))
    assert float(loss.g(zeros, zeros)) == pytest.approx(np.log(2))


def test_non_saturating_is_cross_entropy():
    real, fake = np.array([2.0, -1.0]), np.array([0.5, -3.0])
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    loss = losses.non_saturating(label_smoothing=0.1)
    smooth = -(0.9 * np.log(sigmoid(real)) + 0.1 * np.log(1 - sigmoid(real))).mean()
    assert float(loss.d(jnp.array(real), jnp.array(fake))) == pytest.approx(
        smooth - np.log(1 - sigmoid(fake)).mean(), rel=1e-6
    )
    assert float(loss.g(jnp.array(real), jnp.array(fake))) == pytest.approx(-np.log(sigmoid(fake)).mean(), rel=1e-6)


def test_a_confident_discriminator_still_teaches_the_generator():
    loss = losses.non_saturating()
    slope = jax.grad(lambda x: loss.g(x, x))(jnp.array([-50.0]))
    assert float(slope[0]) == pytest.approx(-1.0)


def test_bfloat16_logits_are_averaged_in_float32():
    logits = jnp.zeros(3, jnp.bfloat16)
    assert losses.non_saturating().d(logits, logits).dtype == jnp.float32
