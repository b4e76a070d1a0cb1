"""The three convolutions of `ganjax.ops.conv` on a CPU, in the forms that were fastest in `benchmarks/ops.py`.

XLA's own convolutions are many times slower than PyTorch's on a CPU: they fill strided gradients with zeros, and
grouped and depthwise ones are not vectorised. Here all are rewritten as convolutions of stride 1 or as shifted
multiply-adds. oneDNN computes the convolutions if it is available (`ganjax.ops.onednn`), else XLA's dense convolution.
"""

import jax
import jax.numpy as jnp

from ganjax.ops import conv_native, onednn
from ganjax.ops.conv_native import Geometry

BLOCK = 128  # channels of the dense convolutions that replace a grouped one
CACHE = 8 << 20  # bytes of operands that a filter's gradient processes at a time
FEW = 4  # up to so many channels the filter's gradient is computed from patches
NARROW = 64  # up to so many channels, phases included, an input's gradient is one convolution, not one for each phase


def conv(x, kernel, *, geometry):
    """Return C(x, kernel)."""
    if onednn.usable(x) and 0 not in (*kernel.shape, *conv_native.shape(x, kernel, geometry)):
        return _onednn_conv(x, kernel, geometry)
    if is_depthwise(kernel, geometry):
        return depthwise_conv(x, kernel, geometry)
    if geometry.groups > 1:
        return _blocks_conv(x, kernel, geometry)
    return conv_native.conv(x, kernel, geometry=geometry)


def input_grad(g, kernel, *, geometry, size):
    """Return X(g, kernel)."""
    if any(s > 1 and d > 1 for s, d in zip(geometry.strides, geometry.dilation, strict=True)):
        return conv_native.input_grad(g, kernel, geometry=geometry, size=size)
    kh, kw, i, o = kernel.shape
    groups = geometry.groups
    if groups == 1 and geometry.strides == (1, 1) and onednn.usable(g) and 0 not in (*kernel.shape, *size):
        sides = zip(geometry.padding, geometry.dilation, (kh, kw), size, g.shape[1:3], strict=True)
        pads = tuple((d * (k - 1) - lo, lo + h - n) for (lo, _), d, k, h, n in sides)
        # oneDNN takes the order of the kernel's axes, so no copy with exchanged channels is needed.
        return _onednn_conv(g, kernel[::-1, ::-1], Geometry((1, 1), pads, geometry.dilation), (3, 2, 0, 1))
    swapped = kernel.reshape(kh, kw, i, groups, o // groups).transpose(0, 1, 4, 3, 2)
    swapped = swapped.reshape(kh, kw, o // groups, groups * i)
    return phases(g, swapped, geometry, size)


def filter_grad(x, g, *, geometry, size):
    """Return K(x, g)."""
    groups = geometry.groups
    if g.size == 0:
        return conv_native.filter_grad(x, g, geometry=geometry, size=size)
    if groups > 1 and groups == x.shape[3] == g.shape[3]:
        return depthwise_filter_grad(x, g, geometry, size)
    if onednn.usable(x):
        if groups == 1 and (x.shape[3] <= FEW or size == geometry.strides == (1, 1)):
            return patches_filter_grad(x, g, geometry, size)
        if groups == 1 and g.shape[3] <= FEW and geometry.strides == (1, 1):
            return gradient_patches_filter_grad(x, g, geometry, size)
        return over_batch_filter_grad(x, g, geometry, size)
    if groups > 1:
        return _blocks_filter_grad(x, g, geometry, size)
    return dense_filter_grad(x, g, geometry, size)


def _fit(x, pads):
    """Return x with its sides padded by zeros, or cropped where a pad is negative."""
    config = [(0, 0, 0), *((lo, hi, 0) for lo, hi in pads), (0, 0, 0)]
    return x if not any(map(any, pads)) else jax.lax.pad(x, jnp.zeros((), x.dtype), config)


def _taps(x, geometry, kernel, out):
    """Return for each tap of the kernel the view of x that it multiplies, (B, *out, I)."""
    (sh, sw), pads, (dh, dw), _ = geometry
    ends = [(s * (n - 1) + d * (k - 1) + 1) for n, s, k, d in zip(out, (sh, sw), kernel, (dh, dw), strict=True)]
    x = _fit(x, [(lo, end - h - lo) for end, h, (lo, _) in zip(ends, x.shape[1:3], pads, strict=True)])
    top, left = sh * (out[0] - 1) + 1, sw * (out[1] - 1) + 1
    return [
        x[:, dh * a : dh * a + top : sh, dw * b : dw * b + left : sw]
        for a in range(kernel[0])
        for b in range(kernel[1])
    ]


def is_depthwise(kernel, geometry) -> bool:
    """Return whether each channel has a filter of its own, and gives one output."""
    return kernel.shape[2] == 1 and 1 < geometry.groups == kernel.shape[3]


def depthwise_conv(x, kernel, geometry):
    """Return C as a sum of shifted products."""
    kh, kw, _, channels = kernel.shape
    out = conv_native.shape(x, kernel, geometry)[1:3]
    weights = kernel.reshape(kh * kw, channels)
    return sum(tap * weight for tap, weight in zip(_taps(x, geometry, (kh, kw), out), weights, strict=True))


def depthwise_filter_grad(x, g, geometry, size):
    """Return K as sums of shifted products."""
    taps = _taps(x, geometry, size, g.shape[1:3])
    return jnp.stack([jnp.sum(jnp.sum(tap * g, 0), (0, 1)) for tap in taps]).reshape(*size, 1, x.shape[3])


def _onednn_conv(x, kernel, geometry, kernel_axes=(2, 3, 0, 1)):
    """Return C by oneDNN. Padding that oneDNN would reject, or compute by its slow reference code, is done here.

    kernel_axes: the kernel's axes of inputs, outputs, rows and columns.
    """
    strides, padding, dilation, groups = geometry
    out = (*conv_native.shape(x, kernel, geometry)[:3], kernel.shape[kernel_axes[1]])
    extents = [d * (k - 1) + 1 for k, d in zip(kernel.shape, dilation, strict=False)]
    if any(not 0 <= side < extent for pads, extent in zip(padding, extents, strict=True) for side in pads):
        x, padding = _fit(x, padding), ((0, 0), (0, 0))
    image = (0, 3, 1, 2)
    axes = (image, kernel_axes, image)
    return onednn.conv(x, kernel, out, strides=strides, padding=padding, dilation=dilation, groups=groups, axes=axes)


def phases(g, swapped, geometry, size):
    """Return X from the kernel (kh, kw, O / groups, I): pixel s q + r depends only on the taps a = r + pad modulo s.

    For each phase r these taps, flipped, are the kernel of a convolution of stride 1; the phases are interleaved. With
    few channels and the same number of taps in all phases, one convolution computes the phases as channels.
    """
    (sh, sw), padding, dilation, groups = geometry
    plans = []  # for each side and phase: the first tap, the number of taps, the first row of g, the rows beyond g
    for k, s, (before, _), d, h, out in zip(
        swapped.shape[:2], geometry.strides, padding, dilation, size, g.shape[1:3], strict=True
    ):
        quarter = -(-h // s)
        plans.append([])
        for r in range(s):
            first, taps = (r + before) % s, len(range((r + before) % s, k, s))
            low = (r + before) // s - d * (taps - 1)
            plans[-1].append((first, taps, low, low + quarter - 1 + d * (taps - 1) - (out - 1)))
    kernels = [[swapped[a::sh, b::sw][::-1, ::-1] for b, *_ in plans[1]] for a, *_ in plans[0]]
    quarter = [-(-h // s) for h, s in zip(size, (sh, sw), strict=True)]

    def phase(row, column):
        (_, _, top, bottom), (_, _, left, right) = plans[0][row], plans[1][column]
        kernel = kernels[row][column]
        if 0 in kernel.shape[:2]:
            return jnp.zeros((g.shape[0], *quarter, kernel.shape[3]), g.dtype)
        return conv(g, kernel, geometry=Geometry((1, 1), ((-top, bottom), (-left, right)), dilation, groups))

    if (sh, sw) == (1, 1):
        return phase(0, 0)
    same_taps = all(len({plan[1] for plan in side}) == 1 and side[0][1] > 0 for side in plans)
    if same_taps and groups == 1 and sh * sw * swapped.shape[3] <= NARROW:
        y = _joint_phases(g, kernels, plans, quarter)
    else:
        y = jnp.stack([jnp.stack([phase(i, j) for j in range(sw)], 3) for i in range(sh)], 2)
    b, h, sh, w, sw, channels = y.shape
    return y.reshape(b, h * sh, w * sw, channels)[:, : size[0], : size[1]]


def _joint_phases(g, kernels, plans, quarter):
    """Return the phases (B, h, sh, w, sw, I) by one convolution over the windows of all phases."""
    (kh, kw, _, channels), (sh, sw) = kernels[0][0].shape, map(len, plans)
    lows = [min(low for _, _, low, _ in side) for side in plans]
    highs = [max(high for *_, high in side) for side in plans]
    kernel = jnp.stack([kernel for row in kernels for kernel in row], 3).reshape(kh, kw, g.shape[3], -1)
    pads = tuple((-low, high) for low, high in zip(lows, highs, strict=True))
    y = conv(g, kernel, geometry=Geometry(padding=pads))
    y = y.reshape(*y.shape[:3], sh, sw, channels)
    rows = []
    for i, (_, _, top, _) in enumerate(plans[0]):
        row = []
        for j, (_, _, left, _) in enumerate(plans[1]):
            a, b = top - lows[0], left - lows[1]
            row.append(y[:, a : a + quarter[0], b : b + quarter[1], i, j])
        rows.append(jnp.stack(row, 3))
    return jnp.stack(rows, 2)


def dense_filter_grad(x, g, geometry, size):
    """Return K as XLA's convolution of NHWC images, with the channels of x as batch and the batch as features.

    XLA itself chooses this form, but not inside a loop: there its form is not vectorised and 200 times slower.
    """
    strides, padding, dilation, _ = geometry
    sides = zip(x.shape[1:3], g.shape[1:3], size, strides, dilation, padding, strict=True)
    pads = tuple((lo, s * (n - 1) + d * (k - 1) + 1 - h - lo) for h, n, k, s, d, (lo, _) in sides)
    swapped = Geometry(dilation, pads, strides)
    images, kernel = x.transpose(3, 1, 2, 0), g.transpose(1, 2, 0, 3)
    return conv_native.conv(images, kernel, geometry=swapped).transpose(1, 2, 0, 3)


def over_batch_filter_grad(x, g, geometry, size):
    """Return K as one convolution in three dimensions, with the batch as features, over which it sums.

    Its image is x, with (Hp, Wp, I) as space and the batch as features; its kernel is g, of size (H', W', 1), dilated
    by the strides. Its output has (kh, kw, I) pixels and O features.
    """
    (sh, sw), padding, (dh, dw), groups = geometry
    out, channels = g.shape[1:3], x.shape[3] // groups
    ends = [s * (n - 1) + d * (k - 1) + 1 for n, s, k, d in zip(out, (sh, sw), size, (dh, dw), strict=True)]
    batch, height, width, _ = x.shape
    (top, _), (left, _) = padding

    def images(first, last):
        """Return the padded rows [first, last) with the batch as the last axis: one copy of these rows only."""
        rows = _fit(x, ((top - first, last - top - height), (left, ends[1] - width - left)))
        rows = rows.reshape(batch, last - first, ends[1], groups, channels).transpose(1, 2, 4, 3, 0)
        return rows.reshape(1, last - first, ends[1], channels, groups * batch)

    axes = ((0, 4, 1, 2, 3), (0, 3, 1, 2, 4), (4, 3, 0, 1, 2))
    # Each tap and each block of features reads all of x and g, which stay in the cache if rows are processed in parts.
    operands = batch * ends[0] * ends[1] * x.shape[3] + g.size
    rows = -(-out[0] // -(-operands * x.dtype.itemsize // CACHE))
    total = jnp.zeros((), x.dtype)
    for row in range(0, out[0], rows):
        part = g[:, row : row + rows, :, :, None]
        total += onednn.conv(
            images(sh * row, sh * (row + part.shape[1] - 1) + dh * (size[0] - 1) + 1),
            part,
            (*size, channels, g.shape[3], 1),
            strides=(dh, dw, 1),
            padding=((0, 0),) * 3,
            dilation=(sh, sw, 1),
            groups=groups,
            axes=axes,
        )
    return total[..., 0]


def patches(x, geometry, size, out):
    """Return the patches of x (B, *out, kh kw I) that the kernel's taps multiply.

    A convolution with an identity kernel extracts them, faster than a concatenation of views with few channels.
    """
    taps = size[0] * size[1] * x.shape[3]
    identity = jnp.eye(taps, dtype=x.dtype).reshape(*size, x.shape[3], taps)
    (lo, _), (left, _) = geometry.padding
    ends = [
        s * (n - 1) + d * (k - 1) + 1 for n, s, k, d in zip(out, geometry.strides, size, geometry.dilation, strict=True)
    ]
    pads = ((lo, ends[0] - x.shape[1] - lo), (left, ends[1] - x.shape[2] - left))
    if size == geometry.strides == (1, 1):
        return _fit(x, pads)
    return conv(x, identity, geometry=geometry._replace(padding=pads))


def patches_filter_grad(x, g, geometry, size):
    """Return K as one matrix product: the patches of x (B H' W', kh kw I), transposed, times g (B H' W', O)."""
    unfolded = patches(x, geometry, size, g.shape[1:3])
    kernel = onednn.product(unfolded.reshape(-1, unfolded.shape[3]), g.reshape(-1, g.shape[3]))
    return kernel.reshape(*size, x.shape[3], g.shape[3])


def gradient_patches_filter_grad(x, g, geometry, size):
    """Return K of stride 1 as one matrix product: x (B H W, I), transposed, times the patches of g (B H W, kh kw O).

    Tap a multiplies pixel q of x with g at q + pad - dilation a, so the taps are in reverse order.
    """
    sides = zip(geometry.padding, geometry.dilation, size, x.shape[1:3], g.shape[1:3], strict=True)
    pads = tuple((d * (k - 1) - lo, h + lo - n) for (lo, _), d, k, h, n in sides)
    unfolded = patches(g, Geometry((1, 1), pads, geometry.dilation), size, x.shape[1:3])
    kernel = onednn.product(x.reshape(-1, x.shape[3]), unfolded.reshape(-1, unfolded.shape[3]))
    return kernel.reshape(x.shape[3], *size, g.shape[3]).transpose(1, 2, 0, 3)[::-1, ::-1]


def _blocks(geometry, inputs):
    """Return the number of groups in a block of about BLOCK inputs, and the geometry of its dense convolution."""
    limit = max(BLOCK * geometry.groups // inputs, 1)
    block_groups = max(n for n in range(1, limit + 1) if geometry.groups % n == 0)
    return block_groups, geometry._replace(groups=1)


def _blocks_conv(x, kernel, geometry):
    """Return C with groups, as dense convolutions with block-diagonal kernels."""
    block_groups, dense = _blocks(geometry, x.shape[3])
    kh, kw, i, _ = kernel.shape
    wide, blocks = block_groups * i, geometry.groups // block_groups
    kernel = kernel.reshape(kh, kw, i, blocks, block_groups, -1).transpose(0, 1, 3, 4, 2, 5)
    diagonal = jnp.einsum("hwbtio,ts->hwbtiso", kernel, jnp.eye(block_groups, dtype=x.dtype))
    diagonal = diagonal.reshape(kh, kw, blocks, wide, -1)
    parts = [
        conv_native.conv(x[..., n * wide : (n + 1) * wide], diagonal[:, :, n], geometry=dense) for n in range(blocks)
    ]
    return jnp.concatenate(parts, -1)


def _blocks_filter_grad(x, g, geometry, size):
    """Return K with groups: the block diagonals of dense gradients."""
    block_groups, dense = _blocks(geometry, x.shape[3])
    blocks = geometry.groups // block_groups
    kernels = []
    for xs, gs in zip(jnp.split(x, blocks, -1), jnp.split(g, blocks, -1), strict=True):
        full = dense_filter_grad(xs, gs, dense, size)
        shape = (*size, block_groups, xs.shape[3] // block_groups, block_groups, gs.shape[3] // block_groups)
        full = full.reshape(shape)
        kernels.append(jnp.einsum("hwtito->hwito", full).reshape(*size, full.shape[3], gs.shape[3]))
    return jnp.concatenate(kernels, -1)
