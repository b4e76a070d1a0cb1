"""Inception against torch-fidelity's and torchvision's outputs for the same random weights (make_feature_nets.py)."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fixtures import random_weights

from ganjax.errors import UserError
from ganjax.nets.pretrained import inception

STORED = np.load(Path(__file__).parents[2] / "fixtures" / "feature_nets.npz")
STORED_FEATURES = 64


def state_dict(classes=1008):
    """Return random weights with PyTorch's names and shapes: 94 convolutions with batch norm, and fc."""
    net = inception.InceptionV3()
    spec = jax.eval_shape(lambda: net.init(jax.random.key(0), jnp.zeros((1, 75, 75, 3))))["params"]
    shapes = {"fc.weight": (classes, 2048), "fc.bias": (classes,)}
    for path, leaf in jax.tree.leaves_with_path(spec):
        if leaf.ndim == 4:
            name = ".".join(key.key for key in path[:-1])
            height, width, i, o = leaf.shape
            shapes[f"{name}.conv.weight"] = (o, i, height, width)
            shapes |= {f"{name}.bn.{key}": (o,) for key in ("weight", "bias", "running_mean", "running_var")}
            shapes[f"{name}.bn.num_batches_tracked"] = ()
    return random_weights.draw(shapes)


@pytest.fixture(scope="module")
def arrays():
    return state_dict()


@pytest.fixture(scope="module")
def pixels():
    return random_weights.images(2, 299)


def distance(ours, theirs):
    """Return the relative L2 distance of the first features, which are those in the fixture."""
    return np.linalg.norm(np.asarray(ours)[:, :STORED_FEATURES] - theirs) / np.linalg.norm(theirs)


def apply(net, variables, images):
    with jax.default_matmul_precision("highest"):
        return jax.jit(net.apply)(variables, images)


def test_it_has_the_size_of_the_published_file(arrays):
    assert len(arrays) == 94 * 6 + 2
    assert sum(a.size for a in arrays.values() if a.dtype == np.float32) == 23_885_392


def test_features_equal_torch_fidelitys(arrays, pixels):
    net = inception.InceptionV3(inception.TAPS)
    features = apply(net, inception.variables(arrays), (pixels.astype(np.float32) - 128) / 128)
    assert {tap: y.shape[1] for tap, y in features.items()} == dict(
        zip(inception.TAPS, (64, 192, 768, 2048, 1008, 1008), strict=True)
    )
    for tap, y in features.items():
        assert y.dtype == jnp.float32
        assert distance(y, STORED[f"inception_{tap}"]) < 2e-6, tap


@pytest.mark.slow
def test_float64_features_equal_the_double_oracles(arrays, pixels, x64):
    exact = {name: array.astype(np.float64) for name, array in arrays.items()}
    features = apply(inception.InceptionV3(), inception.variables(exact), (pixels.astype(np.float64) - 128) / 128)
    assert features["2048"].dtype == jnp.float64
    assert distance(features["2048"], STORED["inception_float64"]) < 1e-7


@pytest.mark.slow
def test_art_inception_equals_torchvisions(arrays):
    art = {name: array for name, array in arrays.items() if not name.startswith("fc.")}
    art["AuxLogits.fc.bias"] = np.zeros(3)
    net = inception.InceptionV3(torchvision=True)
    images = random_weights.images(2, 96).astype(np.float32) / 255
    features = apply(net, inception.variables(art, torchvision=True), images)["2048"]
    assert distance(features, STORED["art_inception"]) < 2e-6


def test_nothing_after_the_last_tap_is_run_and_only_the_taps_come(arrays):
    counts = {}
    for taps in (("64",), ("192", "64"), ("2048",), ("logits",)):
        net = inception.InceptionV3(taps)
        params = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, 299, 299, 3)))["params"]
        counts[taps] = len(params)
        result = jax.eval_shape(net.apply, inception.variables(arrays), jnp.zeros((1, 299, 299, 3)))
        assert tuple(result) == taps
    assert list(counts.values()) == [3, 5, 16, 18]  # 5 layers, 11 blocks, the last kernel and bias


def test_mean_pools_leave_padding_out_or_count_it():
    ones = jnp.ones((1, 5, 6, 2))
    np.testing.assert_allclose(inception._mean(ones, inside=True), 1, rtol=1e-6)
    assert inception._mean(ones, inside=False)[0, 0, 0, 0] == pytest.approx(4 / 9)
    np.testing.assert_array_equal(inception._max(-ones, 1), -ones)  # a padding of zeros would give larger maxima


def test_weights_that_do_not_fit_are_named(arrays):
    name = "Mixed_6b.branch7x7_2.conv.weight"
    for wrong, message in (
        ({key: a for key, a in arrays.items() if key != name}, f"'{name}' is missing"),
        ({**arrays, name: arrays[name][:-1]}, f"'{name}' is (127, 128, 1, 7), not (128, 128, 1, 7)"),
        ({**arrays, "AuxLogits.conv0.conv.weight": arrays[name]}, "'AuxLogits.conv0.conv.weight' is unknown"),
        (state_dict(1000), "'fc.weight' is (1000, 2048), not (1008, 2048)"),
        ({}, "is missing"),
    ):
        with pytest.raises(UserError, match=re.escape(message)):
            inception.variables(wrong)


def test_wrong_taps_and_images_are_refused():
    for net, shape, message in (
        (inception.InceptionV3(("pool3",)), (1, 299, 299, 3), "taps are 64, 192"),
        (inception.InceptionV3(()), (1, 299, 299, 3), "taps are"),
        (inception.InceptionV3(), (1, 74, 299, 3), "sides of 75"),
        (inception.InceptionV3(), (1, 3, 299, 299), r"must be \(B, H, W, 3\)"),
    ):
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(lambda net=net, shape=shape: net.init(jax.random.key(0), jnp.zeros(shape)))


def test_on_an_accelerator_every_product_has_the_highest_precision(arrays):
    net = inception.InceptionV3(("2048", "logits"))
    with jax.default_matmul_precision("highest"):
        traced = jax.jit(net.apply).trace(inception.variables(arrays), jnp.zeros((1, 299, 299, 3)))
        program = traced.lower(lowering_platforms=("cuda",)).as_text()
    products = [line for line in program.splitlines() if "stablehlo.convolution" in line or "stablehlo.dot" in line]
    assert len(products) == 95
    for line in products:
        assert len(re.findall("precision<HIGHEST>|HIGHEST", line)) == 2, line
