"""Images through a trained translator: any size, in one piece or in tiles."""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
from tqdm import tqdm

from ganjax import exact, recipe, rng
from ganjax.data import images
from ganjax.data.images import to_uint8
from ganjax.errors import UserError
from ganjax.nets.translate import padded

WHOLE = 1 << 20  # pixels that go through in one piece, by default
TILE, OVERLAP = 512, 96  # pixels; TILE - OVERLAP is a multiple of STEP
STEP = 32  # sides are padded to multiples, so that images of nearly one size share a program
DIRECTIONS = ("ab", "ba")
TILES = ("auto", "whole", "fast", "exact")


def translator(gan: recipe.Recipe, variables: dict, channels: int = 3) -> Callable:
    """Return (image, direction="ab", strength=1.0, keep_color=False, tile="auto", progress=False, smooth=None), which
    returns an image.

    image: a PIL image, or uint8 (H, W, C), or (H, W) where `channels` is 1; what is returned is of the same kind and
    size, a PIL image RGB or, of one channel, L. strength in [0, 1] mixes in the image itself; keep_color takes its
    colours, and the translation's lightness. tile: "whole"; "fast": tiles that blend into each other, normalised by the
    statistics of the reduced whole image; "auto": the latter above a megapixel; "exact": as "whole", with activations
    on disk (`exact.translate`). smooth: (the norms' statistics) -> those to use, as for the frames of a video.
    UserError for another direction or tile, a strength outside, and arrays of another form.
    """
    both = "ba" in variables["params"]

    @functools.partial(jax.jit, static_argnames=("direction", "statistics"))
    def run(variables, image, direction, norms=None, statistics=False):
        inputs = {"image": image, "direction": direction, "statistics": statistics}
        return gan.sample(variables, rng.key(0, "translate"), inputs if norms is None else {**inputs, "norms": norms})

    def translate(image, direction="ab", strength=1.0, keep_color=False, tile="auto", progress=False, smooth=None):
        if direction not in DIRECTIONS or (direction == "ba" and not both):
            known = "ab and ba" if both else "ab"
            raise UserError(f"direction {direction!r} is not known: this run translates {known}")
        if not 0 <= strength <= 1:
            raise UserError(f"strength {strength} must lie in [0, 1]")
        if tile not in TILES:
            raise UserError(f"tile {tile!r} is none of {', '.join(TILES)}")
        pixels = np.asarray(images.convert(image, channels) if isinstance(image, Image.Image) else image)
        flat = pixels.ndim == 2
        pixels = pixels[..., None] if flat else pixels
        if pixels.ndim != 3 or pixels.shape[2] != channels or pixels.dtype != np.uint8 or not pixels.size:
            raise UserError(f"the image must be uint8 (H, W, {channels}), not {pixels.dtype} {pixels.shape}")
        tiled = tile == "fast" or (tile == "auto" and math.prod(pixels.shape[:2]) > WHOLE)
        norms = None
        if tile == "exact":
            if smooth:
                raise UserError("tile 'exact' has no statistics to smooth: take fast or whole for a video")
        elif tiled or smooth:
            norms = _statistics(run, variables, pixels, direction)
            norms = smooth(norms) if smooth else norms
        if tile == "exact":
            made = _exact(variables, pixels, direction, progress)
        elif tiled:
            made = _tiles(run, variables, pixels, direction, norms, progress)
        else:
            made = _whole(run, variables, pixels, direction, norms)
        if keep_color:
            made = _recoloured(made, pixels)
        if strength < 1:
            mixed = pixels + strength * (made.astype(np.float32) - pixels)
            made = np.clip(np.round(mixed), 0, 255).astype(np.uint8)
        made = made[..., 0] if flat else made
        return Image.fromarray(made) if isinstance(image, Image.Image) else made

    return translate


def _whole(run, variables, pixels, direction: str, norms: dict | None) -> np.ndarray:
    height, width = pixels.shape[:2]
    x = padded(jnp.asarray(_floats(pixels))[None], STEP)
    return to_uint8(np.asarray(run(variables, x, direction, norms))[0, :height, :width])


def _exact(variables, pixels, direction: str, progress: bool) -> np.ndarray:
    height, width = pixels.shape[:2]
    x = np.asarray(padded(jnp.asarray(_floats(pixels))[None], STEP)[0])
    return to_uint8(exact.translate(variables, x, direction, progress)[:height, :width])


def _tiles(run, variables, pixels, direction: str, norms: dict, progress: bool) -> np.ndarray:
    """Translate tile by tile; in their overlaps one fades into the next."""
    height, width = pixels.shape[:2]
    rows, columns = (_starts(side) for side in (height, width))
    out = np.empty((height, width, pixels.shape[2]), np.uint8)
    tiles = tqdm(total=len(rows) * len(columns), desc="translating", unit=" tiles", disable=not progress)
    # A strip of tiles is blended at a time, so that of the floats no more than two strips are held.
    ready = 0
    total, weight = (np.zeros((TILE, width, n), np.float32) for n in (pixels.shape[2], 1))
    for i, top in enumerate(rows):
        for left in columns:
            piece = pixels[top : top + TILE, left : left + TILE]
            h, w = piece.shape[:2]
            x = np.pad(piece, ((0, TILE - h), (0, TILE - w), (0, 0)), mode="symmetric")
            made = np.asarray(run(variables, _floats(x)[None], direction, norms))[0, :h, :w]
            fade = (_fade(top, h, height)[:, None] * _fade(left, w, width))[..., None]
            total[:h, left : left + w] += made * fade
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


def _statistics(run, variables, pixels, direction: str) -> dict:
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
    return run(variables, x, direction, statistics=True)


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


def _recoloured(made: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Return the lightness of one image with the colours of another: Y of YCbCr from the first, Cb and Cr of it."""
    if made.shape[-1] == 1:
        return made
    light = Image.fromarray(made).convert("YCbCr").getchannel(0)
    _, cb, cr = Image.fromarray(pixels).convert("YCbCr").split()
    return np.asarray(Image.merge("YCbCr", (light, cb, cr)).convert("RGB"))
