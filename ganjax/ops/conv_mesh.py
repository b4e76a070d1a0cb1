"""The three convolutions of `ganjax.ops.conv` on a mesh of CPUs, in operations that XLA can partition over devices.

They are XLA's own, but for the depthwise ones: of these, in float64, one image of 64 pixels takes XLA gigabytes.
"""

import jax

from ganjax.ops import conv_cpu, conv_native


def conv(x, kernel, *, geometry):
    """Return C(x, kernel)."""
    if conv_cpu.is_depthwise(kernel, geometry):
        return conv_cpu.depthwise_conv(x, kernel, geometry)
    return conv_native.conv(x, kernel, geometry=geometry)


def input_grad(g, kernel, *, geometry, size):
    """Return X(g, kernel)."""
    if conv_cpu.is_depthwise(kernel, geometry):
        x = jax.ShapeDtypeStruct((g.shape[0], *size, kernel.shape[3]), g.dtype)
        return jax.linear_transpose(lambda x: conv_cpu.depthwise_conv(x, kernel, geometry), x)(g)[0]
    return conv_native.input_grad(g, kernel, geometry=geometry, size=size)


def filter_grad(x, g, *, geometry, size):
    """Return K(x, g)."""
    if g.size and 1 < geometry.groups == x.shape[3] == g.shape[3]:
        return conv_cpu.depthwise_filter_grad(x, g, geometry, size)
    return conv_native.filter_grad(x, g, geometry=geometry, size=size)
