"""Frequencies, noise and a hole of one image, by random values, for adaptive augmentation."""

import jax
import jax.numpy as jnp
import numpy as np

from ganjax.augment.draws import USES, Draws, normal, power_of_2
from ganjax.augment.geometry import mirror_pad

# The lowpass filter of Daubechies' symlet of 2 vanishing moments, of sum sqrt(2).
SYM2 = (-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025)

BANDS = 4
POWER = np.array([10, 1, 1, 1]) / 13  # of natural images in each band, from low to high frequencies
NOISE, CUTOUT = 0.1, 0.5


def bands() -> np.ndarray:
    """Return the filters (4, taps) that split a signal into octaves, from low to high; their sum is the identity."""
    low, high = np.array(SYM2), np.array(SYM2) * (-1) ** np.arange(len(SYM2))
    low, high = (np.convolve(part, part[::-1]) / 2 for part in (low, high))  # halves of unity in the frequencies
    rows = [np.ones(1)]
    for _ in range(BANDS - 1):
        wider = [np.convolve(np.stack([row, np.zeros_like(row)], 1).ravel()[:-1], low) for row in rows]
        margin = (len(wider[0]) - len(high)) // 2
        rows = [*wider, np.pad(high, margin)]
    return np.stack(rows)


FILTERS = bands()


def amplify(draws: Draws, image: jax.Array, chosen: tuple[str, ...]) -> jax.Array:
    """Return an image whose octaves are amplified or damped, each with probability p; the expected power stays."""
    gains = jnp.ones(BANDS, draws.dtype)
    for band in range(BANDS):
        one = Draws(jax.random.fold_in(draws.key, band), draws.p, draws.dtype, draws.shares)
        gain = jnp.ones(BANDS, draws.dtype).at[band].set(one("filter", power_of_2(1.0), 1))
        gains *= gain * jax.lax.rsqrt(jnp.sum(jnp.asarray(POWER, draws.dtype) * gain**2))
    taps = gains @ jnp.asarray(FILTERS, draws.dtype)
    padded = mirror_pad(image, len(taps) // 2)
    for axis in (0, 1):
        views = (jax.lax.slice_in_dim(padded, i, i + image.shape[axis], axis=axis) for i in range(len(taps)))
        padded = sum(tap * view for tap, view in zip(taps, views, strict=True))
    return padded


def add_noise(draws: Draws, image: jax.Array, chosen: tuple[str, ...]) -> jax.Array:
    """Return an image with noise, whose deviation is |N(0, 0.1^2)|."""
    deviation = jnp.abs(draws("noise", normal(NOISE), 0))
    return image + deviation * jax.random.normal(jax.random.fold_in(draws.key, len(USES)), image.shape, image.dtype)


def cut_out(draws: Draws, image: jax.Array, chosen: tuple[str, ...]) -> jax.Array:
    """Return an image without a rectangle of half its sides, which is 0; its centre is uniform over the image."""
    size = draws("cutout", lambda key, dtype: jnp.asarray(CUTOUT, dtype), 0)
    centres = jax.random.uniform(jax.random.fold_in(draws.key, len(USES)), (2,), image.dtype)
    away = [
        jnp.abs((jnp.arange(side) + 0.5) / side - centre) >= size / 2
        for side, centre in zip(image.shape[:2], centres, strict=True)
    ]
    return jnp.where((away[0][:, None] | away[1])[..., None], image, 0)
