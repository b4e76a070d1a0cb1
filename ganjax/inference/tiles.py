"""Images through a trained translator: any size, in one piece or in tiles."""

import math
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from ganjax import rng
from ganjax.data import colour, images
from ganjax.data.images import Picture, to_uint8
from ganjax.errors import UserError
from ganjax.inference import streamed
from ganjax.nets.translate import padded
from ganjax.recipe import Method
from ganjax.system.progress import progress_bar

WHOLE = 1 << 20  # pixels that go through in one piece, by default
TILE, OVERLAP = 512, 96  # pixels; TILE - OVERLAP is a multiple of STEP
STEP = 32  # sides are padded to multiples, so that images of nearly one size share a program
TILES = ("auto", "whole", "fast", "exact")


def translator(methods: Mapping[str, Method], variables: dict, channels: int = 3) -> Callable:
    """Return (image, direction="ab", strength=1.0, keep_color=False, tile="auto", progress=False, smooth=None), which
    returns an image.

    image: a PIL image or a `Picture`, or uint8 (H, W, C), or (H, W) where `channels` is 1. An array gives an array of
    its shape; else what is returned is a PIL image, upright, in sRGB, mode RGB or, of one channel, L, with the alpha
    of the image where it has one (RGBA, LA). strength in [0, 1] mixes in the image itself; keep_color takes its
    colours, and the translation's lightness. tile: "whole"; "fast": tiles that blend into each other, normalised by the
    statistics of the reduced whole image; "auto": the latter above a megapixel; "exact": as "whole", with activations
    on disk (`streamed.translate`). smooth: (the norms' statistics) -> those to use, as for the frames of a video.
    Raises UserError for another direction or tile, a strength outside, and arrays of another form.
    """
    prefix = "translate_"
    ways = {name.removeprefix(prefix): Way(method, variables)
            for name, method in methods.items() if name.startswith(prefix)}  # fmt: skip

    def translate(image, direction="ab", strength=1.0, keep_color=False, tile="auto", progress=False, smooth=None):
        if direction not in ways:
            raise UserError(f"direction {direction!r} is not known: this run translates {' and '.join(ways)}")
        if not 0 <= strength <= 1:
            raise UserError(f"strength {strength} must lie in [0, 1]")
        if tile not in TILES:
            raise UserError(f"tile {tile!r} is none of {', '.join(TILES)}")
        if isinstance(image, Image.Image):
            image = images.from_pil(image)

        def core(pixels: np.ndarray) -> np.ndarray:
            painted = paint(ways[direction], pixels, tile, progress, smooth)
            painted = _recoloured(painted, pixels) if keep_color else painted
            return _mixed(pixels, painted, strength)

        if isinstance(image, Picture):
            return _picture(image, channels, strength, core)
        pixels = image[..., None] if np.ndim(image) == 2 else np.asarray(image)
        if pixels.ndim != 3 or pixels.shape[2] != channels or pixels.dtype != np.uint8 or not pixels.size:
            raise UserError(f"the image must be uint8 (H, W, {channels}), not {pixels.dtype} {pixels.shape}")
        painted = core(pixels)
        return painted[..., 0] if np.ndim(image) == 2 else painted

    return translate


class Way:
    """One direction of a translator, compiled for each size of image."""

    def __init__(self, method: Method, variables: dict):
        self.method, self.variables = method, variables
        self._apply = jax.jit(
            lambda variables, inputs: method.apply(variables, rng.key(0, "translate"), inputs)["image"]
        )
        self._norms = jax.jit(method.norms) if method.norms else None

    def apply(self, image: jax.Array | np.ndarray, norms: dict | None = None) -> np.ndarray:
        """Return the translation of images (B, H, W, C) in [-1, 1], normalised by these statistics, if any."""
        return np.asarray(
            self._apply(self.variables, {"image": image} if norms is None else {"image": image, "norms": norms})
        )

    def norms(self, image: jax.Array) -> dict:
        """Return the statistics of the norms on images (B, H, W, C) in [-1, 1]."""
        return self._norms(self.variables, {"image": image}) if self._norms else {}


def paint(way: Way, pixels: np.ndarray, tile: str, progress: bool, smooth: Callable | None) -> np.ndarray:
    """Return the translation of uint8 pixels (H, W, C), whole or in tiles.

    Raises UserError for what cannot be smoothed.
    """
    if tile == "exact":
        if smooth:
            raise UserError("tile 'exact' has no statistics to smooth: take fast or whole for a video")
        return _exact(way, pixels, progress)
    tiled = tile == "fast" or (tile == "auto" and math.prod(pixels.shape[:2]) > WHOLE)
    norms = _statistics(way, pixels) if tiled or smooth else None
    norms = smooth(norms) if smooth else norms
    if tiled:
        return _tiles(way, pixels, norms, progress)
    return _whole(way, pixels, norms)


def _picture(picture: Picture, channels: int, strength: float, core: Callable) -> Image.Image:
    """Return what `core` makes of a picture's colours, with its alpha.

    The net sees colours under transparency that go on from the visible ones; those of the file, which mean nothing but
    are the image's own, are what strength 0 gives back.
    """
    mode = "L" if channels == 1 else "RGB"
    own = picture.colour if picture.colour.mode == mode else picture.colour.convert(mode)
    visible = own if picture.alpha is None else colour.extended(own, picture.alpha)
    painted = core(np.asarray(visible).reshape(own.height, own.width, channels))
    if visible is not own and strength < 1:
        hidden = np.asarray(picture.alpha) == 0
        before, after = (np.asarray(x).reshape(painted.shape)[hidden].astype(np.float32) for x in (own, visible))
        painted[hidden] = np.clip(np.round(painted[hidden] + (1 - strength) * (before - after)), 0, 255).astype(
            np.uint8
        )
    image = Image.fromarray(painted[..., 0] if channels == 1 else painted)
    if picture.alpha is not None:
        image.putalpha(picture.alpha)
    return image


def _mixed(pixels: np.ndarray, painted: np.ndarray, strength: float) -> np.ndarray:
    if strength == 1:
        return painted
    mixed = pixels + np.float32(strength) * (painted.astype(np.float32) - pixels)
    return np.clip(np.round(mixed), 0, 255).astype(np.uint8)


def _whole(way: Way, pixels: np.ndarray, norms: dict | None) -> np.ndarray:
    height, width = pixels.shape[:2]
    x = padded(jnp.asarray(_floats(pixels))[None], STEP)
    return to_uint8(way.apply(x, norms)[0, :height, :width])


def _exact(way: Way, pixels: np.ndarray, progress: bool) -> np.ndarray:
    height, width = pixels.shape[:2]
    x = np.asarray(padded(jnp.asarray(_floats(pixels))[None], STEP)[0])
    stages = way.method.stages(way.variables) if way.method.stages else None
    return to_uint8(streamed.translate(stages, x, progress)[:height, :width])


def _tiles(way: Way, pixels: np.ndarray, norms: dict, progress: bool) -> np.ndarray:
    """Translate tile by tile; in their overlaps one fades into the next."""
    height, width = pixels.shape[:2]
    rows, columns = (_starts(side) for side in (height, width))
    out = np.empty((height, width, pixels.shape[2]), np.uint8)
    tiles = progress_bar(total=len(rows) * len(columns), shown=progress, desc="translating", unit=" tiles")
    # A strip of tiles is blended at a time, so that of the floats no more than two strips are held.
    ready = 0
    total, weight = (np.zeros((TILE, width, n), np.float32) for n in (pixels.shape[2], 1))
    for i, top in enumerate(rows):
        for left in columns:
            piece = pixels[top : top + TILE, left : left + TILE]
            h, w = piece.shape[:2]
            x = np.pad(piece, ((0, TILE - h), (0, TILE - w), (0, 0)), mode="symmetric")
            painted = way.apply(_floats(x)[None], norms)[0, :h, :w]
            fade = (_fade(top, h, height)[:, None] * _fade(left, w, width))[..., None]
            total[:h, left : left + w] += painted * fade
            weight[:h, left : left + w] += fade
            tiles.update()
        done = rows[i + 1] if i + 1 < len(rows) else height
        count = done - ready
        out[ready:done] = to_uint8(total[:count] / weight[:count])
        for array in (total, weight):
            array[: TILE - count] = array[count:].copy()
            array[TILE - count :] = 0
        ready = done
    tiles.close()
    return out


def _statistics(way: Way, pixels: np.ndarray) -> dict:
    """Return the norms' statistics on the whole image, reduced to a tile's number of pixels.

    By area, since the less an image is reduced, the nearer its statistics stay to its own. The longer side is bounded
    for what is thinner than STEP pixels, which is padded to that.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, TILE / math.sqrt(height * width), TILE * TILE / (STEP * max(height, width)))
    size = [max(1, round(side * scale)) for side in pixels.shape[1::-1]]
    small = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).resize(size, Image.Resampling.LANCZOS)
    small = np.asarray(small)
    x = padded(jnp.asarray(_floats(small[..., None] if small.ndim == 2 else small))[None], STEP)
    return way.norms(x)


def _starts(side: int) -> list[int]:
    """Return where tiles begin: multiples of STEP, so that strides fall on the same pixels as in the whole image."""
    return list(range(0, max(side - OVERLAP, 1), TILE - OVERLAP))


def _fade(start: int, length: int, side: int) -> np.ndarray:
    """Return weights (length,) of a tile along one axis: 0 in the outer quarter of the overlap, which sees the tile's
    border, 1 from the last quarter on; 1 at the image's own edges.
    """
    place = (np.arange(length) + 0.5) / OVERLAP
    weights = np.ones(length)
    if start > 0:
        weights = np.minimum(weights, np.clip(2 * place - 0.5, 0, 1))
    if start + length < side:
        weights = np.minimum(weights, np.clip(2 * place[::-1] - 0.5, 0, 1))
    return weights


def _floats(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.float32) / np.float32(127.5) - 1


def _recoloured(painted: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Return the lightness of one image with the colours of another: Y of YCbCr from the first, Cb and Cr of it."""
    if painted.shape[-1] == 1:
        return painted
    light = Image.fromarray(painted).convert("YCbCr").getchannel(0)
    _, cb, cr = Image.fromarray(pixels).convert("YCbCr").split()
    return np.asarray(Image.merge("YCbCr", (light, cb, cr)).convert("RGB"))
