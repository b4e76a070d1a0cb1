"""Projected GAN's projector and discriminators against PyTorch modules with the same weights (make_projected.py)."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fixtures import random_weights

from ganjax.losses.logits import adversarial
from ganjax.nets import projected
from ganjax.nets.pretrained import lite0, weights

STORED = np.load(Path(__file__).parents[1] / "fixtures" / "projected.npz")
REAL, FAKE = np.split(random_weights.images(4, 32) / 127.5 - 1, 2)


@pytest.fixture(scope="module")
def constants():
    arrays = random_weights.mixing()

    def layer(name):
        return {"kernel": arrays[f"{name}.weight"].transpose(2, 3, 1, 0), "bias": arrays[f"{name}.bias"]}

    mixing = {part: [layer(f"{part}_{i}") for i in range(4)] for part in ("channels", "scales")}
    assert jax.tree.map(np.shape, mixing) == jax.tree.map(np.shape, projected.mixing(0))
    return {"lite0": lite0.variables(weights.load("lite0").arrays), "mixing": mixing}


@pytest.fixture(scope="module")
def variables():
    """Return the discriminators' variables with the peer's weights and converged spectral norms."""
    shapes, params, vectors = {}, {}, {}
    for i, inputs in enumerate(64 * multiple for multiple in projected.OUTPUTS):
        for j, width in enumerate(random_weights.WIDTHS[i:]):
            shapes[f"{i}.{3 * j}.weight"], inputs = (width, inputs, 4, 4), width
            shapes |= {f"{i}.{3 * j + 1}.{name}": (width,) for name in ("weight", "bias")}
        shapes[f"{i}.{3 * (j + 1)}.weight"] = (1, inputs, 4, 4)
    for name, array in random_weights.draw(shapes).items():
        i, place, field = name.split(".")
        j = int(place) // 3
        if array.ndim == 1:
            params.setdefault(f"map_{i}_norm_{j}", {})[{"weight": "scale"}.get(field, field)] = array
            continue
        layer = f"map_{i}_conv_{j}" if array.shape[0] > 1 else f"map_{i}_logits"
        kernel = np.ascontiguousarray(array.transpose(2, 3, 1, 0))
        left, _, right = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), full_matrices=False)
        params[layer] = {"kernel": kernel}
        vectors[f"sn_{layer}"] = {"u": right[0], "v": left[:, 0]}
    return {"params": params, "spectral": vectors}


def judge(constants, variables, images):
    maps = projected.project(constants, images, random_weights.SIDE)
    statistics = jax.eval_shape(lambda: projected.Discriminators().init(jax.random.key(0), maps, train=False))
    statistics = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), statistics["batch_stats"])
    whole = {**variables, "batch_stats": statistics}
    net = projected.Discriminators(param_dtype=images.dtype)
    out, _ = net.apply(whole, maps, train=True, mutable=["batch_stats", "spectral"])
    return out.logits[0], maps


@pytest.mark.slow  # tests/recipes/test_fastgan.py has a step of narrower ones
def test_maps_logits_and_gradients_equal_pytorchs(constants, variables, x64):
    """In float64: in float32 the gradient of batch norms of few values amplifies rounding to 4e-4."""
    constants, variables = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), (constants, variables))
    loss = adversarial("hinge")

    @jax.jit
    def computed(params, fake):
        def d_loss(params):
            (real_logits, maps), (fake_logits, _) = (
                judge(constants, {**variables, "params": params}, images) for images in (REAL, fake)
            )
            return loss.d((real_logits,), (fake_logits,)), (real_logits, fake_logits, maps)

        def g_loss(fake):
            return -judge(constants, {**variables, "params": params}, fake)[0].mean()

        (value, aux), gradients = jax.value_and_grad(d_loss, has_aux=True)(params)
        return value, aux, gradients, jax.grad(g_loss)(fake)

    value, (real, fake, maps), gradients, image_gradient = computed(variables["params"], FAKE)

    def near(ours, name):
        np.testing.assert_allclose(ours, STORED[name], rtol=0, atol=1e-6 * np.abs(STORED[name]).max(), err_msg=name)

    assert [view.shape[1:] for view in maps] == [(64, 64, 64), (32, 32, 64), (16, 16, 128), (8, 8, 256)]
    for i, view in enumerate(maps):
        near(view.mean((1, 2)), f"map_{i}")
        names = [f"map_{i}_conv_{j}" for j in range(4 - i)] + [f"map_{i}_logits"]
        near(np.array([jnp.linalg.norm(gradients[name]["kernel"]) for name in names]), f"gradient_{i}")
    near(value, "d_loss"), near(real, "real_logits"), near(fake, "fake_logits"), near(image_gradient, "image_gradient")


@pytest.mark.parametrize(
    ("size", "side", "shapes"),
    [
        ((32, 32), 224, [(112, 112), (56, 56), (28, 28), (14, 14)]),
        ((48, 80), 96, [(48, 80), (24, 40), (12, 20), (6, 10)]),
        ((32, 32), 96, [(48, 48), (24, 24), (12, 12), (6, 6)]),
    ],
)
def test_any_size_aspect_and_number_of_channels_is_judged_with_labels(size, side, shapes):
    def made(images, label):
        constants = {
            "lite0": lite0.Lite0().init(jax.random.key(0), images),
            "mixing": projected.mixing(1),
        }
        maps = projected.project(constants, images[..., :1], side)
        out, _ = projected.Discriminators(sizes=(3, 2)).init_with_output(jax.random.key(2), maps, label, train=False)
        return maps, out

    maps, out = jax.eval_shape(made, jnp.zeros((2, *size, 3)), jnp.zeros((2, 2), jnp.int32))
    assert [view.shape[1:3] for view in maps] == shapes
    assert out.logits[0].shape == (2, sum((x.shape[1] - 3) * (x.shape[2] - 3) for x in out.features))
    assert min(out.logits[0].shape) > 0 and all(min(x.shape[1:3]) >= 4 for x in out.features)


@pytest.mark.parametrize(("shorter", "side"), [(16, 96), (64, 96), (96, 96), (100, 128), (128, 128), (256, 256)])
def test_a_view_is_no_smaller_than_the_images(shorter, side):
    assert projected.side_for(shorter) == side
    assert projected.view_size((shorter, shorter), side) == (side, side)


def test_unknown_labels_are_zeros_and_known_ones_turn_the_logits():
    maps = tuple(jax.random.normal(jax.random.key(i), (2, 16 >> i, 16 >> i, 8)) for i in range(4))[:2]
    net = projected.Discriminators(sizes=(3,))
    variables = net.init(jax.random.key(5), maps, jnp.zeros((2, 1), jnp.int32), train=False)
    logits = [net.apply(variables, maps, jnp.full((2, 1), label), train=False).logits[0] for label in (0, 1, -1)]
    assert float(jnp.abs(logits[0] - logits[1]).max()) > 0
    assert float(jnp.abs(logits[2]).max()) == 0, "the embedding of no label is 0, and so are its logits"
