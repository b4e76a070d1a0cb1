"""VGG and AlexNet against torchvision's outputs for the same random weights (make_feature_nets.py)."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fixtures import random_weights

from ganjax.errors import UserError
from ganjax.nets.pretrained import alexnet, vgg

STORED = np.load(Path(__file__).parents[2] / "fixtures" / "feature_nets.npz")
STORED_FEATURES = 64
PIXELS = random_weights.images(2, 64).astype(np.float32) / 127.5 - 1


def assert_close(ours, theirs):
    """Compare the first means and mean squares over pixels, which are those in the fixture."""
    moments = jnp.concatenate([ours.mean((1, 2)), (ours**2).mean((1, 2))], 1)[:, :STORED_FEATURES]
    assert np.linalg.norm(moments - theirs) < 2e-6 * np.linalg.norm(theirs)


def apply(net, variables, images):
    with jax.default_matmul_precision("highest"):
        return jax.jit(net.apply)(variables, images)


@pytest.mark.parametrize("layers", [16, 19])
def test_vggs_features_equal_torchvisions(layers):
    taps = tuple(f"relu{name}" for name, _, _ in vgg.convolutions(layers))
    assert len(taps) == layers - 3 and taps[-1] == {16: "relu5_3", 19: "relu5_4"}[layers]
    features = apply(vgg.VGG(layers, taps), vgg.variables(random_weights.vgg(layers), layers), PIXELS)
    assert features["relu4_2"].shape == (2, 8, 8, 512)
    for i, tap in enumerate(taps):
        assert_close(features[tap], STORED[f"vgg{layers}_{i}"])


def test_alexnets_features_equal_torchvisions():
    features = apply(alexnet.AlexNet(), alexnet.variables(random_weights.alexnet()), PIXELS)
    shapes = [(15, 15, 64), (7, 7, 192), (3, 3, 384), (3, 3, 256), (3, 3, 256)]
    assert [y.shape[1:] for y in features.values()] == shapes
    for i, y in enumerate(features.values()):
        assert_close(y, STORED[f"alexnet_{i}"])


@pytest.mark.slow
def test_fc2_equals_torchvisions():
    shapes = {name: array.shape for name, array in random_weights.vgg(16).items()}
    shapes |= {"classifier.0.weight": vgg.HEAD[::-1], "classifier.3.weight": (4096, 4096)}
    shapes |= {"classifier.0.bias": (4096,), "classifier.3.bias": (4096,)}
    variables = vgg.variables(random_weights.draw(shapes), 16, fc2=True)
    images = random_weights.images(1, 224).astype(np.float32) / 127.5 - 1
    features = np.asarray(apply(vgg.VGG(16, ("fc2",)), variables, images)["fc2"])
    assert features.shape == (1, 4096)
    # Sums of 25,088 numbers in float32: PyTorch's own differ by 2.2e-6 from its float64.
    difference = features[:, :STORED_FEATURES] - STORED["vgg16_fc2"]
    assert np.linalg.norm(difference) < 6e-6 * np.linalg.norm(STORED["vgg16_fc2"])


def test_nothing_after_the_last_tap_is_run():
    for net, layers in ((vgg.VGG(19, ("relu1_1", "relu3_1")), 5), (vgg.VGG(16, ("fc2",)), 15)):
        shapes = jax.eval_shape(lambda net=net: net.init(jax.random.key(0), jnp.zeros((1, 224, 224, 3))))
        assert len(shapes["params"]) == layers
    shapes = jax.eval_shape(lambda: alexnet.AlexNet(("relu2",)).init(jax.random.key(0), jnp.zeros((1, 64, 64, 3))))
    assert len(shapes["params"]) == 2


def test_what_does_not_fit_is_refused():
    for net, side, message in (
        (vgg.VGG(16, ("relu3_4",)), 64, "VGG-16 has no tap"),
        (vgg.VGG(16, ("fc2",)), 64, "fc2 needs images of 224x224"),
        (vgg.VGG(13), 64, "16 or 19 layers, not 13"),
        (alexnet.AlexNet(("relu6",)), 64, "AlexNet has no tap"),
        (alexnet.AlexNet(), 30, "too small for AlexNet"),
    ):
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(lambda net=net, side=side: net.init(jax.random.key(0), jnp.zeros((1, side, side, 3))))
    with pytest.raises(UserError, match=r"VGG-19: 'features.16.weight' is missing"):
        vgg.variables(random_weights.vgg(16), 19)
    with pytest.raises(UserError, match=r"VGG-16: 'classifier.0.weight' is missing"):
        vgg.variables(random_weights.vgg(16), 16, fc2=True)
    with pytest.raises(UserError, match=r"AlexNet: 'features.0.weight' is \(64, 3, 3, 3\)"):
        alexnet.variables(random_weights.vgg(16))


def test_images_are_normalised_by_imagenets_mean_and_deviation():
    grey = jnp.stack([jnp.full((1, 1, 3), level) for level in (-1.0, 0.0, 1.0)])
    rows = alexnet.normalise(grey)[:, 0, 0]
    np.testing.assert_allclose(rows[0], [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225], rtol=1e-6)
    np.testing.assert_allclose(rows[2], [0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225], rtol=1e-6)
    np.testing.assert_allclose(rows[1], (rows[0] + rows[2]) / 2, rtol=1e-5)
