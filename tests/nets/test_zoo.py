"""SNGAN-32's and CycleGAN's nets against PyTorch's outputs and gradients for the same weights (make_zoo.py)."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ganjax.nets import resnet, translate

FIXTURES = Path(__file__).parents[1] / "fixtures"


def count(net, x):
    shapes = jax.eval_shape(lambda: net.init(jax.random.key(0), x, train=False))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


def test_the_nets_have_their_published_sizes():
    assert count(resnet.Generator((32, 32)), jnp.zeros((1, 128))) == 4_276_739
    assert count(resnet.Discriminator(), jnp.zeros((1, 32, 32, 3))) == 1_053_825
    assert count(translate.Generator(), jnp.zeros((1, 64, 64, 3))) == 11_378_179
    assert count(translate.Discriminator(), jnp.zeros((1, 64, 64, 3))) == 2_764_737


def nhwc(array):
    return array.transpose(0, 2, 3, 1)


class Weights:
    """PyTorch's weights in ganjax's layout."""

    def __init__(self, arrays):
        self.arrays = arrays

    def conv(self, name):
        return {"kernel": self.arrays[f"{name}.weight"].transpose(2, 3, 1, 0), "bias": self.arrays[f"{name}.bias"]}

    def up(self, name):  # PyTorch's transposed convolution is an adjoint: its kernel is flipped
        kernel = self.arrays[f"{name}.weight"][:, :, ::-1, ::-1].transpose(2, 3, 0, 1)
        return {"kernel": kernel, "bias": self.arrays[f"{name}.bias"]}

    def norm(self, name):
        return {"scale": self.arrays[f"{name}.weight"], "bias": self.arrays[f"{name}.bias"]}

    def spectral(self, name):
        """Return (the layer's parameters, its vectors u and v)."""
        stem = f"{name}.parametrizations.weight"
        weight, u, v = (self.arrays[f"{stem}.{key}"] for key in ("original", "0._u", "0._v"))
        if weight.ndim == 4:
            v = v.reshape(weight.shape[1:]).transpose(1, 2, 0).ravel()
            weight = weight.transpose(2, 3, 1, 0)
        else:
            weight = weight.T
        return {"kernel": weight, "bias": self.arrays[f"{name}.bias"]}, {"u": u, "v": v}


def sngan_variables(arrays):
    weights = Weights(arrays)
    stem = arrays["g.1.weight"].T.reshape(16, 8, 4, 4).transpose(0, 2, 3, 1).reshape(16, -1)
    g = {"project": {"kernel": stem, "bias": arrays["g.1.bias"].reshape(8, 4, 4).transpose(1, 2, 0).ravel()}}
    for i in range(3):
        name = f"g.{3 + i}"
        g[f"block_{i}"] = {key: weights.conv(f"{name}.{key}") for key in ("conv_1", "conv_2", "shortcut")}
        g[f"block_{i}"] |= {key: weights.norm(f"{name}.{key}") for key in ("norm_1", "norm_2")}
    g |= {"norm": weights.norm("g.6"), "to_image": weights.conv("g.8")}
    d, vectors = {}, {}
    for i, block in enumerate(("stem", "block_0", "block_1", "block_2")):
        d[block], vectors[block] = {}, {}
        for key in ("conv_1", "conv_2", "shortcut"):
            if f"d.blocks.{i}.{key}.bias" in arrays:
                d[block][key], vectors[block][f"sn_{key}"] = weights.spectral(f"d.blocks.{i}.{key}")
    d["head"], vectors["sn_head"] = weights.spectral("d.head")
    return {"params": g}, {"params": d, "spectral": vectors}


def cyclegan_variables(arrays):
    weights = Weights(arrays)
    convs = {"stem": "g.1", "down_1": "g.4", "down_2": "g.7", "to_image": "g.18"}
    g = {ours: weights.conv(theirs) for ours, theirs in convs.items()}
    g["block_0"] = {"conv_0": weights.conv("g.10.body.1"), "conv_1": weights.conv("g.10.body.5")}
    g |= {"up_1": weights.up("g.11"), "up_0": weights.up("g.14")}
    d = {f"conv_{i}": weights.conv(f"d.{n}") for i, n in enumerate((0, 2, 5, 8))} | {"head": weights.conv("d.11")}
    return {"params": g}, {"params": d}


def assert_close(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-4 * np.abs(theirs).max())


@pytest.mark.parametrize("name", ["sngan", "cyclegan"])
def test_outputs_and_gradients_equal_pytorchs(name):
    arrays = dict(np.load(FIXTURES / f"{name}.npz"))
    if name == "sngan":
        (g_vars, d_vars), inputs = sngan_variables(arrays), arrays["given"]
        g, d = resnet.Generator((32, 32), (8, 8, 8, 8)), resnet.Discriminator((8, 8, 8, 8))
    else:
        (g_vars, d_vars), inputs = cyclegan_variables(arrays), nhwc(arrays["given"])
        g, d = translate.Generator(4, blocks=1), translate.Discriminator(4)
        arrays |= {"logits": arrays["logits"][:, 0], "fake_grad": nhwc(arrays["fake_grad"])}
    wave = jnp.cos(jnp.arange(arrays["fake"].size).reshape(arrays["fake"].shape).astype(jnp.float32))

    def generate(x):
        stats = jax.eval_shape(lambda: g.init(jax.random.key(0), x, train=False)).get("batch_stats", {})
        variables = {**g_vars, "batch_stats": jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), stats)}
        return g.apply(variables, x, train=True, mutable=["batch_stats"])[0].image

    assert_close(jax.jit(generate)(inputs), nhwc(arrays["fake"]))
    assert_close(jax.jit(jax.grad(lambda x: jnp.vdot(generate(x), nhwc(wave))))(inputs), arrays["fake_grad"])

    def judge(x):
        return d.apply(d_vars, x, train=False).logits[0]

    image = nhwc(arrays["image"])
    wave = jnp.cos(jnp.arange(arrays["logits"].size).reshape(arrays["logits"].shape).astype(jnp.float32))
    assert_close(jax.jit(judge)(image), arrays["logits"])
    assert_close(jax.jit(jax.grad(lambda x: jnp.vdot(judge(x), wave)))(image), nhwc(arrays["logits_grad"]))


def test_spectral_norm_finds_the_largest_singular_value():
    d = resnet.Discriminator((8, 8, 8, 8))
    x = jax.random.normal(jax.random.key(1), (2, 32, 32, 3))
    variables = dict(jax.jit(lambda: d.init(jax.random.key(0), x, train=False))())
    step = jax.jit(lambda v: d.apply(v, x, train=True, mutable=["spectral"])[1])
    for _ in range(60):
        variables |= step(variables)
    kernel = np.asarray(variables["params"]["stem"]["conv_2"]["kernel"]).reshape(-1, 8)
    vectors = variables["spectral"]["stem"]["sn_conv_2"]
    sigma = vectors["v"] @ kernel @ vectors["u"]
    np.testing.assert_allclose(sigma, np.linalg.svd(kernel, compute_uv=False)[0], rtol=1e-4)


def test_spectral_vectors_stay_when_they_are_not_to_move():
    d = resnet.Discriminator((8, 8, 8, 8))
    x = jnp.zeros((1, 32, 32, 3))
    variables = d.init(jax.random.key(0), x, train=False)
    _, after = d.apply(variables, x, train=False, mutable=["spectral"])
    jax.tree.map(np.testing.assert_array_equal, after["spectral"], variables["spectral"])


def test_sides_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="must be divisible by 4"):
        jax.eval_shape(lambda: translate.Generator().init(jax.random.key(0), jnp.zeros((1, 30, 32, 3)), train=False))
