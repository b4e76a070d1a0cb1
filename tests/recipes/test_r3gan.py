"""R3GAN: one step equals PyTorch's, with both penalties (make_r3gan.py); the sizes are those that are published."""

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
from ganjax.nets import r3gan
from ganjax.recipes.r3gan import widths

FIXTURE = Path(__file__).parents[1] / "fixtures" / "recipe_r3gan.npz"


@pytest.fixture
def peer():
    with np.load(FIXTURE) as arrays:
        return dict(arrays)


def tree(peer, prefix):
    return unflatten_dict(
        {tuple(key.split("/")[2:]): jnp.asarray(peer[key], jnp.float64) for key in peer if key.startswith(f"{prefix}/")}
    )


def test_one_step_equals_pytorch(peer, monkeypatch, x64):
    config = config_of("r3gan")
    config.batch_size, config.data.resolution, config.precision = 4, 16, "float64"
    config.model.z_dim, config.ada.policy, config.optimizer.b1 = 8, "", 0.0
    config.penalty.r1 = config.penalty.r2 = 0.7
    config.optimizer.g_lr = config.optimizer.d_lr = 2e-4
    config.model.group = 8
    monkeypatch.setattr("ganjax.recipes.r3gan.widths", lambda size, width, first: (16, 16, 8))
    gan = recipe.build(check(config))
    batch = {"image": jnp.asarray(random_weights.images(8, 16) / 127.5 - 1), "label": jnp.full(8, -1)}
    state = jax.jit(gan.init)(jax.random.key(0), batch)
    for net, prefix in (("generator", "g"), ("discriminator", "d")):
        params = tree(peer, prefix)
        assert jax.tree.map(jnp.shape, state.networks[net].params) == jax.tree.map(jnp.shape, params)
        state = replaced(state, net, params=params)
    monkeypatch.setattr(jax.random, "normal", lambda key, shape, dtype=None: jnp.asarray(peer["z"]))
    after, metrics = jax.jit(gan.step)(state, batch, jax.random.key(1))
    for term in ("d_loss", "g_loss", "penalty_r1", "penalty_r2"):
        np.testing.assert_allclose(metrics[term], peer[term], rtol=1e-5, err_msg=term)
    for net, prefix in (("generator", "g_grad"), ("discriminator", "d_grad")):
        gradients, (moments, _) = flatten_dict(tree(peer, prefix)), after.networks[net].opt_state[0]
        moments = flatten_dict(moments.mu)  # b1 = 0: the gradient itself
        largest = max(float(jnp.abs(leaf).max()) for leaf in gradients.values())
        for layer, gradient in gradients.items():
            np.testing.assert_allclose(moments[layer], gradient, rtol=0, atol=1e-5 * largest, err_msg=str(layer))


@pytest.mark.parametrize(
    ("resolution", "classes", "group", "width", "millions"),
    [(32, (), 16, 768, 20.7), (64, (), 16, 768, 22.4), (256, (), 16, 768, 23.1), (32, (1000,), 32, 1536, 82.9)],
)
def test_the_generator_has_the_published_number_of_parameters(resolution, classes, group, width, millions):
    net = r3gan.Generator(
        (resolution, resolution), widths((resolution, resolution), width, r3gan.FIRST), 3, group, classes
    )
    label = jnp.zeros((1, 1), jnp.int32)
    variables = jax.eval_shape(lambda: net.init(jax.random.key(0), jnp.zeros((1, 64)), label, train=False))
    assert round(sum(leaf.size for leaf in jax.tree.leaves(variables)) / 1e6, 1) == millions


def test_at_the_start_a_block_changes_nothing():
    x = jnp.asarray(random_weights.images(2, 8)[..., :2], jnp.float32)
    block = r3gan.Block(2, 4)
    variables = block.init(jax.random.key(0), x)
    np.testing.assert_array_equal(block.apply(variables, x), x)
    with pytest.raises(ValueError, match="divisible by 8"):
        r3gan.Block(16, 4).init(jax.random.key(0), x)


def test_kernels_begin_as_small_as_the_depth_demands():
    """N(0, g^2 / fan-in), g = sqrt(2 / 1.04) L^(-1/4) within residual branches (L blocks), else 1."""
    widths, blocks = (96, 96), 4
    image, z = jnp.zeros((1, 8, 8, 3)), jnp.zeros((1, 64))
    d = r3gan.Discriminator(widths).init(jax.random.key(0), image, train=False)["params"]
    g = r3gan.Generator((8, 8), widths).init(jax.random.key(1), z, train=False)["params"]
    inside = np.sqrt(2 / 1.04) * blocks**-0.25
    for name, leaf, fan_in, gain in (
        ("expand", d["block_1_0"]["expand"]["kernel"], 96, inside),
        ("mix", g["block_0_1"]["mix"]["kernel"], 9 * 16, inside),
        ("reduce", g["block_0_1"]["reduce"]["kernel"], 192, 0),
        ("project", g["project"]["kernel"], 64, 1),
        ("to_image", g["to_image"]["kernel"], 96, 1),
        ("basis of D", d["basis"], 4 * 4, 1),
        ("basis of G", g["basis"], 1, 1),
    ):
        assert np.std(leaf) * np.sqrt(fan_in) == pytest.approx(gain, rel=0.1), name


def test_widths_halve_above_32_pixels():
    assert widths((256, 256), 768, 4) == (768, 768, 768, 768, 384, 192, 96)
    assert widths((96, 160), 96, 4) == (96, 96, 96, 96, 48)
