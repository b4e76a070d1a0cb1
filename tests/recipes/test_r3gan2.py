"""The follow-up to R3GAN: weights and activations keep their magnitude."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from tiny import small

from ganjax import recipe
from ganjax.config.check import check
from ganjax.nets import r3gan2


@pytest.fixture(scope="module")
def trained():
    """Two states: the first, and that after two steps."""
    gan = recipe.build(check(small("r3gan2")))
    batch = {"image": jax.random.uniform(jax.random.key(5), (16, 16, 16, 3), minval=-1), "label": jnp.full(16, -1)}
    first, step = jax.jit(gan.init)(jax.random.key(0), batch), jax.jit(gan.step)
    state = first
    for i in range(2):
        state, _ = step(state, batch, jax.random.key(i))
    return first, state


@pytest.mark.slow
@pytest.mark.parametrize("name", ["generator", "discriminator"])
def test_updates_move_kernels_that_stay_centred_and_of_one_size(name, trained):
    before, after = (flatten_dict(state.networks[name].params, sep=".") for state in trained)
    kernels = [key for key in after if key.endswith("kernel")]
    assert len(kernels) >= 2 * 3 * r3gan2.BLOCKS
    for key in kernels:
        kernel = np.asarray(after[key], np.float64)
        np.testing.assert_allclose(kernel.mean((0, 1, 2)), 0, atol=1e-6)
        np.testing.assert_allclose((kernel**2).mean((0, 1, 2)), 1, rtol=1e-5)
        assert np.abs(kernel - before[key]).max() > 1e-4


def test_activations_keep_their_mean_square():
    x = jax.random.normal(jax.random.key(0), (4, 32, 32, 64))
    stage = r3gan2.Stage(group=32, noisy=True, train=True)
    variables = stage.init(jax.random.key(1), x)
    params = dict(variables["params"])
    for i in range(r3gan2.BLOCKS):
        params[f"gain_{i}"] = jnp.full(64, 0.7)  # at 0, as at the start, nothing is added
        params[f"noise_{i}"] = jnp.zeros(())
    y = stage.apply({"params": params}, x, rngs={"noise": jax.random.key(2)})
    assert float(jnp.abs(y - x).mean()) > 0.2
    assert 0.85 < float(jnp.mean(y**2)) < 1.15
    np.testing.assert_allclose(stage.apply(variables, x), x, rtol=1e-6)


def test_labels_keep_their_mean_square():
    labels = jnp.stack([jnp.arange(40) % 10, jnp.arange(40) % 4], 1)
    embed = r3gan2.Dense(4096)
    x = r3gan2.one_of(labels, (10, 4), jnp.float32)
    np.testing.assert_allclose(jnp.mean(x**2, 1), 1, rtol=1e-6)
    y = embed.apply(embed.init(jax.random.key(0), x), x)
    assert float(jnp.mean(y**2)) == pytest.approx(1, abs=0.1)


def test_a_grey_image_is_seen():
    net = r3gan2.Discriminator((16, 16), group=8)
    grey, white = (jnp.full((1, 16, 16, 3), level) for level in (0.0, 1.0))
    variables = net.init(jax.random.key(0), grey, train=False)
    features = [net.apply(variables, x, train=False).features[0] for x in (grey, white)]
    assert float(jnp.abs(features[1] - features[0]).max()) > 1e-2
