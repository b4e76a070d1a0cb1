"""Damage images on the fly, so that restoration trains on pairs (damaged, whole) from whole images alone.

Each kind is a pure function (key, image (H, W, C) in [-1, 1]) -> damaged image; the key determines the strength. Noise,
blur, reduction and JPEG follow Wan et al. 2020 (arXiv 2004.09484, "old photos"); strokes and boxes follow Yu et al.
2019 (arXiv 1806.03589), in shares of the image's side; fading and cracks are our own. Levels are 8-bit steps.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from ganjax.errors import nearest

LEVEL = 2 / 255  # one 8-bit step on the scale [-1, 1]


def gaussian(key: jax.Array, image: jax.Array) -> jax.Array:
    """Add noise N(0, s), s from 5 to 50 levels."""
    strength, noise = jax.random.split(key)
    return image + _uniform(strength, 5, 50) * LEVEL * jax.random.normal(noise, image.shape, image.dtype)


def speckle(key: jax.Array, image: jax.Array) -> jax.Array:
    """Multiply the brightness, 0 for black, by 1 + N(0, s), s from 5/255 to 50/255."""
    strength, noise = jax.random.split(key)
    factor = 1 + _uniform(strength, 5, 50) / 255 * jax.random.normal(noise, image.shape, image.dtype)
    return (image + 1) * factor - 1


def salt_pepper(key: jax.Array, image: jax.Array) -> jax.Array:
    """Make up to 1 % of the pixels black or white."""
    share, where, which = jax.random.split(key, 3)
    hit = jax.random.uniform(where, (*image.shape[:2], 1)) < _uniform(share, 0, 0.01)
    return jnp.where(hit, jnp.where(jax.random.bernoulli(which, shape=hit.shape), 1.0, -1.0), image)


def blur(key: jax.Array, image: jax.Array) -> jax.Array:
    """Filter with a Gaussian of sigma 1 to 5 within a window of 3, 5 or 7 pixels."""
    width, window = jax.random.split(key)
    at = jnp.arange(-3, 4)
    taps = jnp.exp(-0.5 * (at / _uniform(width, 1, 5)) ** 2) * (jnp.abs(at) <= jax.random.randint(window, (), 1, 4))
    taps = (taps / taps.sum()).astype(image.dtype)
    for axis in (0, 1):
        pad = [(0, 0)] * 3
        pad[axis] = (3, 3)
        padded = jnp.pad(image, pad, "edge")
        views = (jax.lax.slice_in_dim(padded, i, i + image.shape[axis], axis=axis) for i in range(7))
        image = sum(tap * view for tap, view in zip(taps, views, strict=True))
    return image


def downscale(key: jax.Array, image: jax.Array) -> jax.Array:
    """Reduce to 0.5 to 1 of the size, then enlarge again, both by linear interpolation."""
    share = _uniform(key, 0.5, 1).astype(image.dtype)
    small = _rescale(image, share, antialias=True)
    # Pixels beyond the reduced image are undefined, so repeat its last row and column.
    sides = [jnp.minimum(jnp.arange(side), jnp.floor(side * share).astype(jnp.int32) - 1) for side in image.shape[:2]]
    return _rescale(small[sides[0]][:, sides[1]], 1 / share, antialias=False)


def _rescale(image: jax.Array, factor: jax.Array, antialias: bool) -> jax.Array:
    """Return the image (H, W, C), scaled linearly about its top left corner, in the same shape."""
    start = jnp.zeros(2, image.dtype)
    return jax.image.scale_and_translate(
        image, image.shape, (0, 1), jnp.full(2, factor), start, "linear", antialias=antialias
    )


def jpeg(key: jax.Array, image: jax.Array) -> jax.Array:
    """Quantise like JPEG at a quality of 40 to 100: 8x8 blocks, the tables of Annex K, chroma at full resolution."""
    quality = _uniform(key, 40, 100)
    scale = jnp.where(quality < 50, 5000 / quality, 200 - 2 * quality)
    h, w, channels = image.shape
    x = jnp.pad((image + 1) * 127.5, ((0, -h % 8), (0, -w % 8), (0, 0)), "edge")
    x = x @ _YCC.T.astype(x.dtype) if channels == 3 else x
    x = x - jnp.array([128.0, 0, 0][:channels], x.dtype)
    blocks = x.reshape(x.shape[0] // 8, 8, x.shape[1] // 8, 8, channels)
    spectrum = jnp.einsum("ui,aibjc,vj->aubvc", _DCT, blocks, _DCT)
    tables = jnp.stack([_LUMA, _CHROMA, _CHROMA][:channels], -1)
    steps = jnp.clip(jnp.floor((tables * scale + 50) / 100), 1, 255)[None, :, None]
    spectrum = jnp.round(spectrum / steps) * steps
    x = jnp.einsum("ui,aubvc,vj->aibjc", _DCT, spectrum, _DCT).reshape(x.shape)
    x = x + jnp.array([128.0, 0, 0][:channels], x.dtype)
    x = x @ jnp.linalg.inv(_YCC).T.astype(x.dtype) if channels == 3 else x
    return (x[:h, :w] / 127.5 - 1).astype(image.dtype)


def fading(key: jax.Array, image: jax.Array) -> jax.Array:
    """Reduce contrast and saturation by 20 to 70 %, towards a yellowish grey."""
    contrast, colour, tone = jax.random.split(key, 3)
    grey = image.mean(-1, keepdims=True)
    image = grey + (image - grey) * _uniform(colour, 0.3, 0.8)
    paper = jnp.array([0.55, 0.45, 0.25] if image.shape[-1] == 3 else [0.45], image.dtype)
    keep = _uniform(contrast, 0.3, 0.8)
    return keep * image + (1 - keep) * paper * _uniform(tone, 0.5, 1.2)


def cracks(key: jax.Array, image: jax.Array) -> jax.Array:
    """Draw 4 to 12 thin, crooked dark or light lines across the image."""
    number, paths, tone = jax.random.split(key, 3)
    count = jax.random.randint(number, (), 4, 13)
    distance = jnp.full(image.shape[:2], jnp.inf)
    for i, path in enumerate(jax.random.split(paths, 12)):
        points = _walk(path, image.shape[:2], 8, 0.12)
        distance = jnp.minimum(distance, jnp.where(i < count, _distance(points, image.shape[:2]), jnp.inf))
    line = jnp.clip(1.2 - distance, 0, 1)[..., None].astype(image.dtype)
    colour = jnp.where(jax.random.bernoulli(tone), -0.9, 0.8)
    return image + line * (colour - image)


def holes(key: jax.Array, image: jax.Array) -> jax.Array:
    """Cover 1 to 3 brush strokes, or a box of up to half of each side, with white: the holes to be inpainted."""
    kind, box, strokes = jax.random.split(key, 3)
    mask = jnp.where(jax.random.bernoulli(kind), _box(box, image.shape[:2]), _strokes(strokes, image.shape[:2]))
    return jnp.where(mask[..., None], jnp.ones((), image.dtype), image)


KINDS: dict[str, Callable] = {
    "blur": blur,
    "gaussian": gaussian,
    "speckle": speckle,
    "salt_pepper": salt_pepper,
    "downscale": downscale,
    "jpeg": jpeg,
    "fading": fading,
    "cracks": cracks,
    "holes": holes,
}
GREY = "grey"  # not applied at random: every image loses its colours, for training colourisation


def check(kinds: Sequence[str]) -> None:
    """Raise ValueError, which suggests the nearest kind, if a kind is unknown."""
    for kind in kinds:
        if kind not in (*KINDS, GREY):
            raise ValueError(f"damage {kind!r} is not known{nearest(kind, (*KINDS, GREY))}")


def damage(images: jax.Array, keys: jax.Array, kinds: Sequence[str], chance: float) -> jax.Array:
    """Return images (B, H, W, C) in [-1, 1], each damaged by its own key (B,).

    Each of `kinds`, in this order, is applied with probability `chance`; "grey" is always applied. Raises ValueError
    for an unknown kind.
    """
    check(kinds)

    def one(image, key):
        for i, kind in enumerate(kinds):
            if kind == GREY:
                image = jnp.broadcast_to(image.mean(-1, keepdims=True), image.shape)
                continue
            choice, draw = jax.random.split(jax.random.fold_in(key, i))
            image = jnp.where(jax.random.bernoulli(choice, chance), KINDS[kind](draw, image).astype(image.dtype), image)
        return jnp.clip(image, -1, 1)

    return jax.vmap(one)(images, keys)


def _uniform(key: jax.Array, low: float, high: float) -> jax.Array:
    return jax.random.uniform(key, (), jnp.float32, low, high)


def _walk(key: jax.Array, size: tuple[int, int], steps: int, stride: float) -> jax.Array:
    """Return points (steps + 1, 2) of a walk that turns a little at each step. stride: share of the longer side."""
    start, heading, turns = jax.random.split(key, 3)
    first = jax.random.uniform(start, (2,)) * jnp.array(size)
    turn = jax.random.uniform(turns, (steps,), minval=-0.8, maxval=0.8)
    angle = jax.random.uniform(heading, (), maxval=2 * jnp.pi) + jnp.cumsum(turn)
    moves = stride * max(size) * jnp.stack([jnp.sin(angle), jnp.cos(angle)], -1)
    return jnp.concatenate([first[None], first + jnp.cumsum(moves, 0)])


def _distance(points: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Return the distance (H, W) of each pixel from the polyline through points (N, 2)."""
    place = jnp.stack(jnp.meshgrid(jnp.arange(size[0]), jnp.arange(size[1]), indexing="ij"), -1)[..., None, :]
    start, move = points[:-1], points[1:] - points[:-1]
    share = jnp.sum((place - start) * move, -1) / jnp.maximum(jnp.sum(move**2, -1), 1e-6)
    near = start + jnp.clip(share, 0, 1)[..., None] * move
    return jnp.sqrt(jnp.min(jnp.sum((place - near) ** 2, -1), -1))


def _strokes(key: jax.Array, size: tuple[int, int]) -> jax.Array:
    number, paths, widths = jax.random.split(key, 3)
    count, mask = jax.random.randint(number, (), 1, 4), jnp.zeros(size, bool)
    for i, (path, width) in enumerate(zip(jax.random.split(paths, 3), jax.random.split(widths, 3), strict=True)):
        radius = _uniform(width, 12 / 512, 40 / 512) * max(size)
        mask |= (i < count) & (_distance(_walk(path, size, 8, 0.1), size) < radius)
    return mask


def _box(key: jax.Array, size: tuple[int, int]) -> jax.Array:
    side, place = jax.random.split(key)
    length = jax.random.uniform(side, (2,), minval=0.25, maxval=0.5) * jnp.array(size)
    corner = jax.random.uniform(place, (2,)) * (jnp.array(size) - length)
    inside = [(jnp.arange(n) >= corner[i]) & (jnp.arange(n) < corner[i] + length[i]) for i, n in enumerate(size)]
    return inside[0][:, None] & inside[1]


def _dct() -> np.ndarray:
    """Return the matrix of the orthonormal DCT-II of 8 values."""
    u, i = np.mgrid[:8, :8]
    matrix = np.cos((2 * i + 1) * u * np.pi / 16) / 2
    matrix[0] /= np.sqrt(2)
    return matrix.astype(np.float32)


_DCT = _dct()
_YCC = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32
)  # ITU-R BT.601, full range
# ITU-T T.81, tables K.1 and K.2.
_LUMA = np.array(
    [[16, 11, 10, 16, 24, 40, 51, 61], [12, 12, 14, 19, 26, 58, 60, 55], [14, 13, 16, 24, 40, 57, 69, 56],
     [14, 17, 22, 29, 51, 87, 80, 62], [18, 22, 37, 56, 68, 109, 103, 77], [24, 35, 55, 64, 81, 104, 113, 92],
     [49, 64, 78, 87, 103, 121, 120, 101], [72, 92, 95, 98, 112, 100, 103, 99]], np.float32)  # fmt: skip
_CHROMA = np.array(
    [[17, 18, 24, 47, 99, 99, 99, 99], [18, 21, 26, 66, 99, 99, 99, 99], [24, 26, 56, 99, 99, 99, 99, 99],
     [47, 66, 99, 99, 99, 99, 99, 99], *[[99] * 8] * 4], np.float32)  # fmt: skip
