import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ganjax.ops import resample


def images(h=6, w=8, c=3):
    return jnp.asarray(np.random.default_rng(0).standard_normal((2, h, w, c)))


def filtered(x, fir, pads, mode):
    """Convolve each axis with the normalised filter, one output pixel at a time."""
    fir = np.asarray(fir, np.float64) / np.sum(fir)
    for axis in (1, 2):
        sides = [(0, 0)] * 4
        sides[axis] = pads
        x = np.pad(x, sides, mode)
        x = np.stack(
            [
                np.tensordot(fir, np.take(x, range(i, i + len(fir)), axis), (0, axis))
                for i in range(x.shape[axis] - len(fir) + 1)
            ],
            axis,
        )
    return x


@pytest.mark.parametrize(
    ("fir", "pads", "mode", "numpy_mode"),
    [
        ((1, 3, 3, 1), (1, 1), "zero", "constant"),
        ((1, 2, 1), (1, 1), "reflect", "reflect"),
        ((1, 1), (0, 0), "zero", "constant"),
        ((1, 4, 6, 4, 1), (2, 2), "edge", "edge"),
    ],
)
def test_downsampling_is_filtering_then_dropping(x64, fir, pads, mode, numpy_mode):
    x = images()
    expected = filtered(np.asarray(x), fir, pads, numpy_mode)[:, ::2, ::2]
    np.testing.assert_allclose(resample.downsample(x, fir, 2, mode), expected[:, :3, :4], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("fir", "factor", "pads"), [((1, 3, 3, 1), 2, (2, 1)), ((1, 2, 3, 2, 1), 3, (3, 1)), ((1, 1), 2, (1, 0))]
)
def test_upsampling_is_filtering_after_zeros(x64, fir, factor, pads):
    x = np.asarray(images())
    zeros = np.zeros((2, 6 * factor, 8 * factor, 3))
    zeros[:, ::factor, ::factor] = x
    expected = factor**2 * filtered(zeros, fir, pads, "constant")
    np.testing.assert_allclose(resample.upsample(jnp.asarray(x), fir, factor), expected, rtol=0, atol=1e-12)


def test_bilinear_interpolates_between_centres(x64):
    x = jnp.asarray([0.0, 1.0, 3.0]).reshape(1, 1, 3, 1)
    expected = [0, 0.25, 0.75, 1.5, 2.5, 3]
    np.testing.assert_allclose(resample.bilinear(x)[0, 0, :, 0], expected, atol=1e-12)
    np.testing.assert_allclose(resample.bilinear(jnp.ones((1, 3, 4, 2))), 1.0)
    library = jax.image.resize(images(), (2, 12, 16, 3), "bilinear")
    np.testing.assert_allclose(resample.bilinear(images()), library, atol=1e-6)


def test_nearest_repeats_and_average_pool_undoes_it(x64):
    x = images()
    np.testing.assert_array_equal(resample.nearest(x, 3), np.repeat(np.repeat(x, 3, 1), 3, 2))
    np.testing.assert_allclose(resample.average_pool(resample.nearest(x, 3), 3), x, atol=1e-12)


def test_depth_to_space_orders_and_returns(x64):
    x = jnp.arange(8.0).reshape(1, 1, 1, 8)
    np.testing.assert_array_equal(resample.depth_to_space(x)[0, :, :, 0], [[0, 2], [4, 6]])
    np.testing.assert_array_equal(resample.space_to_depth(resample.depth_to_space(x)), x)


def test_upsampling_is_the_adjoint_of_downsampling(x64):
    x, y = images(), images(3, 4)
    down = jnp.vdot(resample.downsample(x), y)
    np.testing.assert_allclose(down, jnp.vdot(x, resample.upsample(y)) / 4, rtol=1e-12)


def test_padding(x64):
    x = jnp.arange(3.0).reshape(1, 1, 3, 1)

    def line(mode):
        return resample.pad(x, ((0, 0), (2, 1)), mode)[0, 0, :, 0].tolist()

    assert (line("zero"), line("reflect"), line("edge")) == ([0, 0, 0, 1, 2, 0], [2, 1, 0, 1, 2, 1], [0, 0, 0, 1, 2, 2])
    with pytest.raises(ValueError, match="too small to reflect"):
        resample.pad(x, 1, "reflect")
    with pytest.raises(ValueError, match="'wrap'"):
        resample.pad(x, 1, "wrap")
    with pytest.raises(ValueError, match="are not divisible by 2"):
        resample.average_pool(images(5, 4))
    with pytest.raises(ValueError, match="3 channels are not divisible"):
        resample.depth_to_space(images())


@pytest.mark.parametrize("corners", [False, True])
def test_resizing_a_ramp_gives_the_ramp_at_pytorchs_places(corners, x64):
    """Linear interpolation of x -> x: the value at pixel i is its place, within the image."""
    ramp = jnp.broadcast_to(jnp.arange(5.0)[None, None, :, None], (1, 4, 5, 2))
    large = resample.resize(ramp, (8, 12), corners)
    assert large.shape == (1, 8, 12, 2)
    places = np.arange(12) * 4 / 11 if corners else np.clip((np.arange(12) + 0.5) * 5 / 12 - 0.5, 0, 4)
    np.testing.assert_allclose(large[0, :, :, 0], np.tile(places, (8, 1)), atol=1e-12)
    np.testing.assert_allclose(resample.resize(ramp, (4, 5), corners), ramp, atol=1e-12)
