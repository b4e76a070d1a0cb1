"""SNGAN, WGAN-GP, SAGAN, BigGAN: one step equals PyTorch's (make_recipes.py)."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict
from tiny import config_of, replaced

from ganjax import recipe
from ganjax.config.check import check
from ganjax.losses import penalties

FIXTURES = Path(__file__).parents[1] / "fixtures"
CLASSES = ("a", "b", "c")

SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("wgan_gp", "sagan", "biggan")]


def narrow(name):
    """Return the config of the fixture's networks."""
    config = config_of(f"{name}:debug")
    config.batch_size, config.d_steps, config.data.resolution = 4, 1, 16
    config.model.z_dim, config.model.width = 6, 1.0
    config.model.generator.widths, config.model.discriminator.widths = (8, 8, 8), (8, 8, 16)
    config.model.discriminator.downs = 2
    config.optimizer.b1, config.optimizer.b2, config.optimizer.g_lr, config.optimizer.d_lr = 0.0, 0.9, 2e-4, 2e-4
    config.optimizer.eps = 1e-8
    if name in ("sagan", "biggan"):
        config.model.generator.attention = config.model.discriminator.attention = (0,)
    if name == "biggan":
        config.model.generator.shared = 5
    if name == "sngan":
        config.data.labels, config.condition.kind = True, "projection"
    config.data.classes, config.data.class_counts = CLASSES, (1, 1, 1)
    return check(config)


def tree(peer, prefix):
    """Return the arrays below a prefix as a nested dict. Without a condition, D's network has no wrapper."""
    bare = prefix[0] == "d" and not any("/embed/" in key for key in peer)
    keys = {key: key.replace("/net/", "/") if bare else key for key in peer if key.startswith(prefix + "/")}
    return unflatten_dict({tuple(ours.split("/")[1:]): jnp.asarray(peer[key]) for key, ours in keys.items()})


@pytest.mark.parametrize("name", ["sngan", *SLOW])
def test_one_step_equals_pytorch(name, monkeypatch):
    peer = dict(np.load(FIXTURES / f"recipe_{name}.npz"))
    gan = recipe.build(narrow(name))
    batch = {"image": jnp.asarray(peer["real"]), "label": jnp.array([0, 2, 1, 2])}
    state = jax.jit(gan.init)(jax.random.key(0), batch)
    nets = {"generator": tree(peer, "g"), "discriminator": tree(peer, "d")}
    for net, variables in nets.items():
        own = state.networks[net]
        assert jax.tree.map(jnp.shape, own.params) == jax.tree.map(jnp.shape, variables["params"])
        mutable = {**own.mutable, **({"spectral": variables["spectral"]} if "spectral" in variables else {})}
        assert jax.tree.map(jnp.shape, own.mutable) == jax.tree.map(jnp.shape, mutable)
        state = replaced(state, net, params=variables["params"], mutable=mutable)
    monkeypatch.setattr(jax.random, "normal", lambda key, shape, dtype=None: jnp.asarray(peer["z"]))
    monkeypatch.setattr(penalties, "_uniform", lambda key, images, count: jnp.asarray(peer["share"]))
    after, metrics = jax.jit(gan.step)(state, batch, jax.random.key(1))
    for key in ("d_loss", "g_loss", "d_real", "d_fake", *["penalty_wgan_gp"] * (name == "wgan_gp")):
        np.testing.assert_allclose(metrics[key], peer[key], rtol=1e-4, err_msg=key)
    theirs = {"generator": tree(peer, "g_grad"), "discriminator": tree(peer, "d_grad")}
    for net, gradients in theirs.items():
        moments = after.networks[net].opt_state[0].mu  # b1 = 0: the gradient itself
        largest = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(gradients))
        near = functools.partial(np.testing.assert_allclose, rtol=0, atol=1e-4 * largest, err_msg=net)
        jax.tree.map(near, moments, gradients["params"])
    assert (int(after.networks["generator"].step), int(after.networks["discriminator"].step)) == (1, 1)
