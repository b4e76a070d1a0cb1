"""SinCUT's nets: PyTorch's outputs for the same weights (make_sincut.py), and the sizes of the paper."""

import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict

from ganjax.nets import sincut

FIXTURE = Path(__file__).parents[1] / "fixtures" / "sincut.npz"


@pytest.fixture(scope="module")
def peer():
    with np.load(FIXTURE) as arrays:
        return dict(arrays)


def params(peer, net, module, x):
    """Return PyTorch's weights of `net` as the variables of `module`; check that structure and shapes are equal."""
    spec = jax.eval_shape(lambda: module.init(jax.random.key(0), x, train=False))["params"]
    weights = unflatten_dict({tuple(k.split("/")[1:]): v for k, v in peer.items() if k.startswith(f"{net}/")})
    assert jax.tree.structure(spec) == jax.tree.structure(weights)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a.shape, b.shape), spec, weights)
    return {"params": weights}


def test_the_translator_equals_pytorch(peer):
    net, x = sincut.Translator(width=4, blocks=3), peer["image"]
    variables = params(peer, "g", net, x)
    image = np.asarray(net.apply(variables, x, train=True).image)
    np.testing.assert_allclose(image[:, 2:-2, 2:-2], peer["made"][:, 2:-2, 2:-2], atol=1e-4)
    assert image.shape == peer["made"].shape
    for i, tap in enumerate(net.apply(variables, x, train=True, taps=True)):
        np.testing.assert_allclose(tap, peer[f"tap_{i}"], atol=1e-4)


def test_the_discriminator_equals_pytorch(peer):
    net, x = sincut.Discriminator(width=4, most=12), peer["image"]
    out = net.apply(params(peer, "d", net, x), x, train=True)
    np.testing.assert_allclose(out.logits[0], peer["logits"], atol=1e-4)
    assert len(out.logits) == 1 and [f.shape[1] for f in out.features] == [16, 8, 4]


def test_activations_begin_at_the_scale_of_the_image():
    """Equalised weights and the factor sqrt(2) keep the mean square: 1 at the input, about 1 after the blocks."""
    x = jax.random.normal(jax.random.key(0), (2, 32, 32, 3))
    net = sincut.Translator(width=16)
    _, down, third = net.apply(net.init(jax.random.key(1), x, train=False), x, train=True, taps=True)
    assert 0.1 < float(jnp.mean(down[:, 4:-4, 4:-4] ** 2)) < 2 and 0.1 < float(jnp.mean(third[:, 4:-4, 4:-4] ** 2)) < 2


def test_published_widths():
    g = jax.eval_shape(lambda: sincut.Translator().init(jax.random.key(0), jnp.zeros((1, 64, 64, 3)), train=False))
    d = jax.eval_shape(lambda: sincut.Discriminator().init(jax.random.key(0), jnp.zeros((1, 64, 64, 3)), train=False))
    widths = [d["params"][f"block_{i}"]["conv_1"]["kernel"].shape[-1] for i in range(4)]
    assert widths == [64, 128, 256, 384]
    assert g["params"]["block_0"]["conv_0"]["kernel"].shape == (3, 3, 160, 160)
    # The 2 x 6 convolutions at half the resolution have 160 x 160 x 9 weights each, and their biases.
    blocks = [math.prod(x.shape) for name, b in g["params"].items() if "block_" in name for x in jax.tree.leaves(b)]
    assert sum(blocks) == 12 * (160 * 160 * 9 + 160)


def test_sizes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="31x32: both sides must be even"):
        sincut.Translator(4).init(jax.random.key(0), jnp.zeros((1, 31, 32, 3)), train=False)
    with pytest.raises(ValueError, match="33x32: both sides must be divisible by 8"):
        sincut.Discriminator(4).init(jax.random.key(0), jnp.zeros((1, 33, 32, 3)), train=False)
