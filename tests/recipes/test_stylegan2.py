"""StyleGAN2: three steps equal PyTorch's, with lazy path length (make_stylegan2.py); the published sizes."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fixtures import random_weights
from flax.traverse_util import flatten_dict, unflatten_dict
from tiny import config_of, replaced

from ganjax import recipe
from ganjax.config.check import check
from ganjax.errors import UserError
from ganjax.nets import stylegan2
from ganjax.recipes.stylegan2 import widths

FIXTURE = Path(__file__).parents[1] / "fixtures" / "recipe_stylegan2.npz"


@pytest.fixture
def peer():
    with np.load(FIXTURE) as arrays:
        return dict(arrays)


def tree(peer, prefix):
    return unflatten_dict(
        {tuple(key.split("/")[2:]): jnp.asarray(peer[key], jnp.float64) for key in peer if key.startswith(f"{prefix}/")}
    )


def narrow():
    config = config_of("stylegan2")
    config.batch_size, config.data.resolution, config.precision = 4, 16, "float64"
    config.ada.policy, config.penalty.r1, config.penalty.every = "", 0.7, 1
    config.penalty.path_length, config.penalty.path_every, config.penalty.path_decay = 2.0, 2, 0.3
    config.optimizer.g_lr = config.optimizer.d_lr = 1e-3
    config.model.update({"z_dim": 8, "w_dim": 8, "mapping": 2, "channels": 64, "most": 6, "mixing": 0.0})
    config.model.discriminator.group = 2
    return config


def same(peer, prefix, network):
    """Assert that Adam's first moments, with b1 = 0 the gradients, are those of PyTorch."""
    gradients, moments = flatten_dict(tree(peer, prefix)), flatten_dict(network.opt_state[0].mu)
    largest = max(float(jnp.abs(leaf).max()) for leaf in gradients.values())
    for layer, gradient in gradients.items():
        np.testing.assert_allclose(moments[layer], gradient, rtol=0, atol=1e-5 * largest, err_msg=str(layer))


def test_three_steps_equal_pytorch(peer, monkeypatch, x64):
    gan = recipe.build(check(narrow()))
    batch = {"image": jnp.asarray(random_weights.images(4, 16) / 127.5 - 1), "label": jnp.full(4, -1)}
    state = jax.jit(gan.init)(jax.random.key(0), batch)
    for net, prefix in (("generator", "g"), ("discriminator", "d")):
        params = tree(peer, prefix)
        assert jax.tree.map(jnp.shape, state.networks[net].params) == jax.tree.map(jnp.shape, params)
        state = replaced(state, net, params=params)

    def normal(key, shape, dtype=None):
        return jnp.asarray(peer["z"] if len(shape) == 2 else random_weights.noise(shape))

    monkeypatch.setattr(jax.random, "normal", normal)
    step = jax.jit(gan.step)
    for i in range(3):
        state, metrics = step(state, batch, jax.random.key(i))
        for term in ("d_loss", "g_loss", "penalty_r1", *["penalty_path_length"] * (i != 1)):
            np.testing.assert_allclose(metrics[term], peer[f"{i}/{term}"], rtol=1e-5, err_msg=f"{i}/{term}")
        if i == 0:
            same(peer, "d_grad", state.networks["discriminator"])
            same(peer, "path_grad", state.networks["generator"])
        if i == 1:
            assert metrics["penalty_path_length"] == 0
            same(peer, "g_grad", state.networks["generator"])
    np.testing.assert_allclose(state.extra["path_length"], peer["mean"], rtol=1e-5)
    np.testing.assert_allclose(state.networks["generator"].mutable["averages"]["w"], peer["average"], rtol=1e-5)


def test_the_published_networks_for_256_pixels_have_as_many_parameters_as_pytorchs(peer):
    own = widths((256, 256), 16384, 512)
    nets = {
        "g_256": (stylegan2.Generator((256, 256), own), jnp.zeros((1, 512))),
        "d_256": (stylegan2.Discriminator(own[::-1]), jnp.zeros((1, 256, 256, 3))),
    }
    for key, (net, inputs) in nets.items():
        variables = jax.eval_shape(lambda net=net, inputs=inputs: net.init(jax.random.key(0), inputs, train=False))
        count = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
        assert count == int(peer[f"count/{key}"]) == {"g_256": 24_767_458, "d_256": 24_001_089}[key]


def test_mixing_gives_layers_from_one_on_another_latent():
    net = stylegan2.Generator((16, 16), (4, 4, 4), w_dim=4, depth=1, mixing=1.0)
    z, keys = jax.random.normal(jax.random.key(0), (64, 4)), jax.random.split(jax.random.key(1), 64)
    variables = net.init(jax.random.key(2), z, train=False)
    plain = net.apply(variables, z, train=False).aux["ws"]
    ws = net.apply(variables, z, train=True, keys=keys, mutable="averages")[0].aux["ws"]
    first = (np.asarray(ws) == np.asarray(plain)).all(-1)  # a layer follows the first latent
    assert (np.diff(first.astype(int), axis=1) <= 0).all()
    assert set(first.sum(1)) == {1, 2, 3, 4, 5}  # of six layers, the first always, the last never
    unmixed = net.apply(variables, z, train=True, mutable="averages")[0].aux["ws"]
    np.testing.assert_array_equal(unmixed, plain)


def test_the_deviation_is_that_of_each_group():
    x = jnp.asarray(np.random.default_rng(0).standard_normal((6, 2, 3, 5)))
    found = stylegan2.deviation(x, 3)[:, 0, 0, 0]
    expected = [np.asarray(x[i::2]).std(0).mean() for i in (0, 1)]
    np.testing.assert_allclose(found, expected * 3, rtol=1e-5)
    with pytest.raises(ValueError, match="no whole groups"):
        stylegan2.deviation(x, 4)


def test_a_group_that_does_not_divide_the_batch_is_refused():
    config = narrow()
    config.model.discriminator.group, config.batch_size = 4, 6
    with pytest.raises(UserError, match=r"group = 4 must divide .*: 6 images"):
        recipe.build(check(config))
