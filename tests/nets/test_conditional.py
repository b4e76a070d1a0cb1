"""Conditional layers and rescaled kernels: identity at init, projection and class head by hand, equalised rate."""

import importlib
from unittest import mock

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import config_of

from ganjax.adversarial import alternate
from ganjax.nets import conditional, dcgan, layers, resnet, spectral
from ganjax.ops.norm import pixel_norm

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (6, 4, 4, 5)) * 3 + 1
LABEL = jnp.array([[0, 1], [2, 0], [1, -1], [-1, -1], [0, 0], [2, 1]])


def test_labels_become_rows_of_ones():
    hot = conditional.multi_hot(LABEL, (3, 2))
    assert hot.tolist()[0] == [1, 0, 0, 0, 1] and hot.tolist()[2] == [0, 1, 0, 0, 0] and hot.tolist()[3] == [0] * 5


def test_a_conditional_norm_is_batch_norm_at_init_and_its_gain_is_added_to_one():
    net, condition = conditional.ConditionalNorm(), conditional.multi_hot(LABEL, (3, 2))
    variables = net.init(KEY, X, condition, train=True)
    plain = (X - X.mean((0, 1, 2))) / np.sqrt(X.var((0, 1, 2)) + 1e-5)
    out, _ = net.apply(variables, X, condition, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(out, plain, atol=1e-4)
    params = jax.tree.map(lambda leaf: leaf, variables["params"])
    params["gain"]["kernel"] = params["gain"]["kernel"].at[2].set(0.5)
    params["bias"]["kernel"] = params["bias"]["kernel"].at[2].set(7.0)
    out, _ = net.apply({**variables, "params": params}, X, condition, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(out[1], 1.5 * plain[1] + 7, atol=1e-3)
    np.testing.assert_allclose(out[0], plain[0], atol=1e-4)


@pytest.mark.parametrize("name", ["sngan", "sagan"])
def test_a_conditional_generator_ignores_its_labels_at_init(name):
    weight = "spectral" if name == "sagan" else "none"
    net = resnet.Generator((8, 8), (4, 4, 4), weight=weight, sizes=(3, 2))
    z = jax.random.normal(KEY, (6, 5))
    variables = net.init(KEY, z, LABEL, train=False)
    images = [net.apply(variables, z, label, train=False).image for label in (LABEL, LABEL[::-1])]
    np.testing.assert_array_equal(*images)


def test_attention_is_the_identity_at_init_and_a_weighted_mean_after():
    net = resnet.SelfAttention("none")
    variables = net.init(KEY, X, train=False)
    np.testing.assert_array_equal(net.apply(variables, X, train=False), X)
    params = {**variables["params"], "gate": jnp.array(1.0)}
    k = {name: params[name]["kernel"][0, 0] for name in ("query", "key", "value", "out")}
    x = np.asarray(X[0]).reshape(16, 5)

    def pool(y):
        return y.reshape(2, 2, 2, 2, -1).max((1, 3)).reshape(4, -1)

    scores = (x @ k["query"]) @ pool(x @ k["key"]).T
    share = np.exp(scores - scores.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    by_hand = x + share @ pool(x @ k["value"]) @ k["out"]
    out = net.apply({"params": params}, X, train=False)[0].reshape(16, 5)
    np.testing.assert_allclose(out, by_hand, atol=1e-4)


def test_projection_adds_the_product_of_embedding_and_features():
    net = dcgan.Discriminator(width=4, norm="none")
    images = jax.random.normal(KEY, (6, 16, 16, 3))
    projected = conditional.Projected(net, (3, 2), "none")
    variables = projected.init(KEY, images, LABEL, train=False)
    (logits,), (features,), *_ = projected.apply(variables, images, LABEL, train=False)
    plain = net.apply({"params": variables["params"]["net"]}, images, train=False).logits[0]
    embedding = conditional.multi_hot(LABEL, (3, 2)) @ variables["params"]["embed"]["kernel"]
    np.testing.assert_allclose(logits, plain + (embedding * features.sum((1, 2))).sum(1), rtol=1e-4, atol=1e-5)
    assert float(logits[3]) == pytest.approx(float(plain[3]), rel=1e-5)  # its label is unknown
    classified = conditional.Classified(net, (3, 2), "none")
    out = classified.apply(classified.init(KEY, images, train=False), images, train=False)
    assert out.classes.shape == (6, 5)


class Layer(nn.Module):
    kind: str

    @nn.compact
    def __call__(self, x):
        init = nn.initializers.normal(0.3)
        return spectral.weighted(self.kind, True, layers.Conv, 8, (3, 3), kernel_init=init, name="conv")(x)


def test_equalised_kernels_are_scaled_at_run_time():
    variables = Layer("equalized").init(KEY, X)
    kernel = variables["params"]["conv"]["kernel"]
    assert kernel.shape == (3, 3, 5, 8) and 0.85 < float(kernel.std()) < 1.15
    scaled = {"kernel": kernel * np.sqrt(2 / 45), "bias": jnp.zeros(8)}
    plain = layers.Conv(8, (3, 3)).apply({"params": scaled}, X)
    np.testing.assert_allclose(Layer("equalized").apply(variables, X), plain, atol=1e-5)


def test_spectral_kernels_are_divided_at_run_time_and_stay_as_they_were_drawn():
    kernel = Layer("none").init(KEY, X)["params"]["conv"]["kernel"]
    variables = Layer("spectral").init(KEY, X)
    np.testing.assert_array_equal(variables["params"]["conv"]["kernel"], kernel)
    for _ in range(60):
        out, vectors = Layer("spectral").apply(variables, X, mutable=["spectral"])
        variables = {**variables, **vectors}
    largest = np.linalg.norm(np.asarray(kernel).reshape(-1, 8), 2)
    plain = layers.Conv(8, (3, 3)).apply({"params": {"kernel": kernel / largest, "bias": jnp.zeros(8)}}, X)
    np.testing.assert_allclose(out, plain, atol=1e-3)


def test_pixel_norm_gives_every_pixel_a_mean_square_of_one():
    y = pixel_norm(X)
    np.testing.assert_allclose((y**2).mean(-1), 1, rtol=1e-5)
    assert layers.norm("pixel", True, None, jnp.float32, "n") is pixel_norm
    assert pixel_norm(X.astype(jnp.bfloat16)).dtype == jnp.bfloat16


def count(net, *inputs):
    shapes = jax.eval_shape(lambda: net.init(KEY, *inputs, train=False))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


def from_config(name, classes):
    """Return the parameter counts (G's, D's) of a config's nets."""
    config = config_of(name)
    config.data.classes, config.data.class_counts = tuple(map(str, range(classes))), (1,) * classes
    if not classes:
        config.data.labels, config.condition.kind = False, "none"
    with mock.patch.object(alternate, "build", lambda config, game, methods: game.players):
        players = importlib.import_module(f"ganjax.recipes.{config.recipe}").build(config)
    side = config.data.resolution
    label = jnp.zeros((1, 1), int) if classes else None
    z, image = jnp.zeros((1, config.model.z_dim)), jnp.zeros((1, side, side, 3))
    return count(players["generator"].net, z, label), count(players["discriminator"].net, image, label)


def test_the_configs_have_the_published_nets():
    # From the log of BigGAN-PyTorch's ImageNet-128 run.
    assert from_config("biggan128", 1000) == (70_433_988, 87_982_370)
    assert from_config("sngan", 0) == (4_276_739, 1_053_825)
    # 128*2048 + 2048; three blocks of 2 (128*128*9 + 128), 128*128 + 128 and two norms; norm; 128*27 + 3
    assert from_config("wgan_gp", 0) == (264_192 + 3 * 312_192 + 256 + 3_459, 1_053_825)


def test_the_64_pixel_nets_layer_by_layer():
    def block(i, h, o):
        return 9 * (i * h + h * o) + h + 2 * o + i * o

    def norms(i, o):
        return 2 * i + 2 * o

    widths = (1024, 512, 256, 128, 64)
    pairs = list(zip(widths, widths[1:], strict=False))
    g = 128 * 16 * 1024 + 16 * 1024 + sum(block(i, o, o) + norms(i, o) for i, o in pairs) + 2 * 64 + 27 * 64 + 3
    up = [3, 64, 128, 256, 512, 1024]
    d = sum(block(i, i if n else o, o) for n, (i, o) in enumerate(zip(up, up[1:], strict=False))) + 1024 + 1
    assert from_config("sngan64", 0) == (g, d)


def test_shapes_of_every_block_of_the_published_generator():
    net = resnet.Generator((128, 128), tuple(96 * i for i in (16, 16, 8, 4, 2, 1)), upsample="nearest", attention=(3,))
    _, state = jax.eval_shape(
        lambda: net.init_with_output(KEY, jnp.zeros((1, 120)), train=False, capture_intermediates=True, mutable=True)
    )
    shapes = {name: out["__call__"][0].shape for name, out in state["intermediates"].items() if "block" in name}
    expected = [(1, 8, 8, 1536), (1, 16, 16, 768), (1, 32, 32, 384), (1, 64, 64, 192), (1, 128, 128, 96)]
    assert [shapes[f"block_{i}"] for i in range(5)] == expected
    assert state["intermediates"]["attention_3"]["__call__"][0].shape == (1, 64, 64, 192)


def test_grids_that_do_not_fit_are_told():
    with pytest.raises(ValueError, match="5 doublings do not give 48x48"):
        resnet.base_grid((48, 48), 5)
    assert resnet.base_grid((32, 64), 3) == (4, 8)
