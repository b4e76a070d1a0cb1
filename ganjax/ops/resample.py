"""Pad and resample images (B, H, W, C) of any float dtype, as sums of shifted views, which XLA fuses.

An FIR resampler (Karras et al. 2020, arXiv 1912.04958; Zhang 2019, arXiv 1904.11486) puts zeros between the pixels,
convolves each axis with a filter and keeps every `factor`-th pixel. Here no zeros are inserted, and no output is
computed and dropped: each phase of the output is a sum of the views that its taps multiply. The dtype stays the same.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

BILINEAR = (1, 3, 3, 1)
BINOMIAL = (1, 2, 1)
_MODES = {"zero": "constant", "reflect": "reflect", "edge": "edge"}


def pad(x: jax.Array, margin: int | Sequence[tuple[int, int]], mode: str = "zero") -> jax.Array:
    """Pad by `margin` pixels on every side, or ((top, bottom), (left, right)).

    mode: "zero", "reflect" (mirrored about the edge pixel, which is not repeated) or "edge" (repeated). Raises
    ValueError if the mode is another, or if a reflection is as wide as the image or wider.
    """
    if mode not in _MODES:
        raise ValueError(f"padding mode {mode!r} is not one of {', '.join(_MODES)}")
    sides = ((margin, margin),) * 2 if isinstance(margin, int) else tuple(margin)
    if mode == "reflect" and any(max(side) >= size for side, size in zip(sides, x.shape[1:3], strict=True)):
        raise ValueError(f"images of {x.shape[1]}x{x.shape[2]} are too small to reflect {sides}")
    return jnp.pad(x, ((0, 0), *sides, (0, 0)), mode=_MODES[mode])


def downsample(x: jax.Array, fir: Sequence[float] = BILINEAR, factor: int = 2, mode: str = "zero") -> jax.Array:
    """Filter with `fir`, scaled to sum 1 on each axis, and keep one pixel in `factor`: (B, H / factor, W / factor, C).

    (1, 3, 3, 1) is StyleGAN2's filter, (1, 2, 1) with mode "reflect" blur-pool's, (1, 1) the mean of 2x2 pixels. Raises
    ValueError if H or W is not divisible by `factor`.
    """
    _check_divisible(x, factor)
    taps = _normalise(fir)
    before = (len(taps) - factor + 1) // 2
    for axis in (1, 2):
        size = x.shape[axis] // factor
        # The last window begins at (size - 1) factor - before.
        y = _pad_axis(x, axis, before, (size - 1) * factor + len(taps) - before - x.shape[axis], mode)
        x = sum(tap * _view(y, axis, t, size, factor) for t, tap in enumerate(taps))
    return x


def upsample(x: jax.Array, fir: Sequence[float] = BILINEAR, factor: int = 2, mode: str = "zero") -> jax.Array:
    """Put factor - 1 zeros after each pixel and filter with `fir`, scaled to sum `factor`: (B, H factor, W factor, C).

    (1, 3, 3, 1) is StyleGAN2's filter; with mode "edge" it gives `bilinear`.
    """
    taps = [factor * tap for tap in _normalise(fir)]
    lead = (len(taps) + factor - 1) // 2
    for axis in (1, 2):
        size, plans = x.shape[axis], []
        for phase in range(factor):  # in pixel factor q + phase, tap t multiplies x[q + (phase + t - lead) / factor]
            plans.append([((phase + t - lead) // factor, t) for t in range((lead - phase) % factor, len(taps), factor)])
        shifts = [shift for plan in plans for shift, _ in plan]
        before = max(-min(shifts), 0)
        y = _pad_axis(x, axis, before, max(*shifts, 0), mode)
        phases = [sum(taps[t] * _view(y, axis, shift + before, size, 1) for shift, t in plan) for plan in plans]
        shape = (*x.shape[:axis], size * factor, *x.shape[axis + 1 :])
        x = jnp.stack(phases, axis + 1).reshape(shape)
    return x


def bilinear(x: jax.Array) -> jax.Array:
    """Double both sides by bilinear interpolation between pixel centres, with repeated edges: (B, 2 H, 2 W, C)."""
    return upsample(x, BILINEAR, 2, "edge")


def nearest(x: jax.Array, factor: int = 2) -> jax.Array:
    """Repeat every pixel: (B, H factor, W factor, C)."""
    b, h, w, c = x.shape
    y = jnp.broadcast_to(x[:, :, None, :, None], (b, h, factor, w, factor, c))
    return y.reshape(b, h * factor, w * factor, c)


def resize(x: jax.Array, size: tuple[int, int], corners: bool = False) -> jax.Array:
    """Return x (B, H, W, C) at size (height, width) by linear interpolation, without antialiasing.

    Pixel i of n is interpolated at (i + 1/2) H / n - 1/2 or, with `corners`, at i (H - 1) / (n - 1): PyTorch's
    `interpolate` without and with align_corners.
    """
    rows, columns = (
        jnp.asarray(_interpolation(old, new, corners), x.dtype) for old, new in zip(x.shape[1:3], size, strict=True)
    )
    x = jnp.einsum("bhwc,ih->biwc", x, rows, precision="highest")
    return jnp.einsum("bhwc,jw->bhjc", x, columns, precision="highest")


def average_pool(x: jax.Array, factor: int = 2) -> jax.Array:
    """Return the means of factor x factor pixels: (B, H / factor, W / factor, C).

    Raises ValueError if H or W is not divisible by `factor`.
    """
    return downsample(x, (1,) * factor, factor)


def depth_to_space(x: jax.Array, factor: int = 2) -> jax.Array:
    """Pixel shuffle (Shi et al. 2016, arXiv 1609.05158): (B, H, W, factor^2 C) -> (B, H factor, W factor, C).

    Channel (i factor + j) C + c becomes pixel (i, j) of each factor x factor square. Raises ValueError if C is not an
    integer.
    """
    b, h, w, c = x.shape
    if c % factor**2:
        raise ValueError(f"{c} channels are not divisible by {factor} x {factor}")
    y = x.reshape(b, h, w, factor, factor, c // factor**2).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(b, h * factor, w * factor, c // factor**2)


def space_to_depth(x: jax.Array, factor: int = 2) -> jax.Array:
    """Invert `depth_to_space`. Raises ValueError if H or W is not divisible by `factor`."""
    _check_divisible(x, factor)
    b, h, w, c = x.shape
    y = x.reshape(b, h // factor, factor, w // factor, factor, c).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(b, h // factor, w // factor, factor**2 * c)


def _check_divisible(x: jax.Array, factor: int) -> None:
    if x.shape[1] % factor or x.shape[2] % factor:
        raise ValueError(f"images of {x.shape[1]}x{x.shape[2]} are not divisible by {factor}")


def _interpolation(old: int, new: int, corners: bool) -> np.ndarray:
    """Return the matrix (new, old) of linear interpolation: rows sum to 1."""
    if corners:
        positions = np.arange(new) * ((old - 1) / max(new - 1, 1))
    else:
        positions = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0, old - 1)
    low = np.minimum(positions.astype(int), old - 1)
    share = (positions - low)[:, None]
    return (1 - share) * np.eye(old)[low] + share * np.eye(old)[np.minimum(low + 1, old - 1)]


def _normalise(fir: Sequence[float]) -> list[float]:
    total = float(sum(fir))
    return [float(tap) / total for tap in fir]


def _pad_axis(x, axis: int, before: int, after: int, mode: str):
    """Pad one axis; a negative `after` counts as 0, since the views end before the image does."""
    sides = [(0, 0), (0, 0)]
    sides[axis - 1] = (before, max(after, 0))
    return pad(x, sides, mode)


def _view(x, axis: int, start: int, size: int, stride: int):
    return jax.lax.slice_in_dim(x, start, start + (size - 1) * stride + 1, stride, axis)
