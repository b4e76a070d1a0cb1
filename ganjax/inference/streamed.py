"""A residual generator over an image that its activations do not fit into memory: layer by layer, in bands of rows.

Each convolution's output goes to a memory map on disk, and its channels' mean and variance are summed up meanwhile; the
next layer reads a band of it, with the rows around that it needs, and normalises it by these. So every instance norm
sees the whole image, and the result is that of the whole image to rounding.
"""

import math
import os
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from ganjax.errors import UserError
from ganjax.nets.translate import UP
from ganjax.ops import conv as ops
from ganjax.ops import resample
from ganjax.system import signals
from ganjax.system.progress import progress_bar

ROWS = 64  # of the input that a band reads, about
NO_NORM = (np.float32(0), np.float32(1))


class _Layer:
    """Activations (H, W, C) on disk and, after `finish`, what its norm subtracts and divides by."""

    def __init__(self, folder: Path, shape: tuple[int, int, int]):
        self.file = folder / f"{uuid.uuid4().hex}.f32"
        with self.file.open("wb") as file:
            # All of it now: where the disk is full, a map of a file with holes ends the process. Not so on macOS.
            getattr(os, "posix_fallocate", lambda file, _, size: os.truncate(file, size))(
                file.fileno(), 0, 4 * math.prod(shape)
            )
        self.array = np.memmap(self.file, np.float32, "r+", shape=shape)
        self.moments, self.norm, self.relu = np.zeros((3, shape[2])), NO_NORM, False

    def write(self, row: int, band: np.ndarray) -> None:
        """Write rows, and add their moments: Chan et al. 1983, equation 1.5."""
        self.array[row : row + len(band)] = band
        flat = band.reshape(-1, band.shape[-1]).astype(np.float64)
        mean, n = flat.mean(0), len(flat)
        count, old, squares = self.moments
        total, delta = count + n, mean - old
        squares = squares + ((flat - mean) ** 2).sum(0) + delta**2 * count * n / total
        self.moments = np.stack([total, old + delta * n / total, squares])

    def finish(self, normalised: bool, relu: bool) -> "_Layer":
        """Fix the norm that readers apply, with or without a ReLU after it."""
        if normalised:
            count, mean, squares = self.moments
            self.norm = mean.astype(np.float32), (1 / np.sqrt(squares / count + 1e-5)).astype(np.float32)
        self.relu = relu
        return self

    def read(self, start: int, stop: int, mode: str) -> np.ndarray:
        """Return normalised rows; those beyond the image by reflection, or zeros."""
        rows = np.arange(start, stop)
        height = len(self.array)
        inside = np.abs(rows) if mode == "reflect" else np.clip(rows, 0, height - 1)
        inside = np.where(inside >= height, 2 * height - 2 - inside, inside) if mode == "reflect" else inside
        x = (self.array[inside] - self.norm[0]) * self.norm[1]
        x = np.maximum(x, 0) if self.relu else x
        if mode == "zero":
            x[(rows < 0) | (rows >= height)] = 0
        return x

    def drop(self) -> None:
        del self.array
        self.file.unlink()


def translate(variables: dict, pixels: np.ndarray, direction: str = "ab", progress: bool = False) -> np.ndarray:
    """Return G's image, float32 (H, W, C) in [-1, 1], of one (H, W, C) in [-1, 1] whose sides divide by 4.

    variables: of a CycleGAN's or CUT's generators. UserError for another network, and where the disk is full.
    """
    params, blur = _network(variables["params"], direction)
    blocks = sum(name.startswith("block_") for name in params)
    bar = progress_bar(total=2 * blocks + 6, shown=progress, desc="translating", unit=" layers")
    try:
        with tempfile.TemporaryDirectory(prefix="ganjax-") as folder, signals.removing(Path(folder)):
            return _through(params, blur, blocks, pixels, Path(folder), bar.update)
    except OSError as error:
        raise UserError(
            f"--tile=exact keeps activations on disk, in {tempfile.gettempdir()}: {error.strerror or error}; set "
            "TMPDIR to a larger one, or take --tile=fast"
        ) from error
    finally:
        bar.close()


def _network(params: dict, direction: str) -> tuple[dict, bool]:
    """Return the generator's parameters, and whether its strides are blurred."""
    if "stem" in params.get("net", ()):
        return params["net"], True
    if "ab" in params:
        return params[direction], False
    raise UserError("--tile=exact is for residual generators (cyclegan, cut): take --tile=fast or whole")


def _through(params: dict, blur: bool, blocks: int, pixels: np.ndarray, folder: Path, tick: Callable) -> np.ndarray:
    def conv(source: _Layer, name: str, margin: int, mode: str, relu: bool = True, layer=None) -> _Layer:
        """Apply a convolution of stride 1 to a layer; its norm follows, and with `relu` a ReLU."""
        kernel = (layer or params[name])["kernel"], (layer or params[name])["bias"]
        pad = margin if mode == "reflect" else 0
        sides = ((0, 0), (0, 0)) if mode == "reflect" else ((0, 0), (margin, margin))

        @jax.jit
        def band(x, kernel, bias):
            x = resample.pad(x[None], ((0, 0), (pad, pad)), "reflect") if pad else x[None]
            return (ops.conv(x, kernel, (1, 1), sides) + bias)[0]

        height, width, _ = source.array.shape
        out = _Layer(folder, (height, width, kernel[0].shape[-1]))
        for row in range(0, height, ROWS):
            stop = min(row + ROWS, height)
            out.write(row, np.asarray(band(source.read(row - margin, stop + margin, mode), *kernel)))
        tick()
        return out.finish(name != "to_image", relu)

    def replaced(source: _Layer, out: _Layer) -> _Layer:
        source.drop()
        return out

    def resized(source: _Layer, factor: int, function: Callable, before: int, after: int, mode: str, features: int):
        """Apply a map that divides (factor 2) or doubles (factor -2) the rows, from rows about those it makes."""
        height, width, _ = source.array.shape
        scale = (lambda n: n // 2) if factor == 2 else (lambda n: 2 * n)
        out, run = _Layer(folder, (scale(height), scale(width), features)), jax.jit(function)
        for row in range(0, height, ROWS):
            stop = min(row + ROWS, height)
            made = run(source.read(row - before, stop + after, mode)[None])[0]
            out.write(scale(row), np.asarray(made))
        return out

    x = _Layer(folder, pixels.shape)
    for row in range(0, len(pixels), ROWS):
        x.write(row, pixels[row : row + ROWS])
    x = replaced(x, conv(x, "stem", 3, "reflect"))
    for i in (1, 2):
        name, layer = f"down_{i}", params[f"down_{i}"]
        features = layer["kernel"].shape[-1]
        if blur:
            x = replaced(x, conv(x, name, 1, "zero"))

            def down(y):  # the row before the band is in it; the column before the image is its reflection
                y = resample.pad(y, ((0, 0), (1, 0)), "reflect")
                for axis in (1, 2):
                    count = (y.shape[axis] - 1) // 2
                    views = (jax.lax.slice_in_dim(y, k, k + 2 * count - 1, 2, axis) for k in range(3))
                    y = sum(tap / 4 * view for tap, view in zip(resample.BINOMIAL, views, strict=True))
                return y

            x = replaced(x, resized(x, 2, down, 1, 0, "reflect", features))
        else:
            step = lambda y, layer=layer: ops.conv(y, layer["kernel"], (2, 2), ((0, 0), (1, 1))) + layer["bias"]  # noqa: E731
            x = replaced(x, resized(x, 2, step, 1, 0, "zero", features).finish(True, True))
            tick()
    for i in range(blocks):
        block = params[f"block_{i}"]
        y = conv(x, "conv_0", 1, "reflect", layer=block["conv_0"])
        y = replaced(y, conv(y, "conv_1", 1, "reflect", relu=False, layer=block["conv_1"]))
        total = _Layer(folder, x.array.shape)
        for row in range(0, len(x.array), ROWS):
            stop = min(row + ROWS, len(x.array))
            total.write(row, x.read(row, stop, "zero") + y.read(row, stop, "zero"))
        y.drop()
        x = replaced(x, total)
    for i in (1, 0):
        layer = params[f"up_{i}"]
        features = layer["kernel"].shape[-1]
        if blur:
            x = replaced(x, _doubled(folder, x))
            x = replaced(x, conv(x, f"up_{i}", 1, "zero"))
        else:

            def double(y, layer=layer):
                made = ops.conv_transpose(y, layer["kernel"], (2, 2), UP) + layer["bias"]
                return made[:, :-2]  # of the row after the band

            x = replaced(x, resized(x, -2, double, 0, 1, "zero", features).finish(True, True))
            tick()
    x = replaced(x, conv(x, "to_image", 3, "reflect"))
    out = np.tanh(x.array)
    x.drop()
    return out


def _doubled(folder: Path, source: _Layer) -> _Layer:
    """Return a layer of twice the sides, bilinear between pixel centres, edges repeated."""
    height, width, features = source.array.shape
    out, run = _Layer(folder, (2 * height, 2 * width, features)), jax.jit(resample.bilinear)
    for row in range(0, height, ROWS):
        stop = min(row + ROWS, height)
        first, last = max(row - 1, 0), min(stop + 1, height)
        made = np.asarray(run(source.read(first, last, "zero")[None])[0])
        out.write(2 * row, made[2 * (row - first) : 2 * (row - first) + 2 * (stop - row)])
    return out
