from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fixtures import random_weights

from ganjax.errors import UserError
from ganjax.nets.pretrained import lpips, weights

STORED = np.load(Path(__file__).parents[2] / "fixtures" / "feature_nets.npz")  # by make_feature_nets.py
A = random_weights.images(2, 64).astype(np.float32) / 127.5 - 1
B = A[::-1] * np.float32(0.7)


def random_variables(net):
    trunk = random_weights.alexnet() if net == "alex" else random_weights.vgg(16)
    return lpips.variables(trunk, random_weights.heads(net), net)


def distance(variables, a, b, net):
    with jax.default_matmul_precision("highest"):
        return jax.jit(lpips.distance, static_argnames="net")(variables, a, b, net=net)


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_distances_equal_the_authors(net):
    distances = distance(random_variables(net), A, B, net)
    assert distances.shape == (2,) and distances.dtype == jnp.float32
    np.testing.assert_allclose(distances, STORED[f"lpips_{net}"], rtol=2e-6)


def test_it_is_symmetric_and_zero_between_equals():
    variables = random_variables("alex")
    np.testing.assert_allclose(distance(variables, A, A, "alex"), [0, 0], atol=1e-12)
    np.testing.assert_allclose(distance(variables, A, B, "alex"), distance(variables, B, A, "alex"), rtol=1e-6)


def test_gradients_are_finite_where_features_are_zero():
    variables = random_variables("alex")
    dead = jax.tree.map(jnp.zeros_like, variables["trunk"])  # every feature is zero
    for trunk in (variables["trunk"], dead):
        grad = jax.jit(jax.grad(lambda a, t=trunk: lpips.distance({**variables, "trunk": t}, a, jnp.asarray(B)).sum()))
        assert np.isfinite(grad(jnp.asarray(A))).all() and np.isfinite(grad(jnp.asarray(B))).all()
    zeros = jnp.zeros((1, 1, 1, 4))
    assert np.isfinite(jax.grad(lambda x: lpips.unit(x).sum())(zeros)).all()


def test_gradients_equal_finite_differences(x64):
    variables = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), random_variables("alex"))
    a, b = A.astype(np.float64), B.astype(np.float64)
    direction = np.random.default_rng(0).standard_normal(A.shape)
    slope = jax.jvp(lambda a: distance(variables, a, jnp.asarray(b), "alex"), (jnp.asarray(a),), (direction,))[1]
    step = 1e-6  # few ReLUs and pools switch within it
    ahead, behind = (distance(variables, jnp.asarray(a + s * direction), b, "alex") for s in (step, -step))
    np.testing.assert_allclose(slope, (ahead - behind) / (2 * step), rtol=1e-3)


def test_what_is_not_a_pair_of_images_is_refused():
    variables = random_variables("alex")
    for a, b, message in (
        (A * 127, A, "there is a pixel of 12"),
        ((A > 0).astype(np.uint8), A.astype(np.uint8), "not uint8"),
        (A, B[:1], "of one shape"),
        (A[0], B[0], r"\(B, H, W, 3\)"),
    ):
        with pytest.raises(ValueError, match=message):
            lpips.distance(variables, a, b)
    with pytest.raises(ValueError, match="'squeeze' is not one of alex, vgg"):
        lpips.distance(variables, A, B, net="squeeze")
    with pytest.raises(UserError, match="'lin0.model.1.weight' is missing"):
        lpips.variables(random_weights.alexnet(), {}, "alex")


def test_load_asks_for_trunk_and_heads(monkeypatch):
    files = {"alexnet": random_weights.alexnet(), "lpips_alex": random_weights.heads("alex")}
    monkeypatch.setattr(weights, "load", lambda name, path: weights.Weights(files[name], "", path))
    theirs = STORED["lpips_alex"]
    np.testing.assert_allclose(distance(lpips.load("alex", "folder"), A, B, "alex"), theirs, rtol=2e-6)
