"""A net that runs layer by layer, with activations on disk, gives the same output as in memory."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import small

from ganjax import recipe
from ganjax.config.check import check
from ganjax.errors import UserError
from ganjax.inference import streamed
from ganjax.nets import translate
from ganjax.nets.stages import with_parameters


def net_and_image(blur, size, blocks=2, **kinds):
    """Return a generator's stages, an image (H, W, C), and the generator's output for the whole image."""
    net = translate.Generator(4, blocks, blur=blur, **kinds)
    image = jax.random.uniform(jax.random.key(0), (1, *size, 3), minval=-1)
    variables = jax.jit(lambda: net.init(jax.random.key(1), image, train=False))()
    whole = jax.jit(lambda variables: net.apply(variables, image, train=False).image)(variables)
    return with_parameters(net, variables["params"]), np.asarray(image[0]), np.asarray(whole[0])


@pytest.mark.parametrize("rows", [8, 64])
@pytest.mark.parametrize("blur", [False, True])
@pytest.mark.parametrize("size", [(200, 132), (36, 8)])
def test_it_is_the_whole_image(blur, size, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(streamed.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(streamed, "ROWS", rows)
    stages, image, whole = net_and_image(blur, size)
    np.testing.assert_allclose(streamed.translate(stages, image), whole, atol=1e-5)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("blur", [False, True])
def test_it_computes_in_the_nets_dtype(blur):
    """In bfloat16 a few values are rounded the other way, off by 2^-8; if computed in float32, all would be off."""
    stages, image, whole = net_and_image(blur, (72, 40), dtype=jnp.bfloat16)
    result = streamed.translate(stages, image)
    assert result.dtype == np.float32
    assert np.mean(result == whole) > 0.5
    np.testing.assert_allclose(result, whole, atol=0.05)


@pytest.mark.slow
def test_it_is_the_whole_image_at_a_megapixel():
    """At full width, with nine blocks: more rounding errors, and far more pixels in each norm."""
    net = translate.Generator()
    image = jax.random.uniform(jax.random.key(0), (1, 1024, 1024, 3), minval=-1)
    variables = jax.jit(lambda: net.init(jax.random.key(1), image[:, :64, :64], train=False))()
    whole = jax.jit(lambda variables, image: net.apply(variables, image, train=False).image)(variables, image)
    result = streamed.translate(with_parameters(net, variables["params"]), np.asarray(image[0]))
    np.testing.assert_allclose(result, whole[0], atol=1e-4)


@pytest.mark.parametrize("name", ["cyclegan", "cut"])
def test_methods_have_the_stages_of_their_own_generator(name):
    gan = recipe.build(check(small(name)))
    batch = {side: jax.random.uniform(jax.random.key(i), (1, 32, 32, 3), minval=-1) for i, side in enumerate("ab")}
    state = jax.jit(gan.init)(jax.random.key(2), batch)
    variables = {name: network.variables for name, network in state.networks.items()}
    assert set(gan.methods) == ({"translate_ab", "translate_ba"} if name == "cyclegan" else {"translate_ab"})
    for method in gan.methods.values():
        inputs = method.inputs(jax.random.key(3), 1, batch)
        whole = method.apply(variables, jax.random.key(4), inputs)["image"][0]
        result = streamed.translate(method.stages(variables), np.asarray(inputs["image"][0]))
        np.testing.assert_allclose(result, whole, atol=1e-5)


@pytest.mark.parametrize("name", ["pix2pix", "sincut"])
def test_a_net_without_stages_is_refused(name):
    gan = recipe.build(check(small(name)))
    assert [method.stages for method in gan.methods.values()] == [None]
    with pytest.raises(UserError, match="for residual generators .*--tile=fast"):
        streamed.translate(None, np.zeros((8, 8, 3), np.float32))


@pytest.mark.parametrize("kind", ["none", "pixel"])
def test_other_norms_are_not_taken_for_instance_norms(kind):
    stages, image, _ = net_and_image(False, (36, 8), 1, norm=kind)
    with pytest.raises(ValueError, match="must be an instance norm"):
        streamed.translate(stages, image)


def test_a_full_disk_is_told(monkeypatch):
    stages, image, _ = net_and_image(False, (36, 8), 1)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(UserError, match="No space left on device; set TMPDIR"):
        streamed.translate(stages, image)
