"""FastGAN and Projected GAN: one step of each equals PyTorch's (make_fastgan.py), and so do the published sizes."""

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
from ganjax.nets import fastgan, projected

FIXTURES = Path(__file__).parents[1] / "fixtures"
MARGIN, QUADRANT, WIDTH = 0.06, 2, 2


def narrow(name):
    """Return the config of the fixture's networks, without blur and augmentation."""
    config = config_of(name)
    config.batch_size, config.data.resolution, config.precision = 4, 64, "float64"
    config.model.z_dim, config.diffaugment, config.optimizer.b1 = 8, "", 0.0
    config.model.generator.width = config.model.discriminator.width = WIDTH
    if name == "projected":
        config.model.generator.blocks, config.model.discriminator.side, config.loss.blur = "double", 64, 0.0
    return check(config)


def tree(peer, prefix):
    """Return the arrays below a prefix as a nested dict, in float64. Layers with a spectral norm have no wrapper."""
    return unflatten_dict(
        {tuple(key.split("/")[1:]): jnp.asarray(peer[key], jnp.float64) for key in peer if key.startswith(f"{prefix}/")}
    )


def with_peers(state, peer):
    for net, prefix in (("generator", "g"), ("discriminator", "d")):
        variables, own = tree(peer, prefix), state.networks[net]
        assert jax.tree.map(jnp.shape, own.params) == jax.tree.map(jnp.shape, variables["params"])
        mutable = {**own.mutable, "spectral": variables["spectral"]}
        assert jax.tree.map(jnp.shape, own.mutable) == jax.tree.map(jnp.shape, mutable)
        state = replaced(state, net, params=variables["params"], mutable=mutable)
    return state


def mixing():
    arrays = random_weights.mixing(WIDTH)

    def layer(name):
        return {"kernel": arrays[f"{name}.weight"].transpose(2, 3, 1, 0), "bias": arrays[f"{name}.bias"]}

    return {part: [layer(f"{part}_{i}") for i in range(4)] for part in ("channels", "scales")}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fastgan", "projected"])
def test_one_step_equals_pytorch(name, monkeypatch, x64):
    """In float64: in float32, batch norms of few values amplify the rounding of gradients."""
    peer = dict(np.load(FIXTURES / f"recipe_{name}.npz"))
    gan = recipe.build(narrow(name))
    real = random_weights.images(4, 64) / 127.5 - 1
    batch = {"image": jnp.asarray(real), "label": jnp.full(4, -1)}
    state = with_peers(jax.jit(gan.init)(jax.random.key(0), batch), peer)
    frozen = gan.frozen() | ({"mixing": mixing()} if name == "projected" else {})
    state = state.replace(frozen=jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), frozen))

    def normal(key, shape, dtype=None):
        return jnp.asarray(peer["z"] if len(shape) == 2 else random_weights.noise(shape))

    monkeypatch.setattr(jax.random, "normal", normal)
    monkeypatch.setattr(jax.random, "uniform", lambda key, shape, dtype: jnp.full(shape, MARGIN / 0.2, dtype))
    monkeypatch.setattr(jax.random, "randint", lambda key, shape, low, high: jnp.full(shape, QUADRANT, jnp.int32))
    after, metrics = jax.jit(gan.step)(state, batch, jax.random.key(1))
    for term in ("d_loss", "g_loss", "d_real", "d_fake", *["d_reconstruction"] * (name == "fastgan")):
        np.testing.assert_allclose(metrics[term], peer[term], rtol=1e-5, err_msg=term)
    for net, prefix in (("generator", "g_grad"), ("discriminator", "d_grad")):
        gradients = flatten_dict(tree(peer, prefix)["params"])
        moments = flatten_dict(after.networks[net].opt_state[0].mu)  # b1 = 0: the gradient itself
        largest = max(float(jnp.abs(leaf).max()) for leaf in gradients.values())
        for layer, gradient in gradients.items():
            np.testing.assert_allclose(moments[layer], gradient, rtol=0, atol=1e-5 * largest, err_msg=str(layer))


def test_the_published_networks_for_256_pixels_have_as_many_parameters_as_pytorchs():
    peer, z, size = np.load(FIXTURES / "recipe_fastgan.npz"), jnp.zeros((1, 256)), (256, 256)
    image, small = jnp.zeros((1, *size, 3)), jnp.zeros((1, *fastgan.small_size(size), 3))
    maps = tuple(jnp.zeros((1, 128 >> i, 128 >> i, 64 * multiple)) for i, multiple in enumerate(projected.OUTPUTS))
    nets = {
        "g_256": (fastgan.Generator(size, 64, blocks="alternate", small=True), z),
        "d_256": (fastgan.Discriminator(64), (image, small)),
        "light_256": (fastgan.Generator(size, 128), z),
        "double_256": (fastgan.Generator(size, 128, blocks="double"), z),
        "maps_256": (projected.Discriminators(64), maps),
    }
    for key, (net, inputs) in nets.items():
        variables = jax.eval_shape(lambda net=net, inputs=inputs: net.init(jax.random.key(0), inputs, train=False))
        count = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
        assert count == int(peer[f"count/{key}"]), key


def test_a_run_older_than_the_widths_of_d_is_built_as_it_was():
    config = config_of("projected:debug")
    newer = recipe.build(check(config))
    del config.model.generator["blocks"], config.model.discriminator["width"]
    older = recipe.build(config)
    batch = {"image": jnp.zeros((8, 32, 32, 3)), "label": jnp.full(8, -1)}
    old, new = (jax.eval_shape(gan.init, jax.random.key(0), batch).networks for gan in (older, newer))
    assert jax.tree.map(jnp.shape, old["generator"].params) == jax.tree.map(jnp.shape, new["generator"].params)
    assert old["discriminator"].params["map_0_conv_0"]["kernel"].shape == (4, 4, 64, 64)


def test_a_view_too_small_for_the_frozen_network_is_refused():
    config = config_of("projected:debug")
    config.model.discriminator.side = 32
    with pytest.raises(UserError, match="EfficientNet-Lite0 needs 64"):
        recipe.build(check(config))
