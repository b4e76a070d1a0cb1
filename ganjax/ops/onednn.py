"""Convolutions by oneDNN, which jaxlib's CPU backend for Linux on x86-64 contains.

XLA has a custom call for it, `__onednn$convolution`, which XLA's compiler does not emit by default. On CPUs with
AVX-512 it was 1.6 to 1.9 times as fast as XLA's own convolution in jaxlib 0.10.2, about as fast as PyTorch, which uses
oneDNN too; 0.9 to 1.5 times in later versions, and no faster on AVX2. The call is not a stable interface, and a
configuration that XLA misreads kills the process: so it is used only with the tested versions of jaxlib.
`GANJAX_ONEDNN=0` turns it off.
"""

import functools
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import jaxlib.version

FIRST, LAST = (0, 10, 2), (0, 12, 0)  # versions of jaxlib; the tests pass with these two and 0.11.2
_FEATURES = {"avx512f", "avx512bw", "avx512dq", "avx512vl"}


@functools.cache
def available() -> bool:
    """Return whether this process may use oneDNN, for float32 only."""
    if os.environ.get("GANJAX_ONEDNN", "1") == "0" or sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    version = tuple(int(part) for part in jaxlib.version.__version__.split(".")[:3])
    if not FIRST <= version <= LAST:
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text().partition("\nflags")[2].partition("\n")[0].split()
    except OSError:
        return False
    return _FEATURES.issubset(flags)


def usable(x: jax.Array) -> bool:
    """Return whether oneDNN may compute with x."""
    return x.dtype == jnp.float32 and x.size > 0 and available()


# The order of axes: of images (batch, features, *space), of a kernel (input features, output features, *space).
Axes = tuple[int, ...]


def conv(
    x: jax.Array,
    kernel: jax.Array,
    shape: Sequence[int],
    *,
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    groups: int,
    axes: tuple[Axes, Axes, Axes],
) -> jax.Array:
    """Return the convolution, of shape `shape`, in one to three dimensions; `axes`: of x, the kernel and the result."""
    (batch, features, *space), (k_in, k_out, *k_space), (out_batch, out_features, *out_space) = axes
    message = {
        "dims": len(shape),
        "feature_groups": groups,
        "input": {"data": {"batch_dim": batch, "feature_dim": features, "spatial_dims": space}},
        "kernel": {"filter": {"input_feature_dim": k_in, "output_feature_dim": k_out, "spatial_dims": k_space}},
        "output": {"data": {"batch_dim": out_batch, "feature_dim": out_features, "spatial_dims": out_space}},
        "window": {
            "strides": list(strides),
            "pad_left": [before for before, _ in padding],
            "pad_right": [after for _, after in padding],
            "window_dilations": list(dilation),
        },
    }
    call = jax.ffi.ffi_call(
        "__onednn$convolution",
        jax.ShapeDtypeStruct(shape, x.dtype),
        custom_call_api_version=2,
        legacy_backend_config=json.dumps({"outer_dimension_partitions": [], "onednn_conv_config": message}),
    )
    return call(x, kernel)


def product(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return the transpose of a (N, I) times b (N, O), by `__onednn$matmul`."""
    call = jax.ffi.ffi_call(
        "__onednn$matmul",
        jax.ShapeDtypeStruct((a.shape[1], b.shape[1]), a.dtype),
        custom_call_api_version=2,
        legacy_backend_config=json.dumps(
            {"outer_dimension_partitions": [], "onednn_matmul_config": {"transpose_a": True}}
        ),
    )
    return call(a, b)
