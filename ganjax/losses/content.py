"""Content losses, which keep a translation close to its source: (translated images, source images) -> scalar.

Images are floats (B, H, W, C) in [-1, 1]. The losses are added to the adversarial one and need no network.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

WINDOW, SIGMA = 11, 1.5
C3 = (0.03 * 2) ** 2 / 2  # SSIM's constant for a value range of 2
POOL = 10
GREY = (0.299, 0.587, 0.114)


def structure(image: jax.Array, source: jax.Array) -> jax.Array:
    """Return 1 - the mean of SSIM's structure term (Wang et al. 2004, equation 10) of the grey images, in [0, 2].

    The term is the correlation within each Gaussian window of 11x11 pixels, sigma 1.5, that lies inside the image.
    Brightness, contrast and colours do not matter; a negative gives 2.
    """
    taps = np.exp(-((np.arange(WINDOW) - WINDOW // 2) ** 2) / (2 * SIGMA**2))
    x, y = _grey(image), _grey(source)
    mean_x, mean_y, xx, yy, xy = _means(jnp.stack([x, y, x * x, y * y, x * y]), taps)
    squares = jnp.maximum((xx - mean_x**2) * (yy - mean_y**2), 0)
    # The root has no derivative at 0, where a window is flat.
    root = jnp.sqrt(jnp.where(squares > 1e-12, squares, 1e-12))
    return 1 - jnp.mean((xy - mean_x * mean_y + C3) / (root + C3))


def pooled(image: jax.Array, source: jax.Array) -> jax.Array:
    """Return the mean squared difference of the images average-pooled over 10x10 pixels (Sanakoyeu et al. 2018, arXiv
    1807.10201, equation 4). It keeps colours and composition, and leaves strokes free.
    """
    difference = jnp.moveaxis(image - source, -1, 0)
    return jnp.mean(_means(difference, np.ones(min(POOL, *image.shape[1:3]))) ** 2)


KINDS: dict[str, Callable] = {"structure": structure, "pooled": pooled}


def _grey(image: jax.Array) -> jax.Array:
    return image[..., 0] if image.shape[-1] == 1 else jnp.einsum("bhwc,c->bhw", image, jnp.array(GREY, image.dtype))


def _means(planes: jax.Array, taps: np.ndarray) -> jax.Array:
    """Return the means (..., H', W') over all windows inside planes (..., H, W), weighted by `taps` on each axis."""
    taps = taps[: min(planes.shape[-2:])]
    bands = []
    for size in planes.shape[-2:]:
        count = size - len(taps) + 1
        rows = [np.pad(taps / taps.sum(), (i, size - len(taps) - i)) for i in range(count)]
        bands.append(jnp.asarray(np.stack(rows), planes.dtype))
    return jnp.einsum("...hw,ih,jw->...ij", planes, *bands, precision="highest")
