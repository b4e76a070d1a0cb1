"""The three convolutions of `ganjax.ops.conv` by XLA's own: used on GPUs and TPUs, and the reference in tests."""

from typing import NamedTuple

import jax

Pair = tuple[int, int]


class Geometry(NamedTuple):
    """The parameters of a convolution besides its operands; padding is ((top, bottom), (left, right))."""

    strides: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)
    groups: int = 1


def conv(x: jax.Array, kernel: jax.Array, *, geometry: Geometry) -> jax.Array:
    """Return C(x, kernel): x (B, H, W, I), kernel (kh, kw, I / groups, O)."""
    strides, padding, dilation, groups = geometry
    numbers = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x, kernel, strides, padding, rhs_dilation=dilation, dimension_numbers=numbers, feature_group_count=groups
    )


def input_grad(g: jax.Array, kernel: jax.Array, *, geometry: Geometry, size: Pair) -> jax.Array:
    """Return X(g, kernel) (B, *size, I), the transpose of C(., kernel)."""
    image = jax.ShapeDtypeStruct((g.shape[0], *size, kernel.shape[2] * geometry.groups), g.dtype)
    return jax.linear_transpose(lambda x: conv(x, kernel, geometry=geometry), image)(g)[0]


def filter_grad(x: jax.Array, g: jax.Array, *, geometry: Geometry, size: Pair) -> jax.Array:
    """Return K(x, g) (*size, I / groups, O), the transpose of C(x, .)."""
    kernel = jax.ShapeDtypeStruct((*size, x.shape[3] // geometry.groups, g.shape[3]), g.dtype)
    return jax.linear_transpose(lambda k: conv(x, k, geometry=geometry), kernel)(g)[0]


def shape(x, kernel, geometry: Geometry) -> tuple[int, ...]:
    """Return the shape of C(x, kernel)."""
    sides = zip(x.shape[1:3], kernel.shape, *geometry[:3], strict=False)
    out = (max((h + sum(pads) - d * (k - 1) - 1) // s + 1, 0) for h, k, s, pads, d in sides)
    return (x.shape[0], *out, kernel.shape[3])
