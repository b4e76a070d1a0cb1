"""Convolutions: three bilinear primitives, closed under differentiation, in the form that each backend runs fastest.

Arrays are NHWC, kernels HWIO, of any float dtype; the result has the same dtype. Write C(x, k) for the convolution. It
is linear in x and in k, so its two adjoints are bilinear too: X(g, k), with <C(x, k), g> = <x, X(g, k)>, and K(x, g),
with <C(x, k), g> = <k, K(x, g)>. The gradients of any of the three are the other two:

    C(x, k):  X(ct, k), K(x, ct)        X(g, k):  C(ct, k), K(ct, g)        K(x, g):  X(g, ct), C(x, ct)

Each is one primitive with these rules, so gradients of every order, `jvp`, `vmap` and `jax.checkpoint` consist of these
primitives only. Lowering chooses the implementation: on a CPU `ganjax.ops.conv_cpu`, elsewhere XLA's own convolution.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from ganjax.ops import conv_cpu, conv_mesh, conv_native
from ganjax.ops.conv_native import Geometry, Pair

Padding = str | Sequence[tuple[int, int]]


def conv(
    x: jax.Array,
    kernel: jax.Array,
    strides: Pair = (1, 1),
    padding: Padding = "SAME",
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> jax.Array:
    """Return C(x, k) of x (B, H, W, I) and k (kh, kw, I / groups, O): y[p] = sum_a x[stride p + dilation a - pad] k[a].

    `padding` is "SAME" (the output has ceil(H / stride) pixels), "VALID" (none), or ((top, bottom), (left, right)).
    With groups, output channel o depends on the I / groups inputs of its group; groups = I is a depthwise convolution.
    Raises ValueError if the channels do not match.
    """
    _check(x, kernel, kernel.shape[2] * groups, groups)
    padding = _explicit(padding, x.shape[1:3], kernel.shape[:2], strides, dilation)
    return conv_p.bind(x, kernel, geometry=Geometry(tuple(strides), padding, tuple(dilation), groups))


def conv_transpose(
    x: jax.Array, kernel: jax.Array, strides: Pair = (1, 1), padding: Padding = "SAME", dilation: Pair = (1, 1)
) -> jax.Array:
    """Return the transposed convolution of x (B, H, W, I) with kernel (kh, kw, I, O), as `jax.lax.conv_transpose` does.

    It is X(x, k*), the adjoint of the strided convolution whose kernel k* is `kernel` flipped in space with I and O
    exchanged. "SAME" gives H * stride pixels, "VALID" H * stride + max(k - stride, 0), k = dilation * (kh - 1) + 1;
    pairs pad x after stride - 1 zeros were put between its pixels. Raises ValueError if the channels do not match.
    """
    _check(x, kernel, kernel.shape[2], 1)
    extents = [d * (k - 1) + 1 for k, d in zip(kernel.shape, dilation, strict=False)]
    pads = _transposed_padding(padding, extents, strides)
    sides = list(zip(x.shape[1:3], extents, strides, pads, strict=True))
    size = tuple(s * (h - 1) + 1 + before + after - e + 1 for h, e, s, (before, after) in sides)
    adjoint = tuple((e - 1 - before, e - 1 - after) for _, e, _, (before, after) in sides)
    flipped = jnp.swapaxes(kernel[::-1, ::-1], 2, 3)
    return input_grad_p.bind(x, flipped, geometry=Geometry(tuple(strides), adjoint, tuple(dilation)), size=size)


def conv_doubled(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Return conv(y, kernel), (B, 2 H, 2 W, O), of y, which is x (B, H, W, I) with every pixel repeated twice a side.

    kernel: (3, 3, I, O). A pixel and its repetition share their products: the result is a transposed convolution with
    the kernel (4, 4, I, O) whose taps are sums of up to four taps, with 4 products a pixel in place of 9.
    """
    parts = [jnp.pad(kernel, ((i, 1 - i), (j, 1 - j), (0, 0), (0, 0))) for i in (0, 1) for j in (0, 1)]
    return conv_transpose(x, sum(parts), (2, 2))


def _check(x: jax.Array, kernel: jax.Array, channels: int, groups: int) -> None:
    if x.ndim != 4 or kernel.ndim != 4 or x.shape[3] != channels or kernel.shape[3] % groups:
        raise ValueError(
            f"images {x.shape} do not fit a kernel {kernel.shape} of {groups} group(s): they must be (B, H, W, I) and "
            "(kh, kw, I / groups, O), with O divisible by groups"
        )


def _explicit(padding: Padding, size: Sequence[int], kernel: Sequence[int], strides: Pair, dilation: Pair):
    if isinstance(padding, str):
        if padding not in ("SAME", "VALID"):
            raise ValueError(f"padding is {padding!r}; it must be 'SAME', 'VALID' or a pair of integers for each side")
        extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
        padding = jax.lax.padtype_to_pads(size, extents, strides, padding)
    return tuple((int(before), int(after)) for before, after in padding)


def _transposed_padding(padding: Padding, extents: Sequence[int], strides: Pair):
    """Return the padding of the dilated input; "SAME" and "VALID" are those of `jax.lax.conv_transpose`."""
    if padding not in ("SAME", "VALID"):
        return _explicit(padding, (), (), (), ())
    pairs = []
    for k, s in zip(extents, strides, strict=True):
        total = k + s - 2 + (max(k - s, 0) if padding == "VALID" else 0)
        before = k - 1 if padding == "VALID" or s > k - 1 else -(-total // 2)
        pairs.append((before, total - before))
    return tuple(pairs)


# The primitives.


def _primitive(name: str, shape: Callable, native: Callable, fast: Callable, on_mesh: Callable) -> Primitive:
    primitive = Primitive(name)
    primitive.def_impl(lambda *operands, **static: _compiled(primitive, tuple(static.items()))(*operands))
    primitive.def_abstract_eval(lambda a, b, **static: a.update(shape=shape(a, b, **static)))

    def on_cpu(context, *operands, **static):
        # XLA cannot partition a custom call over devices, so a mesh of CPUs (mostly in tests) uses other forms.
        is_single = getattr(context.module_context.axis_context, "num_devices", 2) == 1
        return mlir.lower_fun(fast if is_single else on_mesh, multiple_results=False)(context, *operands, **static)

    mlir.register_lowering(primitive, mlir.lower_fun(native, multiple_results=False))
    mlir.register_lowering(primitive, on_cpu, platform="cpu")
    return primitive


@functools.lru_cache(maxsize=512)
def _compiled(primitive: Primitive, static: tuple) -> Callable:
    """Return the jitted primitive, for calls outside `jit`."""
    return jax.jit(functools.partial(primitive.bind, **dict(static)))


conv_p = _primitive(
    "conv",
    lambda x, kernel, *, geometry: conv_native.shape(x, kernel, geometry),
    conv_native.conv,
    conv_cpu.conv,
    conv_mesh.conv,
)
input_grad_p = _primitive(
    "conv_input_grad",
    lambda g, kernel, *, geometry, size: (g.shape[0], *size, kernel.shape[2] * geometry.groups),
    conv_native.input_grad,
    conv_cpu.input_grad,
    conv_mesh.input_grad,
)
filter_grad_p = _primitive(
    "conv_filter_grad",
    lambda x, g, *, geometry, size: (*size, x.shape[3] // geometry.groups, g.shape[3]),
    conv_native.filter_grad,
    conv_cpu.filter_grad,
    conv_mesh.filter_grad,
)


# Differentiation. The operand to differentiate is passed as its abstract value, whose shape is the adjoint's size.


def _size(array, start: int = 1) -> Pair:
    return tuple(getattr(array, "aval", array).shape[start : start + 2])


ad.defbilinear(
    conv_p,
    lambda ct, x, kernel, *, geometry: input_grad_p.bind(ct, kernel, geometry=geometry, size=_size(x)),
    lambda ct, x, kernel, *, geometry: filter_grad_p.bind(x, ct, geometry=geometry, size=_size(kernel, 0)),
)
ad.defbilinear(
    input_grad_p,
    lambda ct, g, kernel, *, geometry, size: conv_p.bind(ct, kernel, geometry=geometry),
    lambda ct, g, kernel, *, geometry, size: filter_grad_p.bind(ct, g, geometry=geometry, size=_size(kernel, 0)),
)
ad.defbilinear(
    filter_grad_p,
    lambda ct, x, g, *, geometry, size: input_grad_p.bind(g, ct, geometry=geometry, size=_size(x)),
    lambda ct, x, g, *, geometry, size: conv_p.bind(x, ct, geometry=geometry),
)


# Batching. With one batched operand, the batch axis N is merged into B or into channels that only this operand has;
# with two, N is merged into the groups.


def _fold(array, dim: int, axis: int, groups: int = 1):
    """Merge axis `dim` (N) of a batched array into `axis` of the unbatched array, between its groups and the rest."""
    array = jnp.moveaxis(array, dim, 0)
    shape = array.shape[1:]
    split = array.reshape(array.shape[0], *shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :])
    merged = jnp.moveaxis(split, 0, axis + 1)
    return merged.reshape(*shape[:axis], array.shape[0] * shape[axis], *shape[axis + 1 :])


def _unfold(array, n: int, axis: int, groups: int = 1):
    """Invert `_fold`, with N as the first axis."""
    shape = array.shape
    split = array.reshape(*shape[:axis], groups, n, shape[axis] // groups // n, *shape[axis + 1 :])
    return jnp.moveaxis(split, axis + 1, 0).reshape(n, *shape[:axis], shape[axis] // n, *shape[axis + 1 :])


class _Merge(NamedTuple):
    """The axis of an operand, and of the result, into which N is merged, and whether groups come before N in it."""

    axis: int
    grouped: bool
    out_axis: int
    out_grouped: bool


def _register_batching(primitive: Primitive, first: _Merge, second: _Merge) -> None:
    def rule(operands, dims, *, geometry, **static):
        (a, b), (a_dim, b_dim) = operands, dims
        n = a.shape[a_dim] if a_dim is not None else b.shape[b_dim]
        if None not in (a_dim, b_dim):
            wide = geometry._replace(groups=n * geometry.groups)
            return _unfold(primitive.bind(_fold(a, a_dim, 3), _fold(b, b_dim, 3), geometry=wide, **static), n, 3), 0
        merge = second if a_dim is None else first
        groups, out_groups = (geometry.groups if grouped else 1 for grouped in (merge.grouped, merge.out_grouped))
        if merge is first:
            a = _fold(a, a_dim, merge.axis, groups)
        else:
            b = _fold(b, b_dim, merge.axis, groups)
        return _unfold(primitive.bind(a, b, geometry=geometry, **static), n, merge.out_axis, out_groups), 0

    batching.primitive_batchers[primitive] = rule


_INTO_BATCH = _Merge(axis=0, grouped=False, out_axis=0, out_grouped=False)
_INTO_CHANNELS = _Merge(axis=3, grouped=True, out_axis=3, out_grouped=True)
_register_batching(conv_p, first=_INTO_BATCH, second=_INTO_CHANNELS)
_register_batching(input_grad_p, first=_INTO_BATCH, second=_Merge(axis=2, grouped=False, out_axis=3, out_grouped=True))
_register_batching(
    filter_grad_p, first=_Merge(axis=3, grouped=True, out_axis=2, out_grouped=False), second=_INTO_CHANNELS
)
