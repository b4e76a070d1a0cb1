"""Lite0 against efficientnet-lite-pytorch's outputs for the same, real weights (make_lite0.py)."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fixtures import random_weights
from PIL import Image
from running import DATA

from ganjax.errors import UserError
from ganjax.nets.pretrained import lite0, weights

STORED = np.load(Path(__file__).parents[2] / "fixtures" / "lite0.npz")
STORED_FEATURES = 64
PIXELS = random_weights.images(2, 96).astype(np.float32) / 127.5 - 1


@pytest.fixture(scope="module")
def variables():
    return lite0.variables(weights.load("lite0").arrays)


def apply(variables, images, taps=lite0.PYRAMID):
    with jax.default_matmul_precision("highest"):
        return jax.jit(lambda images: lite0.Lite0(taps).apply(variables, lite0.normalise(images)))(images)


def test_every_tap_equals_the_peers(variables):
    features = apply(variables, PIXELS, lite0.TAPS)
    shapes = {"stem": (48, 48, 32), "block2": (24, 24, 24), "block4": (12, 12, 40), "block10": (6, 6, 112)}
    shapes |= {"block15": (3, 3, 320), "block4_expansion": (12, 12, 240), "pooled": (1280,), "logits": (1000,)}
    assert {name: features[name].shape[1:] for name in shapes} == shapes
    for name, y in features.items():
        if y.ndim == 4:
            y = y[..., :STORED_FEATURES]
            y = jnp.concatenate([y.mean((1, 2)), (y**2).mean((1, 2))], 1)
        assert np.linalg.norm(y - STORED[name]) < 1e-5 * np.linalg.norm(STORED[name]), name


def test_its_size_is_that_of_the_published_net(variables):
    norms = 42_016  # scales and shifts of the batch norms; folded, the shifts are the convolutions' biases
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == 4_652_008 - norms // 2


def test_nothing_after_the_last_tap_is_run():
    shapes = jax.eval_shape(lambda: lite0.Lite0(("block1",)).init(jax.random.key(0), jnp.zeros((1, 32, 32, 3))))
    assert set(shapes["params"]) == {
        *("stem", "block0_depthwise", "block0_project"),
        *("block1_expand", "block1_depthwise", "block1_project"),
    }
    shapes = jax.eval_shape(
        lambda: lite0.Lite0(("block2_expansion",)).init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    )
    assert "block2_expand" in shapes["params"] and "block2_depthwise" not in shapes["params"]


def test_its_input_gradient_is_that_of_differences(variables, x64):
    """In float64, at a size whose sides are odd when halved."""
    doubles = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), variables)
    images = jax.random.uniform(jax.random.key(0), (1, 34, 38, 3), jnp.float64, -1, 1)
    direction = jax.random.normal(jax.random.key(1), images.shape, jnp.float64)

    @jax.jit
    def loss(images):
        features = lite0.Lite0(("block4", "block10"), jnp.float64).apply(doubles, lite0.normalise(images))
        return sum((y**2).mean() for y in features.values())

    step = 1e-8  # small, so that hardly any ReLU6 is crossed
    difference = (loss(images + step * direction) - loss(images - step * direction)) / (2 * step)
    assert float(jnp.vdot(jax.grad(loss)(images), direction)) == pytest.approx(float(difference), rel=1e-5)


def test_an_unknown_tap_is_refused():
    with pytest.raises(ValueError, match="EfficientNet-Lite0 has no tap .*block16"):
        jax.eval_shape(lambda: lite0.Lite0(("block16",)).init(jax.random.key(0), jnp.zeros((1, 32, 32, 3))))
    with pytest.raises(UserError, match="EfficientNet-Lite0: '_conv_stem.weight' is missing"):
        lite0.variables({})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "classes"), [("elephant", (101, 385, 386)), ("guitar", (402, 546)), ("dog", tuple(range(151, 269)))]
)
def test_photographs_are_named_rightly(variables, folder, classes):
    """ImageNet's classes: tusker and both elephants; acoustic and electric guitar; the dogs."""
    files = sorted((DATA / "pacs" / "photo" / folder).glob("*"))[:40]
    if not files:
        pytest.skip(f"{DATA / 'pacs'} is not there")
    images = np.stack([np.asarray(Image.open(file).convert("RGB").resize((224, 224))) for file in files])
    logits = apply(variables, images / np.float32(127.5) - 1, ("logits",))["logits"]
    assert np.isin(np.argmax(logits, 1), classes).mean() > 0.8
