"""FastGAN's light generator: sizes, the number of parameters, excitation, labels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ganjax.nets import fastgan


def made(resolution, width=4, sizes=(), label=None):
    net = fastgan.Generator(resolution, width, sizes=sizes)
    return net, *net.init_with_output(jax.random.key(0), jnp.ones((2, 16)), label, train=False)


@pytest.mark.parametrize("resolution", [(16, 16), (48, 80), (64, 128)])
def test_images_have_any_size_whose_shorter_side_is_4_doubled(resolution):
    _, out, _ = jax.eval_shape(lambda: (0, *made(resolution)[1:]))
    assert out.image.shape == (2, *resolution, 3)


def test_its_size_is_that_of_the_formula():
    """A layer has 3x3 kernels, f inputs, 2 f' outputs, each with scale and bias; from 64 pixels it is excited."""
    variables = jax.eval_shape(lambda: made((64, 64), width=32)[2])
    widths = (512, 256, 128, 64, 64)
    expected = 16 * 16 * 2 * widths[0] + 2 * 2 * widths[0]
    for before, after in zip(widths, widths[1:], strict=False):
        expected += 9 * before * 2 * after + 2 * 2 * after
    expected += 16 * widths[0] * widths[4] + widths[4] ** 2 + 9 * widths[4] * 3
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == expected


def test_the_layer_of_4_pixels_scales_the_channels_of_that_of_64():
    """As sigmoid(a) + sigmoid(-a) = 1 and the last layer is linear, two opposite excitations add up to none at all."""
    net, _, variables = made((64, 64))

    def logits(kernel, sign):
        params = {**variables["params"], "excite_4_scale": {"kernel": sign * kernel}}
        vectors = variables["spectral"]["sn_excite_4_scale"]
        spectral = {**variables["spectral"], "sn_excite_4_scale": {**vectors, "v": sign * vectors["v"]}}
        changed = {**variables, "params": params, "spectral": spectral}
        return np.arctanh(net.apply(changed, jnp.ones((2, 16)), train=False).image)

    kernel = variables["params"]["excite_4_scale"]["kernel"]
    other = jax.random.permutation(jax.random.key(1), kernel, axis=-1)
    np.testing.assert_allclose(
        logits(kernel, 1) + logits(kernel, -1), logits(other, 1) + logits(other, -1), rtol=0, atol=1e-6
    )
    assert np.abs(logits(kernel, 1) - logits(kernel, -1)).max() > 1e-5


def test_latents_are_scaled_to_a_unit_mean_square_and_labels_change_the_image():
    net, out, variables = made((16, 16), sizes=(3,), label=jnp.zeros((2, 1), jnp.int32))
    same = net.apply(variables, 5 * jnp.ones((2, 16)), jnp.zeros((2, 1), jnp.int32), train=False).image
    np.testing.assert_allclose(same, out.image, atol=1e-6)
    ones = jax.tree.map(lambda leaf: leaf + 0.1, variables["params"])  # the norms' conditions begin at 0
    images = [
        net.apply({**variables, "params": ones}, jnp.ones((2, 16)), jnp.full((2, 1), label), train=False).image
        for label in (0, 1)
    ]
    assert float(jnp.abs(images[0] - images[1]).max()) == 0, "equal maps of all labels give equal images"
    kernel = variables["params"]["norm_0"]["gain"]["kernel"].at[0].set(1.0)
    params = {**variables["params"], "norm_0": {**variables["params"]["norm_0"], "gain": {"kernel": kernel}}}
    images = [
        net.apply({**variables, "params": params}, jnp.ones((2, 16)), jnp.full((2, 1), label), train=False).image
        for label in (0, 1)
    ]
    assert float(jnp.abs(images[0] - images[1]).max()) > 0
