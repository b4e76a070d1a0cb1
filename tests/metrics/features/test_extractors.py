"""The extractors: whole pipelines compared with those of the peers, and every image in order."""

import jax
import numpy as np
import pytest
from fixtures import random_weights
from nets.pretrained.test_inception import STORED, STORED_FEATURES, state_dict

from ganjax.errors import UserError
from ganjax.metrics.features import extract, extractors, randconv
from ganjax.nets.pretrained import weights


@pytest.fixture(scope="module")
def inception(tmp_path_factory):
    """Yield {resizer: Inception extractor} with random weights."""
    arrays = state_dict()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "load", lambda name, path=None: weights.Weights(arrays, "0" * 64, "random"))
        yield {name: extractors.load(f"inception_{name}", "random") for name in extractors.RESIZERS}
    extractors.load.cache_clear()


@pytest.mark.parametrize("name", ["tf1", "clean", "torch"])
@pytest.mark.parametrize("side", [64, pytest.param(400, marks=pytest.mark.slow)])
def test_pipelines_equal_those_of_the_peers(inception, name, side):
    features = extract.features(inception[name], random_weights.images(2, side))
    assert {tap: y.shape for tap, y in features.items()} == {"2048": (2, 2048), "logits_unbiased": (2, 1008)}
    theirs = STORED[f"pipeline_{name}_{side}"]
    assert np.linalg.norm(features["2048"][:, :STORED_FEATURES] - theirs) < 5e-6 * np.linalg.norm(theirs)
    others = [STORED[f"pipeline_{other}_{side}"] for other in extractors.RESIZERS if other != name]
    assert min(np.linalg.norm(theirs - other) for other in others) > 1e-3 * np.linalg.norm(theirs)


def test_an_identity_says_what_the_numbers_depend_on(inception):
    assert inception["clean"].identity == {"extractor": f"inception-2015-12-05@sha256:{'0' * 16}", "resizer": "clean"}


def test_no_batch_is_dropped_and_the_order_is_kept():
    images = random_weights.images(21, 32)
    whole = extract.features(randconv.load(), images, batch=21)["mean"]
    close = {"rtol": 2e-6, "atol": 1e-6}
    for batch in (1, 8, 64):
        np.testing.assert_allclose(extract.features(randconv.load(), images, batch=batch)["mean"], whole, **close)
    alone = extract.features(randconv.load(), images[13:14])["mean"]
    np.testing.assert_allclose(alone, whole[13:14], **close)


def test_the_random_net_is_frozen():
    kernels = randconv.kernels()
    assert [kernel.shape[2:] for kernel in kernels] == [(3, 32), (32, 64), (64, 128), (128, 256)]
    assert randconv.digest(kernels) == randconv.SHA256
    np.testing.assert_allclose(kernels[0][..., :16].mean((0, 1)), 0, atol=1e-8)
    for kernel in kernels[1:]:
        assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * kernel.shape[2])), rel=0.01)


def test_the_random_net_takes_gray_images_and_any_size():
    gray = random_weights.images(3, 48)[..., :1]
    features = extract.features(randconv.load(), gray)["mean"]
    np.testing.assert_array_equal(features, extract.features(randconv.load(), gray.repeat(3, -1))["mean"])
    assert features.shape == (3, 480)
    assert extract.features(randconv.load(), gray[:, :17, :40])["mean"].shape == (3, 480)


def test_products_are_computed_in_full_float32():
    trace = jax.jit(randconv.apply).trace
    with jax.default_matmul_precision("highest"):  # the context that `extract.batches` sets
        lowered = trace(randconv.kernels(), np.zeros((1, 32, 32, 3), np.uint8)).lower(lowering_platforms=("cuda",))
    convolutions = [line for line in lowered.as_text().splitlines() if "stablehlo.convolution" in line]
    assert len(convolutions) == 4 and all("HIGHEST" in line for line in convolutions)


def test_an_unknown_extractor():
    with pytest.raises(UserError, match="did you mean 'inception_tf1'"):
        extractors.load("inception_tf")
