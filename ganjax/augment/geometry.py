"""Mirroring, turns and affine maps of one image, by random values, for adaptive augmentation.

Where the published code pads an image by as much as its batch needs, here positions outside an image are mirrored into
it, so that shapes are static.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ganjax.augment.draws import Draws, integer, normal, power_of_2, uniform
from ganjax.ops import resample

# The lowpass filter of Daubechies' symlet of 6 vanishing moments, of sum sqrt(2).
SYM6 = (
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633, 0.4910559419267466,
    0.787641141030194, 0.3379294217276218, -0.07263752278646252, -0.021060292512300564, 0.04472490177066578,
    0.0017677118642428036, -0.007800708325034148,
)  # fmt: skip

MARGIN = len(SYM6) // 4  # pixels around an image that the filter needs

SHIFT = 0.125  # of each side: the largest whole shift, and the deviation of the fractional one
SCALE = 0.2  # the deviation of its base-2 logarithm


def warp(draws: Draws, image: jax.Array, chosen: tuple[str, ...]) -> jax.Array:
    """Return an image (H, W, C) after the chosen of BLIT and GEOMETRY. Mirroring and turns move pixels; the rest is one
    affine map. Images that are not square are turned by half turns only.
    """
    if "mirror" in chosen:
        image = jnp.where(draws("mirror", integer(2), 0) > 0, image[:, ::-1], image)
    if "quarter_turn" in chosen:
        turn = 1 if image.shape[0] == image.shape[1] else 2
        turned = jnp.stack([jnp.rot90(image, k) for k in range(0, 4, turn)])
        image = turned[draws("quarter_turn", integer(len(turned)), 0).astype(jnp.int32)]
    if set(chosen) <= {"mirror", "quarter_turn"}:
        return image
    return resampled(image, inverse_map(draws, image.shape[:2], chosen))


def inverse_map(draws: Draws, size: tuple[int, int], chosen: tuple[str, ...]) -> jax.Array:
    """Return the matrix (3, 3) from a position (x, y, 1) of the new image to one of the old, in pixels from the centre,
    of the chosen but for mirroring and turns.

    A rotation happens before and after the stretch, each so often that the share of p that is theirs is the probability
    of one of them.
    """
    height, width = size
    sides = jnp.array([width, height], draws.dtype)
    once = 1 - jnp.sqrt(1 - draws.p * draws.shares.get("rotate", 1))
    steps = {
        "shift": lambda: translation(jnp.round(draws("shift", uniform(-SHIFT, SHIFT, (2,)), 0) * sides)),
        "scale": lambda: scaling(*[draws("scale", power_of_2(SCALE), 1)] * 2),
        "rotate": lambda: rotation(-draws("rotate", uniform(-jnp.pi, jnp.pi), 0, once)),
        "stretch": lambda: stretched(draws("stretch", power_of_2(SCALE), 1)),
        "rotate_after": lambda: rotation(-draws("rotate_after", uniform(-jnp.pi, jnp.pi), 0, once)),
        "move": lambda: translation(draws("move", normal(SHIFT, (2,)), 0) * sides),
    }
    matrix = jnp.eye(3, dtype=draws.dtype)
    for name, inverse in steps.items():
        if name in chosen or (name == "rotate_after" and "rotate" in chosen):
            matrix = matrix @ inverse()
    return matrix


def scaling(x: jax.Array, y: jax.Array) -> jax.Array:
    """Return the inverse of the scaling by x and y."""
    return jnp.diag(jnp.stack([1 / x, 1 / y, jnp.ones_like(x)]))


def stretched(factor: jax.Array) -> jax.Array:
    return scaling(factor, 1 / factor)


def rotation(angle: jax.Array) -> jax.Array:
    """Return the inverse of the rotation by an angle."""
    c, s, zero, one = jnp.cos(angle), jnp.sin(angle), jnp.zeros_like(angle), jnp.ones_like(angle)
    return jnp.stack([c, s, zero, -s, c, zero, zero, zero, one]).reshape(3, 3)


def translation(shift: jax.Array) -> jax.Array:
    """Return the inverse of the translation by (x, y)."""
    return jnp.eye(3, dtype=shift.dtype).at[:2, 2].add(-shift)


def resampled(image: jax.Array, matrix: jax.Array) -> jax.Array:
    """Return the image (H, W, C) seen through a map of `inverse_map`; outside it is mirrored at its outermost pixels.

    At twice the resolution, between the orthogonal filters of the 6th symlet: the identity changes nothing, and a map
    of large scale has no aliases. (The filter is not quite symmetric, so that the mirror image of the fine image is not
    quite the fine image of the mirrored one: the former is used beyond MARGIN pixels.)
    """
    height, width, _ = image.shape
    fine, outside = upsampled(image), 2 * MARGIN
    ys, xs = (jnp.arange(-outside, 2 * side + outside, dtype=image.dtype) for side in (height, width))
    x, y = (xs - (width - 0.5)) / 2, (ys - (height - 0.5)) / 2  # in pixels from the centre
    at_x = matrix[0, 0] * x + matrix[0, 1] * y[:, None] + matrix[0, 2]
    at_y = matrix[1, 0] * x + matrix[1, 1] * y[:, None] + matrix[1, 2]
    sampled = bilinear(fine, *(2 * inside(at, side) + 0.5 + outside for at, side in ((at_y, height), (at_x, width))))
    coarse = resample.downsample(sampled[None], SYM6[::-1])[0]
    return coarse[MARGIN : MARGIN + height, MARGIN : MARGIN + width]


def upsampled(image: jax.Array) -> jax.Array:
    """Return the image at twice the resolution, filtered by the 6th symlet, with MARGIN mirrored pixels around it."""
    fine = resample.upsample(mirror_pad(image, 2 * MARGIN)[None], SYM6)[0]
    return fine[2 * MARGIN : -2 * MARGIN, 2 * MARGIN : -2 * MARGIN]


def mirror_pad(image: jax.Array, margin: int) -> jax.Array:
    """Return an image (H, W, C) with a margin in which it is mirrored at its outermost pixels, as often as needed."""
    for axis, side in enumerate(image.shape[:2]):
        image = jnp.take(image, np.round(fold(np.arange(-margin, side + margin), side)).astype(int), axis)
    return image


def inside(position: jax.Array, side: int) -> jax.Array:
    """Return positions, in pixels from the centre, as indices, mirrored into [0, side - 1] if beyond the margin."""
    index = position + (side - 1) / 2
    return jnp.where(jnp.abs(position) <= (side - 1) / 2 + MARGIN, index, fold(index, side))


def fold(index, side: int):
    """Return indices mirrored into [0, side - 1]."""
    return abs((index + side - 1) % max(2 * side - 2, 1) - (side - 1))


def bilinear(image: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    """Return the image (H, W, C) at indices y, x (h, w) in [0, H - 1] and [0, W - 1], by linear interpolation."""
    height, width, channels = image.shape
    top, left = (jnp.clip(jnp.floor(at), 0, side - 2) for at, side in ((y, height), (x, width)))
    down, right = (y - top)[..., None], (x - left)[..., None]
    flat, first = image.reshape(-1, channels), (top * width + left).astype(jnp.int32)
    upper = flat[first] * (1 - right) + flat[first + 1] * right
    lower = flat[first + width] * (1 - right) + flat[first + width + 1] * right
    return upper * (1 - down) + lower * down
