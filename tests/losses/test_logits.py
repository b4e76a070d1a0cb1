import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ganjax.losses import logits as losses


def test_non_saturating_at_chance_is_2_log_2_and_log_2():
    loss = losses.non_saturating()
    zeros = jnp.zeros(5)
    assert float(loss.d(zeros, zeros)) == pytest.approx(2 * np.log(2))
    assert float(loss.g(zeros, zeros)) == pytest.approx(np.log(2))


def test_non_saturating_is_cross_entropy():
    real, fake = np.array([2.0, -1.0]), np.array([0.5, -3.0])

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    loss = losses.non_saturating(label_smoothing=0.1)
    smooth = -(0.9 * np.log(sigmoid(real)) + 0.1 * np.log(1 - sigmoid(real))).mean()
    assert float(loss.d(jnp.array(real), jnp.array(fake))) == pytest.approx(
        smooth - np.log(1 - sigmoid(fake)).mean(), rel=1e-6
    )
    assert float(loss.g(jnp.array(real), jnp.array(fake))) == pytest.approx(-np.log(sigmoid(fake)).mean(), rel=1e-6)


def test_a_confident_discriminator_still_teaches_the_generator():
    loss = losses.non_saturating()
    gradient = jax.grad(lambda x: loss.g(x, x))(jnp.array([-50.0]))
    assert float(gradient[0]) == pytest.approx(-1.0)


def test_bfloat16_logits_are_averaged_in_float32():
    logits = jnp.zeros(3, jnp.bfloat16)
    assert losses.non_saturating().d(logits, logits).dtype == jnp.float32


REAL, FAKE = np.array([2.0, -1.0, 0.3]), np.array([0.5, -3.0, 1.5])
VALUES = {  # (D, G) by hand from the papers' formulas
    "saturating": (
        np.log1p(np.exp(-REAL)).mean() + np.log1p(np.exp(FAKE)).mean(),
        -np.log1p(np.exp(FAKE)).mean(),
    ),
    "least_squares": (((REAL - 1) ** 2).mean() / 2 + (FAKE**2).mean() / 2, ((FAKE - 1) ** 2).mean() / 2),
    "hinge": (np.maximum(1 - REAL, 0).mean() + np.maximum(1 + FAKE, 0).mean(), -FAKE.mean()),
    "wasserstein": (FAKE.mean() - REAL.mean(), -FAKE.mean()),
    "relativistic": (np.log1p(np.exp(FAKE - REAL)).mean(), np.log1p(np.exp(REAL - FAKE)).mean()),
}


@pytest.mark.parametrize("kind", VALUES)
def test_values_by_hand(kind):
    loss = losses.KINDS[kind]()
    for function, value in zip(loss[:2], VALUES[kind], strict=True):
        assert float(function(jnp.array(REAL), jnp.array(FAKE))) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("kind", losses.KINDS)
def test_each_pushes_the_logits_the_right_way(kind):
    loss, zeros = losses.KINDS[kind](), jnp.zeros(3)
    real, fake = jax.grad(loss.d, argnums=(0, 1))(zeros, zeros)
    assert (real < 0).all() and (fake >= 0).all()
    assert (fake > 0).all() or kind == "least_squares"  # at 0 its fakes are at their target
    assert (jax.grad(loss.g, argnums=1)(zeros, zeros) < 0).all()
    assert loss.paired == bool(np.asarray(jax.grad(loss.g, argnums=0)(zeros, zeros)).any())


def test_only_differences_matter_to_the_paired_loss():
    loss = losses.relativistic()
    shifted = loss.d(jnp.array(REAL) + 7, jnp.array(FAKE) + 7)
    assert float(shifted) == pytest.approx(float(loss.d(jnp.array(REAL), jnp.array(FAKE))), rel=1e-5)


def test_class_loss_is_cross_entropy_and_passes_over_the_unknown():
    logits = jnp.array([[1.0, 2.0, 0.0, 5.0, 1.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    labels = jnp.array([[1, 0], [-1, 1]])

    def soft(x):
        return x - np.log(np.exp(x).sum())

    first = -soft(np.array([1.0, 2.0, 0.0]))[1] - soft(np.array([5.0, 1.0]))[0]
    expected = (first + np.log(2)) / 2 / 2  # two images, two attributes
    assert float(losses.class_loss(logits, labels, (3, 2))) == pytest.approx(expected, rel=1e-6)
    assert float(losses.class_loss(logits, jnp.full((2, 2), -1), (3, 2))) == 0


def test_feature_matching_compares_means():
    a, b = jnp.array([[1.0, 0.0], [3.0, 2.0]]), jnp.array([[0.0, 1.0], [0.0, 3.0]])
    assert float(losses.feature_matching(a, b)) == pytest.approx((2**2 + 1**2) / 2)
    assert float(losses.feature_matching(a, a[::-1])) == 0
