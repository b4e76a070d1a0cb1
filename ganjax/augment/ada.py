"""Adaptive discriminator augmentation (Karras et al. 2020, arXiv 2006.06676, appendix B).

Each operation happens to each image with probability p, so that for p below about 0.8 the distribution of true images
can still be told from that of augmented ones, and G does not learn the augmentation (section 2.2). Pure functions of
(keys, images, p), smooth in the images to any order, with static shapes: where the published code pads an image by as
much as its batch needs, here positions outside an image are mirrored into it.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

import jax
import jax.numpy as jnp
import numpy as np

from ganjax.ops import resample

# The lowpass filters of Daubechies' symlets of 2 and 6 vanishing moments, of sum sqrt(2).
SYM2 = (-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025)
SYM6 = (
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633, 0.4910559419267466,
    0.787641141030194, 0.3379294217276218, -0.07263752278646252, -0.021060292512300564, 0.04472490177066578,
    0.0017677118642428036, -0.007800708325034148,
)  # fmt: skip

MARGIN = len(SYM6) // 4  # pixels around an image that the filter needs

SHIFT = 0.125  # of each side: the largest whole shift, and the deviation of the fractional one
SCALE, BRIGHTNESS, CONTRAST, SATURATION = 0.2, 0.2, 0.5, 1.0  # deviations; of the base-2 logarithm, but for brightness
BANDS = 4
POWER = np.array([10, 1, 1, 1]) / 13  # of natural images in each band, from low to high frequencies
NOISE, CUTOUT = 0.1, 0.5

BLIT, GEOMETRY = ("mirror", "quarter_turn", "shift"), ("scale", "rotate", "stretch", "move")
COLOUR = ("brightness", "contrast", "luma_flip", "hue", "saturation")
CORRUPTION = ("filter", "noise", "cutout")
GROUPS = {"blit": BLIT, "geometry": GEOMETRY, "color": COLOUR, "corruption": CORRUPTION}
PRESETS = {
    "bgc": (*BLIT, *GEOMETRY, *COLOUR),  # as published, the default there
    "all": (*BLIT, *GEOMETRY, *COLOUR, *CORRUPTION),
    # For paintings: no mirroring (signatures, scripts), no turns, no other hues.
    "paint": ("shift", "scale", "stretch", "move", "brightness", "contrast", "saturation"),
    "palette": ("shift", "scale", "stretch", "move", "cutout"),
}


def operations(text: str) -> dict[str, float]:
    """Return the operations of a policy, such as "bgc" or "blit,scale,color*0.5", with the share of p that is their
    probability. Raises ValueError for an unknown part, or a share outside [0, 1].
    """
    known, chosen = {**PRESETS, **GROUPS, **{name: (name,) for group in GROUPS.values() for name in group}}, {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, share = part.partition("*")
        if name not in known:
            raise ValueError(f"augmentation {name!r} is not one of {', '.join(known)}")
        if not re.fullmatch(r"0?\.[0-9]{1,9}|[01]|", share):
            raise ValueError(f"augmentation {part!r}: a share of p is a number from 0 to 1, such as {name}*0.5")
        chosen |= dict.fromkeys(known[name], float(share or 1))
    return chosen


def policy(text: str) -> Callable:
    """Return (keys (B,), images, p) -> images, float (B, H, W, C) in [-1, 1], of 1, 3 or 4 channels.

    p: the probability of each operation, a scalar in [0, 1]. Colour changes leave alpha as it is; of grey images they
    are brightness, contrast and luma flip. Images of one key get the same changes. Raises ValueError for an unknown
    part of the policy.
    """
    chosen = operations(text)
    steps = [
        (warp, (*BLIT, *GEOMETRY)),
        (recolour, COLOUR),
        (amplify, ("filter",)),
        (add_noise, ("noise",)),
        (cut_out, ("cutout",)),
    ]

    def one(key: jax.Array, image: jax.Array, p: jax.Array) -> jax.Array:
        for i, (step, names) in enumerate(steps):
            if own := tuple(name for name in names if name in chosen):
                image = step(Draws(jax.random.fold_in(key, i), p, image.dtype, chosen), image, own)
        return image

    def apply(keys: jax.Array, images: jax.Array, p: float | jax.Array) -> jax.Array:
        return jax.vmap(one, (0, 0, None))(keys, images, jnp.asarray(p, images.dtype))

    return apply


class Draws:
    """Random values of one image, each of them neutral with probability 1 - p, and independent of the others.

    shares: of p, by operation; 1 where none is given.
    """

    def __init__(self, key: jax.Array, p: jax.Array, dtype, shares: Mapping[str, float] = MappingProxyType({})):
        self.key, self.p, self.dtype, self.shares = key, p, dtype, shares

    def __call__(self, name: str, draw: Callable, neutral: float, p: jax.Array | None = None) -> jax.Array:
        """Return draw(key, dtype) with probability p, else `neutral`."""
        chance, value = jax.random.split(jax.random.fold_in(self.key, USES.index(name)))
        happens = jax.random.uniform(chance, (), self.dtype) < (self.p if p is None else p) * self.shares.get(name, 1)
        return jnp.where(happens, draw(value, self.dtype), jnp.asarray(neutral, self.dtype))


USES = (*BLIT, *GEOMETRY, "rotate_after", *COLOUR, *CORRUPTION)


def uniform(low: float, high: float, shape: tuple[int, ...] = ()) -> Callable:
    return lambda key, dtype: jax.random.uniform(key, shape, dtype, low, high)


def normal(deviation: float, shape: tuple[int, ...] = ()) -> Callable:
    return lambda key, dtype: deviation * jax.random.normal(key, shape, dtype)


def power_of_2(deviation: float, shape: tuple[int, ...] = ()) -> Callable:
    return lambda key, dtype: jnp.exp2(deviation * jax.random.normal(key, shape, dtype))


def integer(count: int) -> Callable:
    return lambda key, dtype: jax.random.randint(key, (), 0, count).astype(dtype)


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

    A rotation happens before and after the stretch, each so often that one of them has the probability p.
    """
    height, width = size
    sides = jnp.array([width, height], draws.dtype)
    once = 1 - jnp.sqrt(1 - draws.p)
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


def recolour(draws: Draws, image: jax.Array, chosen: tuple[str, ...]) -> jax.Array:
    """Return an image after the chosen of COLOUR, all as one affine map of (red, green, blue)."""
    matrix, offset = colour_map(draws, chosen)
    if image.shape[-1] == 1:
        matrix, offset = matrix.mean(0).sum().reshape(1, 1), offset.mean(0, keepdims=True)
    colours = len(offset)
    changed = image[..., :colours] @ matrix.T + offset
    return jnp.concatenate([changed, image[..., colours:]], -1)


def colour_map(draws: Draws, chosen: tuple[str, ...]) -> tuple[jax.Array, jax.Array]:
    """Return the matrix (3, 3) and the offset (3,) of a colour's new value."""
    eye, grey = jnp.eye(3, dtype=draws.dtype), jnp.full((3, 3), 1 / 3, draws.dtype)  # grey projects onto r = g = b
    cross = jnp.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], draws.dtype) / np.sqrt(3)  # with that axis

    def hue():
        angle = draws("hue", uniform(-jnp.pi, jnp.pi), 0)
        return grey + jnp.cos(angle) * (eye - grey) + jnp.sin(angle) * cross

    steps = {
        "contrast": lambda: draws("contrast", power_of_2(CONTRAST), 1) * eye,
        "luma_flip": lambda: eye - 2 * draws("luma_flip", integer(2), 0) * grey,
        "hue": hue,
        "saturation": lambda: grey + draws("saturation", power_of_2(SATURATION), 1) * (eye - grey),
    }
    matrix, offset = eye, jnp.zeros(3, draws.dtype)
    if "brightness" in chosen:
        offset += draws("brightness", normal(BRIGHTNESS), 0)
    for name, step in steps.items():
        if name in chosen:
            change = step()
            matrix, offset = change @ matrix, change @ offset
    return matrix, offset


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
