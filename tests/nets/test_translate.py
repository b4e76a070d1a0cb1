"""pix2pix's and CUT's nets: published sizes; PyTorch's outputs for the same weights (make_translation.py)."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from ganjax.losses.patch_nce import patch_nce
from ganjax.nets import translate
from ganjax.nets.stages import Residual, with_parameters

FIXTURE = Path(__file__).parents[1] / "fixtures" / "translation.npz"


@pytest.fixture(scope="module")
def peer():
    with np.load(FIXTURE) as arrays:
        return dict(arrays)


def weights(peer, name):
    return unflatten_dict({key[len(name) + 1 :]: v for key, v in peer.items() if key.startswith(f"{name}/")}, sep="/")


def count(net, *inputs, **options):
    shapes = jax.eval_shape(lambda: net.init(jax.random.key(0), *inputs, **options))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


IMAGE = jnp.zeros((1, 256, 256, 3))


def test_the_nets_have_their_published_sizes():
    assert count(translate.UNet(), IMAGE, train=False) == 54_413_955
    assert count(translate.Generator(blur=True), IMAGE, train=False) == 11_378_179
    assert count(translate.Discriminator(), jnp.zeros((1, 256, 256, 6)), train=False) == 2_767_809
    net = translate.Generator(blur=True)
    taps = jax.eval_shape(lambda: net.init_with_output(jax.random.key(0), IMAGE, train=False, taps=True)[0])
    shapes = [(262, 262, 3), (256, 256, 128), (128, 128, 256), (64, 64, 256), (64, 64, 256)]
    assert [tap.shape[1:] for tap in taps] == shapes
    zeros = [jnp.zeros(tap.shape) for tap in taps]
    assert count(translate.Projections(), zeros, [jnp.zeros((1, 256), int)] * 5) == 560_384


def test_a_patchgan_judges_30x30_patches_at_256_pixels():
    out = jax.eval_shape(lambda: translate.Discriminator().init_with_output(jax.random.key(0), IMAGE, train=False)[0])
    assert [logits.shape for logits in out.logits] == [(1, 30, 30)] and len(out.features) == 4
    both = translate.MultiScale(functools.partial(translate.Discriminator, 8))
    out = jax.eval_shape(lambda: both.init_with_output(jax.random.key(0), IMAGE, train=False)[0])
    assert [logits.shape for logits in out.logits] == [(1, 30, 30), (1, 14, 14)] and len(out.features) == 8


def test_the_u_net_equals_pytorch(peer):
    net = translate.UNet(depth=5, width=4)
    params = weights(peer, "unet")
    image = net.apply({"params": params}, peer["image"], train=False).image
    np.testing.assert_allclose(image, peer["unet_out"], atol=1e-5)
    # Dropout is active in training only.
    deep = translate.UNet(depth=6, width=2)
    x = jnp.tile(peer["image"], (1, 2, 2, 1))
    variables = deep.init(jax.random.key(0), x, train=False)
    again = [deep.apply(variables, x, train=True, rngs={"dropout": jax.random.key(i)}).image for i in (0, 1)]
    assert (again[0] != again[1]).any()


def test_cuts_generator_and_what_it_compares_equal_pytorch(peer):
    net, params = translate.Generator(4, 5, blur=True), weights(peer, "cut")
    image = net.apply({"params": params}, peer["image"], train=False).image
    np.testing.assert_allclose(image, peer["cut_out"], atol=1e-5)
    for i, tap in enumerate(net.apply({"params": params}, peer["image"], train=False, taps=True)):
        np.testing.assert_allclose(tap, peer[f"tap_{i}"], atol=1e-4)


def test_heads_and_patch_nce_equal_pytorch(peer):
    layers, places = ([peer[f"{name}_{i}"] for i in range(5)] for name in ("tap", "places"))
    net, params = translate.Projections(8), weights(peer, "heads")
    vectors = net.apply({"params": params}, layers, [place[None] for place in places])
    for i, queries in enumerate(vectors):
        np.testing.assert_allclose(queries, peer[f"vectors_{i}"], atol=1e-5)
        assert float(patch_nce(queries, peer[f"keys_{i}"])) == pytest.approx(peer["nce"][i], rel=1e-4)


def test_patch_nce_of_equal_vectors_is_the_logarithm_of_their_number():
    same = jnp.ones((2, 16, 4)) / 2
    assert float(patch_nce(same, same)) == pytest.approx(np.log(16), rel=1e-6)


@pytest.mark.parametrize("size", [(100, 300), (1, 1), (33, 7)])
def test_a_u_net_takes_any_size(size):
    net = translate.UNet(depth=5, width=2)
    out = jax.eval_shape(lambda: net.init_with_output(jax.random.key(0), jnp.zeros((1, *size, 3)), train=False)[0])
    assert out.image.shape == (1, *size, 3)


def test_padding_mirrors_at_the_bottom_and_the_right():
    x = jnp.arange(6.0).reshape(1, 2, 3, 1)
    expected = [[0, 1, 2, 1], [3, 4, 5, 4], [3, 4, 5, 4], [0, 1, 2, 1]]
    np.testing.assert_array_equal(translate.padded(x, 4)[0, :, :, 0], expected)
    np.testing.assert_array_equal(translate.padded(x[:, :, :2], 2), x[:, :, :2])


def test_norms_are_those_of_the_image_unless_others_are_given():
    """With the statistics of the whole image a crop gets the same output as in the whole, except at its border."""
    net = translate.Generator(4, 1)
    x = jax.random.uniform(jax.random.key(0), (1, 128, 128, 3), minval=-1)
    variables = net.init(jax.random.key(1), x[:, :32, :32], train=False)
    assert set(variables) == {"params"}
    whole, norms = net.apply(variables, x, train=False, mutable=["norms"])
    np.testing.assert_array_equal(whole.image, net.apply(variables, x, train=False).image)
    crop = net.apply({**variables, **norms}, x[:, :96, :96], train=False).image
    np.testing.assert_allclose(crop[:, :56, :56], whole.image[:, :56, :56], atol=1e-5)
    assert np.abs(net.apply(variables, x[:, :96, :96], train=False).image - crop).max() > 1e-3


@pytest.mark.parametrize("blur", [False, True])
def test_stages_have_the_parameters_of_the_net(blur):
    """Each parameter belongs to one stage, in the order of the call."""
    net = translate.Generator(4, 2, blur=blur)
    params = jax.eval_shape(lambda: net.init(jax.random.key(0), IMAGE, train=False))["params"]

    def parameters(net, params):
        layers = []
        for stage, own in with_parameters(net, params):
            if isinstance(stage, Residual):
                layers += [(stage.name, *path) for path in parameters(stage.function, own)]
            elif own:
                layers.append((stage.name,))
                assert set(own) == {"kernel", "bias"}
        return layers

    names = ("stem", "down_1", "down_2", "block_0/conv_0", "block_0/conv_1", "block_1/conv_0", "block_1/conv_1",
             "up_1", "up_0", "to_image")  # fmt: skip
    paths = parameters(net, params)
    assert paths == [tuple(name.split("/")) for name in names]
    assert sorted(paths) == sorted({path[:-1] for path in flatten_dict(params)})
