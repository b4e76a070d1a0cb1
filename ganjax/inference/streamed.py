"""Run a net on an image whose activations do not fit into memory: layer by layer, in bands of rows.

Each layer writes its output to a memory map on disk, and accumulates the mean and variance of its channels. The next
layer reads a band of it, with the rows around that it needs, and normalises it by these. So every instance norm sees
the whole image, and the result equals that of the whole image but for rounding.
"""

import functools
import math
import os
import tempfile
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import jax
import numpy as np

from ganjax.errors import UserError
from ganjax.nets.layers import InstanceNorm
from ganjax.nets.stages import Layer, Norm, Residual, Stage, with_parameters
from ganjax.system import signals
from ganjax.system.progress import progress_bar

ROWS = 64  # input rows of a band, without the rows around; an even number


def translate(stages: Sequence[tuple[Stage, dict]] | None, pixels: np.ndarray, progress: bool = False) -> np.ndarray:
    """Return the net's output for float32 pixels (H, W, C) in [-1, 1], computed over the whole image.

    stages: of the net, from `nets.stages.with_parameters` or `Method.stages`; None if it has none. The image's sides
    must be divisible as the net requires. Raises UserError if `stages` is None or the disk is full.
    """
    if stages is None:
        raise UserError("--tile=exact is for residual generators only: use --tile=fast or --tile=whole")
    bar = progress_bar(stages, shown=progress, desc="translating", unit=" layers")
    try:
        with tempfile.TemporaryDirectory(prefix="ganjax-") as name, signals.removing(Path(name)):
            return np.array(_run_stages(bar, _store(pixels, Path(name))).array)
    except OSError as error:
        raise UserError(
            f"--tile=exact stores activations in {tempfile.gettempdir()}: {error.strerror or error}; set TMPDIR to a "
            "folder on a larger disk, or use --tile=fast"
        ) from error
    finally:
        bar.close()


class _Activations:
    """Activations (H, W, C) on disk, the moments of their channels, and the norm that `read` applies."""

    def __init__(self, folder: Path, shape: Sequence[int], dtype: np.dtype):
        self.folder, self.file = folder, folder / uuid.uuid4().hex
        with self.file.open("wb") as file:
            _allocate(file, math.prod(shape) * dtype.itemsize)
        self.array = np.memmap(self.file, dtype, "r+", shape=tuple(shape))
        self.moments, self.norm = np.zeros((3, shape[2])), None

    def write(self, row: int, band: np.ndarray) -> None:
        """Write rows from `row` on, and merge their moments into those so far: Chan et al. 1983, equation 1.5."""
        self.array[row : row + len(band)] = band
        flat = band.reshape(-1, band.shape[-1]).astype(np.float64)
        mean, n = flat.mean(0), len(flat)
        count, old, squares = self.moments
        total, delta = count + n, mean - old
        squares = squares + ((flat - mean) ** 2).sum(0) + delta**2 * count * n / total
        self.moments = np.stack([total, old + delta * n / total, squares])

    def read(self, start: int, stop: int) -> jax.Array | np.ndarray:
        """Return the rows [start, stop), (1, stop - start, W, C), normalised if there is a norm."""
        rows = np.asarray(self.array[None, start:stop])
        if self.norm is None:
            return rows
        count, mean, squares = self.moments
        dtype = np.promote_types(rows.dtype, np.float32)
        statistics = {"mean": mean.astype(dtype), "variance": (squares / count).astype(dtype)}
        return _apply_norm(self.norm, statistics, rows)

    def drop(self) -> None:
        """Delete the file."""
        del self.array
        self.file.unlink()


def _allocate(file: BinaryIO, size: int) -> None:
    """Reserve the file's space now: later, a write to the memory map on a full disk would kill the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    else:  # macOS
        file.truncate(size)


def _store(pixels: np.ndarray, folder: Path) -> _Activations:
    image = _Activations(folder, pixels.shape, pixels.dtype)
    for start in range(0, len(pixels), ROWS):
        image.write(start, pixels[start : start + ROWS])
    return image


def _run_stages(stages: Iterable[tuple[Stage, dict]], source: _Activations) -> _Activations:
    """Return the output of the stages for `source`; delete the activations between, but not `source`."""
    x = source
    for stage, params in stages:
        if isinstance(stage, Norm):
            if x is source or x.norm is not None or not isinstance(stage.function, InstanceNorm):
                raise ValueError(f"{stage} cannot stream: it must be an instance norm, after a layer or a residual")
            x.norm = stage
            continue
        y = _run_residual(x, stage, params) if isinstance(stage, Residual) else _run_layer(x, stage, params)
        if x is not source:
            x.drop()
        x = y
    return x


def _run_layer(source: _Activations, layer: Layer, params: dict) -> _Activations:
    """Return the layer's output for `source`.

    The layer pads each band, which changes the output near the band's border: so `reach` more rows are read on either
    side, except beyond the image, and the output rows that belong to them are cut.
    """
    height = len(source.array)
    spec = jax.eval_shape(layer.apply, params, jax.ShapeDtypeStruct((1, *source.array.shape), source.array.dtype))
    out = _Activations(source.folder, spec.shape[1:], spec.dtype)
    new_height = len(out.array)
    for start in range(0, height, ROWS):
        stop = min(start + ROWS, height)
        first, last = max(start - layer.reach, 0), min(stop + layer.reach, height)
        row, stop_row, first_row = (place * new_height // height for place in (start, stop, first))
        band = np.asarray(_apply_layer(layer, params, source.read(first, last)))[0]
        out.write(row, band[row - first_row : stop_row - first_row])
    return out


def _run_residual(source: _Activations, residual: Residual, params: dict) -> _Activations:
    """Return `source` plus the branch's output for it."""
    branch = _run_stages(with_parameters(residual.function, params), source)
    out = _Activations(source.folder, source.array.shape, source.array.dtype)
    for start in range(0, len(source.array), ROWS):
        stop = min(start + ROWS, len(source.array))
        out.write(start, np.asarray(source.read(start, stop) + branch.read(start, stop))[0])
    branch.drop()
    return out


@functools.partial(jax.jit, static_argnums=0)
def _apply_layer(layer: Layer, params: dict, rows: jax.Array) -> jax.Array:
    return layer.apply(params, rows)


@functools.partial(jax.jit, static_argnums=0)
def _apply_norm(norm: Norm, statistics: dict, rows: jax.Array) -> jax.Array:
    return norm.apply(statistics, rows)
