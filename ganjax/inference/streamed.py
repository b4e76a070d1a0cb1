"""A net over an image whose activations do not fit into memory: layer by layer, in bands of rows.

The output of each layer goes to a memory map on disk, and the mean and variance of its channels are summed up on the
way. The next layer reads a band of it, with the rows around it that it needs, and normalises it by these. So every
instance norm sees the whole image, and the result is that of the whole image to rounding.
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

ROWS = 64  # of the input that a band is computed from, besides those around it; an even number


def translate(stages: Sequence[tuple[Stage, dict]] | None, pixels: np.ndarray, progress: bool = False) -> np.ndarray:
    """Return what a net makes of the whole image: float32 pixels (H, W, C) in [-1, 1] to pixels in [-1, 1].

    stages: of the net, from `nets.stages.with_parameters` or `Method.stages`; None if it has none. The image's sides
    must suit the net. Raises UserError if the net has no stages, and if the disk is full.
    """
    if stages is None:
        raise UserError("--tile=exact is for residual generators alone: take --tile=fast or whole")
    bar = progress_bar(stages, shown=progress, desc="translating", unit=" layers")
    try:
        with tempfile.TemporaryDirectory(prefix="ganjax-") as name, signals.removing(Path(name)):
            return np.array(_walk(bar, _stored(pixels, Path(name))).array)
    except OSError as error:
        raise UserError(
            f"--tile=exact keeps activations on disk, in {tempfile.gettempdir()}: {error.strerror or error}; set "
            "TMPDIR to a larger one, or take --tile=fast"
        ) from error
    finally:
        bar.close()


class _Activations:
    """Activations (H, W, C) on disk, the moments of their channels, and the norm that is applied to rows as read."""

    def __init__(self, folder: Path, shape: Sequence[int], dtype: np.dtype):
        self.folder, self.file = folder, folder / uuid.uuid4().hex
        with self.file.open("wb") as file:
            _allocate(file, math.prod(shape) * dtype.itemsize)
        self.array = np.memmap(self.file, dtype, "r+", shape=tuple(shape))
        self.moments, self.norm = np.zeros((3, shape[2])), None

    def write(self, row: int, band: np.ndarray) -> None:
        """Write rows, and add their moments: Chan et al. 1983, equation 1.5."""
        self.array[row : row + len(band)] = band
        flat = band.reshape(-1, band.shape[-1]).astype(np.float64)
        mean, n = flat.mean(0), len(flat)
        count, old, squares = self.moments
        total, delta = count + n, mean - old
        squares = squares + ((flat - mean) ** 2).sum(0) + delta**2 * count * n / total
        self.moments = np.stack([total, old + delta * n / total, squares])

    def read(self, start: int, stop: int) -> jax.Array | np.ndarray:
        """Return rows (1, stop - start, W, C), normalised."""
        rows = np.asarray(self.array[None, start:stop])
        if self.norm is None:
            return rows
        count, mean, squares = self.moments
        dtype = np.promote_types(rows.dtype, np.float32)
        statistics = {"mean": mean.astype(dtype), "variance": (squares / count).astype(dtype)}
        return _normalised(self.norm, statistics, rows)

    def drop(self) -> None:
        """Delete the file."""
        del self.array
        self.file.unlink()


def _allocate(file: BinaryIO, size: int) -> None:
    """Give a file all its space now: if the disk were full, writing to a map of a file with holes ends the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    else:  # macOS
        file.truncate(size)


def _stored(pixels: np.ndarray, folder: Path) -> _Activations:
    image = _Activations(folder, pixels.shape, pixels.dtype)
    for start in range(0, len(pixels), ROWS):
        image.write(start, pixels[start : start + ROWS])
    return image


def _walk(stages: Iterable[tuple[Stage, dict]], source: _Activations) -> _Activations:
    """Return what the stages make of a source, which stays; what lies between is deleted."""
    x = source
    for stage, params in stages:
        if isinstance(stage, Norm):
            if x is source or x.norm is not None or not isinstance(stage.function, InstanceNorm):
                raise ValueError(f"{stage} cannot stream: it must be an instance norm, after a layer or a residual")
            x.norm = stage
            continue
        y = _sum(x, stage, params) if isinstance(stage, Residual) else _mapped(x, stage, params)
        if x is not source:
            x.drop()
        x = y
    return x


def _mapped(source: _Activations, layer: Layer, params: dict) -> _Activations:
    """Return what a layer makes of a source.

    A band's first and last rows see what the layer pads it with: rows around it are read too, and those of the result
    that stand for them are cut. At the image's own edges there are none to read.
    """
    height = len(source.array)
    whole = jax.eval_shape(layer.apply, params, jax.ShapeDtypeStruct((1, *source.array.shape), source.array.dtype))
    out = _Activations(source.folder, whole.shape[1:], whole.dtype)
    new_height = len(out.array)
    for start in range(0, height, ROWS):
        stop = min(start + ROWS, height)
        first, last = max(start - layer.reach, 0), min(stop + layer.reach, height)
        row, stop_row, first_row = (place * new_height // height for place in (start, stop, first))
        band = np.asarray(_applied(layer, params, source.read(first, last)))[0]
        out.write(row, band[row - first_row : stop_row - first_row])
    return out


def _sum(source: _Activations, residual: Residual, params: dict) -> _Activations:
    """Return a source plus what the branch makes of it."""
    branch = _walk(with_parameters(residual.function, params), source)
    out = _Activations(source.folder, source.array.shape, source.array.dtype)
    for start in range(0, len(source.array), ROWS):
        stop = min(start + ROWS, len(source.array))
        out.write(start, np.asarray(source.read(start, stop) + branch.read(start, stop))[0])
    branch.drop()
    return out


@functools.partial(jax.jit, static_argnums=0)
def _applied(layer: Layer, params: dict, rows: jax.Array) -> jax.Array:
    return layer.apply(params, rows)


@functools.partial(jax.jit, static_argnums=0)
def _normalised(norm: Norm, statistics: dict, rows: jax.Array) -> jax.Array:
    return norm.apply(statistics, rows)
