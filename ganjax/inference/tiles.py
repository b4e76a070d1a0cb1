"""Translate images of any size with a trained model, whole or in tiles."""

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

WHOLE = 1 << 20  # pixels up to which an image is translated whole by default
TILE, OVERLAP = 512, 96  # pixels; TILE - OVERLAP is a multiple of STEP
STEP = 32  # sides are padded to multiples of it, so that images of similar sizes share a compiled program
TILES = ("auto", "whole", "fast", "exact")


def translator(methods: Mapping[str, Method], variables: dict, channels: int = 3) -> Callable:
    """Return the function (image, direction="ab", strength=1.0, keep_color=False, tile="auto", progress=False,
    smooth=None) -> the translated image.

    image:      a PIL image, a `Picture`, or uint8 (H, W, C); (H, W) too if `channels` is 1. For an array the result is
                an array of its shape; else a PIL image, upright, in sRGB, of mode RGB, or L for one channel, with the
                alpha of the image if it has one (RGBA, LA).
    strength:   in [0, 1]: the share of the translation; the rest is the image itself.
    keep_color: take the lightness of the translation and the colours of the image.
    tile:       "whole"; "fast": blended tiles, normalised by the statistics of the whole image at reduced size; "auto":
                "fast" above a megapixel, else "whole"; "exact": as "whole", with activations on disk
                (`streamed.translate`).
    smooth:     (the norms' statistics of this image) -> the statistics to use; for the frames of a video.

    The function raises UserError for an unknown direction or tile, a strength outside [0, 1], or another kind of array.
    """
    prefix = "translate_"
    directions = {name.removeprefix(prefix): Direction(method, variables)
                  for name, method in methods.items() if name.startswith(prefix)}  # fmt: skip

    def translate(image, direction="ab", strength=1.0, keep_color=False, tile="auto", progress=False, smooth=None):
        if direction not in directions:
            raise UserError(f"direction {direction!r} is not known: this run translates {' and '.join(directions)}")
        if not 0 <= strength <= 1:
            raise UserError(f"strength {strength} must lie in [0, 1]")
        if tile not in TILES:
            raise UserError(f"tile {tile!r} is none of {', '.join(TILES)}")
        if isinstance(image, Image.Image):
            image = images.from_pil(image)

        def translate_pixels(pixels: np.ndarray) -> np.ndarray:
            output = _translate(directions[direction], pixels, tile, progress, smooth)
            output = _with_colours_of(pixels, output) if keep_color else output
            return _mix(pixels, output, strength)

        if isinstance(image, Picture):
            return _picture(image, channels, strength, translate_pixels)
        pixels = image[..., None] if np.ndim(image) == 2 else np.asarray(image)
        if pixels.ndim != 3 or pixels.shape[2] != channels or pixels.dtype != np.uint8 or not pixels.size:
            raise UserError(f"the image must be uint8 (H, W, {channels}), not {pixels.dtype} {pixels.shape}")
        output = translate_pixels(pixels)
        return output[..., 0] if np.ndim(image) == 2 else output

    return translate


class Direction:
    """One direction of a translator, compiled for each size of image."""

    def __init__(self, method: Method, variables: dict):
        self.method, self.variables = method, variables
        self._apply = jax.jit(
            lambda variables, inputs: method.apply(variables, rng.key(0, "translate"), inputs)["image"]
        )
        self._norms = jax.jit(method.norms) if method.norms else None

    def apply(self, image: jax.Array | np.ndarray, norms: dict | None = None) -> np.ndarray:
        """Return the translation of images (B, H, W, C) in [-1, 1]; `norms` replaces the norms' statistics."""
        return np.asarray(
            self._apply(self.variables, {"image": image} if norms is None else {"image": image, "norms": norms})
        )

    def norms(self, image: jax.Array) -> dict:
        """Return the norms' statistics on images (B, H, W, C) in [-1, 1]; {} if the net has no such norms."""
        return self._norms(self.variables, {"image": image}) if self._norms else {}


def _translate(
    direction: Direction, pixels: np.ndarray, tile: str, progress: bool, smooth: Callable | None
) -> np.ndarray:
    """Return the translation of uint8 pixels (H, W, C), whole or in tiles.

    Raises UserError for `smooth` with tile "exact".
    """
    if tile == "exact":
        if smooth:
            raise UserError("tile 'exact' cannot smooth the norms' statistics: take fast or whole for a video")
        return _exact(direction, pixels, progress)
    in_tiles = tile == "fast" or (tile == "auto" and math.prod(pixels.shape[:2]) > WHOLE)
    norms = _statistics(direction, pixels) if in_tiles or smooth else None
    norms = smooth(norms) if smooth else norms
    if in_tiles:
        return _tiles(direction, pixels, norms, progress)
    return _whole(direction, pixels, norms)


def _picture(picture: Picture, channels: int, strength: float, translate_pixels: Callable) -> Image.Image:
    """Return the translation of a picture, with its alpha.

    Transparent pixels have arbitrary colours in the file: the net gets instead colours extended from the visible ones.
    With strength < 1 the file's own colours are mixed in, so that strength 0 returns the file's pixels.
    """
    mode = "L" if channels == 1 else "RGB"
    original = picture.colour if picture.colour.mode == mode else picture.colour.convert(mode)
    extended = original if picture.alpha is None else colour.extended(original, picture.alpha)
    output = translate_pixels(np.asarray(extended).reshape(original.height, original.width, channels))
    if extended is not original and strength < 1:
        hidden = np.asarray(picture.alpha) == 0
        before, after = (np.asarray(x).reshape(output.shape)[hidden].astype(np.float32) for x in (original, extended))
        output[hidden] = np.clip(np.round(output[hidden] + (1 - strength) * (before - after)), 0, 255).astype(np.uint8)
    image = Image.fromarray(output[..., 0] if channels == 1 else output)
    if picture.alpha is not None:
        image.putalpha(picture.alpha)
    return image


def _mix(pixels: np.ndarray, output: np.ndarray, strength: float) -> np.ndarray:
    if strength == 1:
        return output
    mixture = pixels + np.float32(strength) * (output.astype(np.float32) - pixels)
    return np.clip(np.round(mixture), 0, 255).astype(np.uint8)


def _whole(direction: Direction, pixels: np.ndarray, norms: dict | None) -> np.ndarray:
    height, width = pixels.shape[:2]
    x = padded(jnp.asarray(_floats(pixels))[None], STEP)
    return to_uint8(direction.apply(x, norms)[0, :height, :width])


def _exact(direction: Direction, pixels: np.ndarray, progress: bool) -> np.ndarray:
    height, width = pixels.shape[:2]
    x = np.asarray(padded(jnp.asarray(_floats(pixels))[None], STEP)[0])
    stages = direction.method.stages(direction.variables) if direction.method.stages else None
    return to_uint8(streamed.translate(stages, x, progress)[:height, :width])


def _tiles(direction: Direction, pixels: np.ndarray, norms: dict, progress: bool) -> np.ndarray:
    """Return the translation of uint8 pixels tile by tile; tiles are blended where they overlap."""
    height, width = pixels.shape[:2]
    rows, columns = (_starts(side) for side in (height, width))
    out = np.empty((height, width, pixels.shape[2]), np.uint8)
    bar = progress_bar(total=len(rows) * len(columns), shown=progress, desc="translating", unit=" tiles")
    # One strip of tiles is blended at a time, so that only two strips are in memory as floats.
    start = 0  # the first row of `out` that is not final yet: row 0 of `total` and `weight`
    total, weight = (np.zeros((TILE, width, n), np.float32) for n in (pixels.shape[2], 1))
    for i, top in enumerate(rows):
        for left in columns:
            tile = pixels[top : top + TILE, left : left + TILE]
            h, w = tile.shape[:2]
            x = np.pad(tile, ((0, TILE - h), (0, TILE - w), (0, 0)), mode="symmetric")
            output = direction.apply(_floats(x)[None], norms)[0, :h, :w]
            fade = (_fade(top, h, height)[:, None] * _fade(left, w, width))[..., None]
            total[:h, left : left + w] += output * fade
            weight[:h, left : left + w] += fade
            bar.update()
        stop = rows[i + 1] if i + 1 < len(rows) else height
        count = stop - start
        out[start:stop] = to_uint8(total[:count] / weight[:count])
        for array in (total, weight):
            array[: TILE - count] = array[count:].copy()
            array[TILE - count :] = 0
        start = stop
    bar.close()
    return out


def _statistics(direction: Direction, pixels: np.ndarray) -> dict:
    """Return the norms' statistics on the whole image, reduced to at most a tile's number of pixels.

    The area is bounded, and not a side, because the less an image is reduced, the closer its statistics are to those at
    full size. The longer side is bounded too, for images that become thinner than STEP pixels and are padded to STEP.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, TILE / math.sqrt(height * width), TILE * TILE / (STEP * max(height, width)))
    size = [max(1, round(side * scale)) for side in pixels.shape[1::-1]]
    small = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).resize(size, Image.Resampling.LANCZOS)
    small = np.asarray(small)
    x = padded(jnp.asarray(_floats(small[..., None] if small.ndim == 2 else small))[None], STEP)
    return direction.norms(x)


def _starts(side: int) -> list[int]:
    """Return where the tiles begin: at multiples of STEP, so that strides sample the same pixels as in one piece."""
    return list(range(0, max(side - OVERLAP, 1), TILE - OVERLAP))


def _fade(start: int, length: int, side: int) -> np.ndarray:
    """Return the blending weights (length,) of a tile along one axis.

    They are 0 in the outer quarter of the overlap, which the tile's padding affects, rise to 1 at the inner quarter,
    and are 1 at the image's edges.
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


def _with_colours_of(pixels: np.ndarray, output: np.ndarray) -> np.ndarray:
    """Return the translation with the colours of `pixels`: Y of YCbCr from `output`, Cb and Cr from `pixels`."""
    if output.shape[-1] == 1:
        return output
    light = Image.fromarray(output).convert("YCbCr").getchannel(0)
    _, cb, cr = Image.fromarray(pixels).convert("YCbCr").split()
    return np.asarray(Image.merge("YCbCr", (light, cb, cr)).convert("RGB"))
