import jax
import jax.numpy as jnp
import pytest

from ganjax.nets.dcgan import Discriminator, Generator, grid


def shapes(net, *inputs):
    return jax.eval_shape(lambda: net.init(jax.random.key(0), *(jnp.zeros(s) for s in inputs), train=False))


def count(net, *inputs) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(shapes(net, *inputs)["params"]))


def test_parameters_of_the_published_64_pixel_nets():
    # The parameter counts of PyTorch's tutorial DCGAN.
    assert count(Generator((64, 64)), (1, 100)) == 3_576_704
    assert count(Discriminator(), (1, 64, 64, 3)) == 2_765_568


def test_parameters_of_the_32_pixel_nets():
    # 100*256*16 + (256*128 + 128*64 + 64*3)*16, and scale and bias of 256 + 128 + 64 channels
    assert count(Generator((32, 32)), (1, 100)) == 100 * 4096 + (256 * 128 + 128 * 64 + 64 * 3) * 16 + 2 * 448
    assert count(Discriminator(), (1, 32, 32, 3)) == (3 * 64 + 64 * 128 + 128 * 256 + 256) * 16 + 2 * 384


def test_parameters_of_the_digits_nets():
    g = Generator((28, 28), channels=1)
    assert count(g, (1, 100)) == 100 * 49 * 128 + (128 * 64 + 64) * 16 + 2 * 192
    assert count(Discriminator(), (1, 28, 28, 1)) == (64 + 64 * 128) * 16 + 128 * 49 + 2 * 128


def test_parameters_of_the_dense_64_pixel_nets():
    g = Generator((64, 64), widths=(128, 128, 256, 512), norm="none", slope=0.2, head_kernel=5)
    stem, ups = (100 + 1) * 8192, (128 * 128 + 128 * 256 + 256 * 512) * 16 + 128 + 256 + 512
    assert count(g, (1, 100)) == stem + ups + 512 * 25 * 3 + 3
    d = Discriminator(widths=(128, 256), norm="none", dropout=0.25)
    assert count(d, (1, 64, 64, 3)) == (3 * 128 + 128 * 256) * 16 + 128 + 256 + 16 * 16 * 256 + 1


@pytest.mark.parametrize("size", [(28, 28), (32, 32), (48, 32), (64, 96), (128, 128)])
def test_any_size_of_the_grid_times_a_power_of_two(size):
    g, d = Generator(size, width=4), Discriminator(width=4)
    variables = shapes(g, (2, 8))
    out = jax.eval_shape(lambda v: g.apply(v, jnp.zeros((2, 8)), train=False), variables)
    assert out.image.shape == (2, *size, 3)
    out = jax.eval_shape(
        lambda: d.apply(
            d.init(jax.random.key(0), jnp.zeros((2, *size, 3)), train=False), jnp.zeros((2, *size, 3)), train=False
        )
    )
    assert [logits.shape for logits in out.logits] == [(2,)]
    assert [features.shape[1:3] for features in out.features] == [grid(size)[0]]
    assert 4 <= min(grid(size)[0]) < 8


@pytest.mark.parametrize("size", [(30, 30), (4, 4), (64, 65), (100, 104)])
def test_another_size_is_refused_with_one_that_works(size):
    with pytest.raises(ValueError, match="28, 32, 48, 64"):
        grid(size)


def test_bfloat16_computes_low_and_returns_float32():
    g = Generator((32, 32), width=4, dtype=jnp.bfloat16)
    variables = shapes(g, (2, 8))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(variables))
    assert jax.eval_shape(lambda v: g.apply(v, jnp.zeros((2, 8)), train=False), variables).image.dtype == jnp.float32
    jaxpr = str(jax.make_jaxpr(lambda v: g.apply(v, jnp.zeros((2, 8)), train=False))(variables))
    assert "bf16[2,32,32,3] = conv_input_grad" in jaxpr.replace("\n", " ")
