"""Colours of decoded images: 8 bits, sRGB, alpha apart.

A file says what its numbers mean: by its mode, its bits, its colour profile. Nothing is guessed from a maximum.
"""

import functools
import io
import math

import numpy as np
import scipy.ndimage
from PIL import Image, ImageChops, ImageCms

from ganjax.errors import ImageError

STRIP = 1 << 22  # pixels that are converted at a time: the temporary arrays stay small
FULL_SCALES = (1.0, 255.0, 65535.0, 2.0**31 - 1, 2.0**32 - 1)  # what white is in files that do not say
TYPICAL = 0.99  # share of the pixels that a full scale must cover: single outliers do not count
NEGATIVE = -0.02  # of the full scale: less is rounding or ringing
FILLED = 1 << 24  # pixels, at most, among which the nearest opaque one is looked for
SPACES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}  # of a profile: the mode that it describes
KEY_SCALES = {"L;2": 85, "L;4": 17}  # a PNG's transparent grey counts in its own bits, Pillow's pixels in 8
PHOTOMETRIC, BITS, SAMPLE_FORMAT = 262, 258, 339  # TIFF tags
UNSIGNED, SIGNED = 1, 2  # values of SAMPLE_FORMAT


def separate(image: Image.Image, packing: str = "") -> tuple[Image.Image, Image.Image | None]:
    """Return (image without alpha, alpha as mode L or None where everything is opaque).

    packing: how the file stores its pixels, as Pillow names it.
    """
    key, mode = image.info.get("transparency"), image.mode
    alpha = None
    if mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        image = image.convert({"RGBa": "RGBA", "La": "LA"}.get(mode, mode))
        alpha = image.getchannel("A")
        image = image.convert("L" if mode in ("LA", "La") else "RGB")
    elif mode == "P" and image.has_transparency_data:
        image = image.convert("RGBA")
        alpha, image = image.getchannel("A"), image.convert("RGB")
    elif key is not None and mode != "P":
        alpha = _keyed(image, key, packing)
    if alpha is None or alpha.getextrema()[0] == 255:
        return image, None
    return image, alpha


def _keyed(image: Image.Image, key, packing: str) -> Image.Image | None:
    """Return the alpha of an image of which one colour is transparent; `key` counts in the file's own bits."""
    if image.mode == "RGB" and isinstance(key, tuple) and len(key) == 3:
        if packing.endswith("16B"):
            key = [value >> 8 for value in key]  # as the pixels were cut when they were decoded
        differs = [band.point(lambda v, k=k: 255 * (v != k)) for band, k in zip(image.split(), key, strict=True)]
        return functools.reduce(ImageChops.lighter, differs)
    if not isinstance(key, int):
        return None
    if image.mode.startswith("I"):
        return Image.fromarray(np.where(np.asarray(image) == key, 0, 255).astype(np.uint8))
    if image.mode == "1":
        return image.point(lambda v: 255 * (bool(v) != bool(key)), "L")
    if image.mode == "L":
        return image.point(lambda v: 255 * (v != key * KEY_SCALES.get(packing, 1)))
    return None


def eight_bits(image: Image.Image, tags: dict | None = None) -> tuple[Image.Image, str]:
    """Return (an image of mode I, I;16 or F as mode L, and of any other mode as it is; a note, or "").

    White is what the file says: 65,535 at 16 bits, 2^bits - 1 by a TIFF's tags. Floats and 32 bits do not say, so it is
    the least of 1, 255, 65,535, 2^31 - 1 and 2^32 - 1 that 99 % of the finite values stay within; a note says so unless
    it is 1. NaN is black. A TIFF whose white is zero is inverted. Raises ImageError for values that are no picture's.
    """
    values, tags = np.asarray(image), tags or {}
    narrow = image.mode.startswith("I;16")
    bits = _single(tags.get(BITS)) or (16 if narrow else 32)
    signed = (_single(tags.get(SAMPLE_FORMAT)) or (UNSIGNED if narrow or tags else SIGNED)) == SIGNED
    if image.mode == "L" and signed and bits == 8 and tags:
        values = values.view(np.int8)
    elif not (image.mode.startswith("I") or image.mode == "F"):
        return image, ""
    elif image.mode == "I" and bits == 32 and not signed:
        values = values.view(np.uint32)
    declared = image.mode != "F" and bits <= 16
    white = _full_scale(values, float(2 ** (bits - signed) - 1) if declared else None)
    inverted = _single(tags.get(PHOTOMETRIC)) == 0
    levels, rows = np.empty(values.shape, np.uint8), max(1, STRIP // max(image.width, 1))
    table = _levels(np.arange(65536), white, inverted) if narrow else None
    for top in range(0, len(values), rows):
        part = values[top : top + rows]
        levels[top : top + rows] = _levels(part, white, inverted) if table is None else table[part]
    note = "" if declared or white == 1 else f"it does not say what white is: {white:,.0f} is taken"
    return Image.fromarray(levels), note


def _levels(values: np.ndarray, white: float, inverted: bool) -> np.ndarray:
    """Return values in [0, white] as uint8; NaN as 0."""
    scaled = values * (255 / white) if values.dtype != np.float32 else values * np.float32(255 / white)
    scaled = np.rint(np.clip(np.nan_to_num(scaled, copy=False, nan=0.0), 0, 255)).astype(np.uint8)
    return 255 - scaled if inverted else scaled


def _full_scale(values: np.ndarray, declared: float | None) -> float:
    """Return what white is: as declared, or by where most of the values lie."""
    sample = values[:: math.ceil(values.size / STRIP)]
    finite = sample[np.isfinite(sample)].astype(np.float64)
    if not finite.size:
        raise ImageError("none of its values is finite")
    low, high = np.quantile(finite, (1 - TYPICAL, TYPICAL))
    white = declared or next((scale for scale in FULL_SCALES if high <= scale), None)
    if white is None or low < NEGATIVE * white:
        raise ImageError(
            f"most of its values lie from {low:.4g} to {high:.4g}, which no range of pictures is (0 to 1, to 255, to "
            "65,535, ...); rescale it"
        )
    return white


def _single(value):
    """Return a tag's value, or its first one."""
    return value[0] if isinstance(value, tuple) and value else value


def to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, str]:
    """Return (the image, mode RGB or L, in sRGB; a note on a profile that could not be used, or ""). It may be changed
    in place.

    Without a profile RGB and gray are taken for sRGB, CMYK is converted by the plain formula, Lab by its definition.
    The intent is relative colorimetric.
    """
    note = ""
    if image.mode in ("1", "P", "YCbCr", "RGBX", "HSV"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    if profile:
        try:
            return _converted(image, bytes(profile)), ""
        except (ImageCms.PyCMSError, OSError, TypeError, ValueError) as error:
            note = f"its colour profile is not used: {error}".rstrip()
    if image.mode == "LAB":
        image = _transform(_lab(), "LAB", "RGB").apply(image)
    return (image if image.mode in ("L", "RGB") else image.convert("RGB")), note


def _converted(image: Image.Image, profile: bytes) -> Image.Image:
    space = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space.strip()
    mode = SPACES.get(space)
    if image.mode == "L" and mode == "RGB":
        return image  # many programs leave the profile of colours on what they turn gray
    if mode == "L" and image.mode == "RGB" and _is_gray(image):  # as Pillow gives gray with alpha, and gray WebP
        image = image.convert("L")
    if mode != image.mode:
        raise ValueError(f"it is of {space}, the pixels are {image.mode}")
    transform = _transform(profile, mode, "RGB")
    if transform is None:
        return image
    if mode == "RGB":
        transform.apply_in_place(image)
        return image
    image = transform.apply(image)
    return image.getchannel("R") if mode == "L" else image


def _is_gray(image: Image.Image) -> bool:
    red, green, blue = image.split()
    return not any(ImageChops.difference(red, other).getbbox() for other in (green, blue))


@functools.lru_cache(16)  # a folder's files share a few profiles, and a press profile takes 60 ms
def _transform(profile: bytes, mode: str, to: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from a profile to sRGB; None where it would leave RGB as it is, but for rounding."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    srgb = ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(source, srgb, mode, to, ImageCms.Intent.RELATIVE_COLORIMETRIC)
    if mode == "RGB":
        axis = np.linspace(0, 255, 9).astype(np.uint8)
        probe = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(27, 27, 3)
        converted = np.asarray(transform.apply(Image.fromarray(probe)), int)
        return None if np.abs(converted - probe).max() <= 2 else transform
    return transform


@functools.cache
def _lab() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


@functools.cache
def srgb_profile() -> bytes:
    """Return the ICC profile of sRGB."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def on_white(colour: Image.Image, alpha: Image.Image | None) -> Image.Image:
    """Return the colours composited on white; `colour` is changed in place."""
    if alpha is not None:
        colour.paste(255 if colour.mode == "L" else "white", mask=ImageChops.invert(alpha))
    return colour


def extended(colour: Image.Image, alpha: Image.Image) -> Image.Image:
    """Return the colours with those of fully transparent pixels taken from the nearest other pixel.

    What a file holds under transparency means nothing: a net that sees it lets it bleed into the edge.
    """
    step = math.ceil(math.sqrt(alpha.width * alpha.height / FILLED)) or 1
    opaque = np.asarray(alpha)[::step, ::step] > 0
    if opaque.all() or not opaque.any():
        return colour
    rows, columns = scipy.ndimage.distance_transform_edt(~opaque, return_distances=False, return_indices=True)
    fill = np.asarray(colour)[::step, ::step][rows, columns]
    fill = Image.fromarray(fill.repeat(step, 0).repeat(step, 1)[: colour.height, : colour.width])
    return Image.composite(colour, fill, alpha.point(lambda v: 255 * (v > 0)))
