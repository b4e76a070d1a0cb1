import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ganjax.ops import conv_cpu, conv_mesh, conv_native, onednn, resample
from ganjax.ops.conv import conv, conv_doubled, conv_p, conv_transpose, filter_grad_p, input_grad_p
from ganjax.ops.conv_native import Geometry

NUMBERS = ("NHWC", "HWIO", "NHWC")
# kernel, strides, padding, dilation, groups, channels in, channels out
CONVS = [
    ((3, 3), (1, 1), "SAME", (1, 1), 1, 4, 6),
    ((4, 4), (2, 2), ((1, 1), (1, 1)), (1, 1), 1, 4, 6),
    ((4, 4), (2, 2), "SAME", (1, 1), 1, 40, 3),
    ((5, 3), (2, 3), "VALID", (1, 1), 1, 3, 5),
    ((3, 2), (1, 1), ((2, 0), (0, 3)), (2, 3), 1, 3, 5),
    ((2, 2), (3, 3), "SAME", (1, 1), 1, 3, 5),
    ((1, 1), (2, 2), "VALID", (1, 1), 1, 3, 5),
    ((3, 3), (1, 1), ((-1, 1), (0, -2)), (1, 1), 1, 3, 5),
    ((3, 3), (2, 1), "SAME", (1, 2), 1, 3, 5),
    ((3, 3), (2, 2), ((2, 2), (2, 2)), (2, 2), 1, 3, 5),
    ((3, 3), (1, 1), "SAME", (1, 1), 3, 6, 9),
    ((4, 4), (2, 2), "SAME", (1, 1), 2, 4, 6),
    ((3, 3), (1, 1), "SAME", (1, 1), 6, 6, 6),
    ((3, 3), (2, 2), "SAME", (1, 1), 6, 6, 6),
    ((3, 3), (1, 1), "SAME", (1, 1), 3, 3, 6),
]
TRANSPOSED = [
    ((4, 4), (2, 2), "SAME", (1, 1)),
    ((4, 4), (1, 1), "VALID", (1, 1)),
    ((3, 3), (2, 2), "SAME", (1, 1)),
    ((5, 3), (2, 3), "SAME", (1, 1)),
    ((3, 3), (1, 1), "SAME", (2, 1)),
    ((2, 2), (3, 3), "VALID", (1, 1)),
    ((4, 4), (2, 2), ((1, 2), (0, 3)), (1, 1)),
    ((1, 1), (2, 2), "SAME", (1, 1)),
    ((3, 3), (2, 2), ((1, 2), (1, 2)), (1, 1)),
]


def operands(kernel, inputs, outputs, groups=1, dtype=np.float64):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 9, 8, inputs)).astype(dtype)
    return jnp.asarray(x), jnp.asarray(rng.standard_normal((*kernel, inputs // groups, outputs)).astype(dtype))


def with_gradients(op, x, k):
    y, pull = jax.vjp(op, x, k)
    g = jnp.asarray(np.random.default_rng(1).standard_normal(y.shape), y.dtype)
    return y, *pull(g)


@pytest.mark.parametrize(("kernel", "strides", "padding", "dilation", "groups", "inputs", "outputs"), CONVS)
def test_convolution_and_its_gradients_equal_the_native_ones(
    x64, kernel, strides, padding, dilation, groups, inputs, outputs
):
    x, k = operands(kernel, inputs, outputs, groups)

    def native(x, k):
        return jax.lax.conv_general_dilated(
            x, k, strides, padding, None, dilation, dimension_numbers=NUMBERS, feature_group_count=groups
        )

    ours = with_gradients(lambda x, k: conv(x, k, strides, padding, dilation, groups), x, k)
    for a, b in zip(ours, with_gradients(native, x, k), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("kernel", "strides", "padding", "dilation"), TRANSPOSED)
def test_transposed_convolution_and_its_gradients_equal_the_native_ones(x64, kernel, strides, padding, dilation):
    x, k = operands(kernel, 3, 4)

    def native(x, k):
        return jax.lax.conv_transpose(x, k, strides, padding, dilation, NUMBERS)

    ours = with_gradients(lambda x, k: conv_transpose(x, k, strides, padding, dilation), x, k)
    for a, b in zip(ours, with_gradients(native, x, k), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10)


def native_of(primitive):
    return {
        conv_p: conv_native.conv,
        input_grad_p: conv_native.input_grad,
        filter_grad_p: conv_native.filter_grad,
    }[primitive]


def triad(groups):
    """Yield (ganjax's map, XLA's map, its two operands) for the three maps of one strided convolution with groups."""
    geometry = Geometry((2, 2), ((1, 1), (1, 1)), (1, 1), groups)
    x, k = operands((4, 3), 4, 6, groups, np.float32)
    g = jnp.asarray(np.random.default_rng(2).standard_normal(conv_native.shape(x, k, geometry)), jnp.float32)
    for primitive, a, b, static in (
        (conv_p, x, k, {}),
        (input_grad_p, g, k, {"size": x.shape[1:3]}),
        (filter_grad_p, x, g, {"size": k.shape[:2]}),
    ):
        static = {"geometry": geometry, **static}
        ours = functools.partial(primitive.bind, **static)
        native = functools.partial(native_of(primitive), **static)
        yield pytest.param(ours, native, a, b, id=f"{primitive.name}-{groups}")


TRIADS = [*triad(1), *triad(2)]


def check_fast_and_equal(ours, native, *args):
    """Assert that `ours` consists of the three primitives only, and returns the same as `native`."""
    assert "conv_general_dilated" not in str(jax.make_jaxpr(ours)(*args))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-10), ours(*args), native(*args))


@pytest.mark.parametrize(("ours", "native", "a", "b"), TRIADS)
def test_forward_mode_and_its_reverse(x64, ours, native, a, b):
    a, b = jnp.asarray(np.asarray(a), jnp.float64), jnp.asarray(np.asarray(b), jnp.float64)

    def tangents(op):
        return lambda a, b: jax.jvp(op, (a, b), (jnp.cos(a), jnp.sin(b)))

    check_fast_and_equal(tangents(ours), tangents(native), a, b)

    def reverse_of_forward(op):
        return jax.grad(lambda a, b: jnp.sum(jnp.sin(tangents(op)(a, b)[1])), (0, 1))

    check_fast_and_equal(reverse_of_forward(ours), reverse_of_forward(native), a, b)


@pytest.mark.parametrize(("ours", "native", "a", "b"), TRIADS)
def test_gradients_of_gradients_through_a_checkpoint(x64, ours, native, a, b):
    a, b = jnp.asarray(np.asarray(a), jnp.float64), jnp.asarray(np.asarray(b), jnp.float64)

    def penalty(op):
        inner = jax.grad(lambda a, b: jnp.sum(jnp.sin(jax.checkpoint(op)(a, b))))
        return jax.grad(lambda a, b: jnp.sum(inner(a, b) ** 2), (0, 1))

    check_fast_and_equal(penalty(ours), penalty(native), a, b)


@pytest.mark.parametrize(("ours", "native", "a", "b"), TRIADS)
@pytest.mark.parametrize(
    ("a_axis", "b_axis"), [p for p in itertools.product((None, 0, 2), repeat=2) if any(q is not None for q in p)]
)
def test_batching_over_either_operand_or_both(x64, ours, native, a, b, a_axis, b_axis):
    def stacked(array, axis):
        array = jnp.asarray(np.asarray(array), jnp.float64)
        return array if axis is None else jnp.stack([array, array**2, 1 - array], axis)

    a, b = stacked(a, a_axis), stacked(b, b_axis)
    check_fast_and_equal(jax.vmap(ours, (a_axis, b_axis)), jax.vmap(native, (a_axis, b_axis)), a, b)


def test_gradients_for_each_example(x64):
    x, k = operands((4, 4), 3, 5)

    def each(op):
        return jax.vmap(jax.grad(lambda k, x: jnp.sum(jnp.sin(op(x[None], k)))), (None, 0))

    native = each(lambda x, k: jax.lax.conv_general_dilated(x, k, (2, 2), "SAME", dimension_numbers=NUMBERS))
    check_fast_and_equal(each(lambda x, k: conv(x, k, (2, 2))), native, k, x)


@pytest.fixture
def with_onednn(monkeypatch):
    monkeypatch.delenv("GANJAX_ONEDNN")
    onednn.available.cache_clear()
    if not onednn.available():
        pytest.skip("oneDNN is not used on this machine")
    yield
    onednn.available.cache_clear()


@pytest.mark.parametrize(("kernel", "strides", "padding", "dilation", "groups", "inputs", "outputs"), CONVS)
def test_onednn_gives_what_float64_gives(with_onednn, kernel, strides, padding, dilation, groups, inputs, outputs):
    x, k = operands(kernel, inputs, outputs, groups, np.float32)
    run = jax.jit(lambda x, k: with_gradients(lambda x, k: conv(x, k, strides, padding, dilation, groups), x, k))
    assert "__onednn$convolution" in run.lower(x, k).compile().as_text()
    ours = run(x, k)
    with jax.enable_x64(True):
        x, k = jnp.asarray(x, jnp.float64), jnp.asarray(k, jnp.float64)
        exact = with_gradients(
            lambda x, k: jax.lax.conv_general_dilated(
                x, k, strides, padding, None, dilation, dimension_numbers=NUMBERS, feature_group_count=groups
            ),
            x,
            k,
        )
    for a, b in zip(ours, exact, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6 * float(jnp.abs(b).max()) + 1e-6)


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 20), (20, 3), (1, 1), (20, 24)])
@pytest.mark.parametrize(
    ("kernel", "geometry"),
    [
        ((4, 4), Geometry((2, 2), ((1, 1), (1, 1)))),
        ((3, 5), Geometry((1, 1), ((1, 1), (2, 2)))),
        ((3, 3), Geometry((1, 1), ((0, 2), (4, -1)), (2, 1))),
        ((1, 1), Geometry()),
        ((1, 1), Geometry(padding=((0, 1), (2, -1)))),
    ],
)
def test_the_filter_gradient_of_few_channels_or_one_tap_is_one_product(with_onednn, kernel, geometry, inputs, outputs):
    x, k = operands(kernel, inputs, outputs, dtype=np.float32)
    g = jnp.asarray(np.random.default_rng(3).standard_normal(conv_native.shape(x, k, geometry)), jnp.float32)
    run = jax.jit(lambda x, g: conv_cpu.filter_grad(x, g, geometry=geometry, size=kernel))
    product = inputs <= conv_cpu.FEW or (geometry.strides == (1, 1) and (outputs <= conv_cpu.FEW or kernel == (1, 1)))
    assert ("__onednn$matmul" in run.lower(x, g).as_text()) == product
    ours = run(x, g)
    with jax.enable_x64(True):
        exact = conv_native.filter_grad(
            jnp.asarray(x, jnp.float64), jnp.asarray(g, jnp.float64), geometry=geometry, size=kernel
        )
    np.testing.assert_allclose(ours, exact, rtol=0, atol=1e-6 * float(jnp.abs(exact).max()) + 1e-6)


def test_a_filter_gradient_in_several_pieces(with_onednn, monkeypatch):
    monkeypatch.setattr(conv_cpu, "CACHE", 6_000)  # bytes: three or more pieces of rows
    geometry = Geometry((2, 2), ((1, 1), (1, 1)))
    x, k = operands((4, 4), 20, 24, dtype=np.float32)
    g = jnp.asarray(np.random.default_rng(3).standard_normal(conv_native.shape(x, k, geometry)), jnp.float32)
    pieces = jax.jit(lambda x, g: conv_cpu.over_batch_filter_grad(x, g, geometry, (4, 4)))
    assert pieces.lower(x, g).as_text().count("__onednn$convolution") > 1
    np.testing.assert_allclose(pieces(x, g), conv_native.filter_grad(x, g, geometry=geometry, size=(4, 4)), atol=1e-3)


def test_other_machines_do_without_onednn(monkeypatch):
    for setting, version in (("0", onednn.jaxlib.version.__version__), ("1", "99.0.0")):
        monkeypatch.setenv("GANJAX_ONEDNN", setting)
        monkeypatch.setattr(onednn.jaxlib.version, "__version__", version)
        assert not onednn.available.__wrapped__()


def test_nothing_comes_of_nothing():
    x, k = jnp.ones((2, 2, 8, 3)), jnp.ones((3, 3, 3, 4))
    y, *grads = with_gradients(lambda x, k: conv(x, k, padding="VALID"), x, k)
    assert y.shape == (2, 0, 6, 4)
    assert not any(np.any(grad) for grad in grads)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="'FULL'"):
        conv_transpose(jnp.zeros((1, 4, 4, 1)), jnp.zeros((3, 3, 1, 1)), padding="FULL")
    with pytest.raises(ValueError, match="'FULL'"):
        conv(jnp.zeros((1, 4, 4, 1)), jnp.zeros((3, 3, 1, 1)), padding="FULL")
    with pytest.raises(ValueError, match="do not fit a kernel"):
        conv(jnp.zeros((1, 4, 4, 4)), jnp.zeros((3, 3, 4, 4)), groups=2)


@pytest.mark.parametrize("strides", [(1, 1), (2, 2)])
def test_depthwise_on_a_mesh_is_xlas(strides, x64):
    geometry = Geometry(strides, ((1, 2), (2, 1)), (1, 1), 6)
    x, kernel = (jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate([(2, 9, 8, 6), (5, 5, 1, 6)]))
    y = conv_native.conv(x, kernel, geometry=geometry)
    g = jax.random.normal(jax.random.key(2), y.shape)
    for ours, theirs in (
        (conv_mesh.conv(x, kernel, geometry=geometry), y),
        (conv_mesh.input_grad(g, kernel, geometry=geometry, size=(9, 8)),
         conv_native.input_grad(g, kernel, geometry=geometry, size=(9, 8))),
        (conv_mesh.filter_grad(x, g, geometry=geometry, size=(5, 5)),
         conv_native.filter_grad(x, g, geometry=geometry, size=(5, 5))),
    ):  # fmt: skip
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_the_convolution_of_doubled_pixels_and_its_gradients(x64):
    x, k = operands((3, 3), 5, 4)
    doubled = with_gradients(conv_doubled, x, k)
    direct = with_gradients(lambda x, k: conv(resample.nearest(x), k), x, k)
    assert doubled[0].shape == (len(x), 2 * x.shape[1], 2 * x.shape[2], 4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10), doubled, direct)
