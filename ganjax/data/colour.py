"""Convert the colours of decoded images to 8 bits and sRGB, with separate alpha.

A file's mode, bits and colour profile tell what its numbers mean; the maximum value is never used to guess it.
"""

import functools
import io
import math

import numpy as np
from PIL import Image, ImageChops, ImageCms

from ganjax.errors import ImageError

STRIP = 1 << 22  # pixels converted at a time, to keep temporary arrays small
FULL_SCALES = (1.0, 255.0, 65535.0, 2.0**31 - 1, 2.0**32 - 1)  # candidates for white in files that do not declare it
TYPICAL = 0.99  # share of the pixels that a full scale must cover, so that single outliers do not count
NEGATIVE = -0.02  # of the full scale: smaller negative values are rounding or ringing
MAX_SEARCH = 1 << 24  # limit on the pixels among which `extended` finds the nearest visible one
SPACES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}  # {colour space of a profile: PIL mode}
KEY_SCALES = {"L;2": 85, "L;4": 17}  # a PNG's transparent gray is in the file's bits, Pillow's pixels in 8
PHOTOMETRIC, BITS, SAMPLE_FORMAT = 262, 258, 339  # TIFF tags
UNSIGNED, SIGNED = 1, 2  # values of SAMPLE_FORMAT


def separate(image: Image.Image, packing: str = "") -> tuple[Image.Image, Image.Image | None]:
    """Return (image without alpha, alpha as mode L, or None if all pixels are opaque).

    packing: Pillow's name for how the file stores its pixels.
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
        alpha = _alpha_of_key(image, key, packing)
    if alpha is None or alpha.getextrema()[0] == 255:
        return image, None
    return image, alpha


def _alpha_of_key(image: Image.Image, key, packing: str) -> Image.Image | None:
    """Return the alpha of an image with one transparent colour, `key`, in the file's bits; None if it does not fit."""
    if image.mode == "RGB" and isinstance(key, tuple) and len(key) == 3:
        if packing.endswith("16B"):
            key = [value >> 8 for value in key]  # Pillow has truncated the pixels likewise
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
    """Return (image, a note or ""): mode I, I;16, F or signed 8-bit as mode L, any other mode unchanged.

    The file declares white: 65,535 at 16 bits, 2^bits - 1 by a TIFF's tags. Floats and 32 bits do not declare it, so it
    is the smallest of 1, 255, 65,535, 2^31 - 1 and 2^32 - 1 that 99 % of the finite values do not exceed; the note
    tells it unless it is 1. NaN is black. A TIFF whose white is zero is inverted. Raises ImageError if the values are
    not in any usual range of images.
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
    note = "" if declared or white == 1 else f"the file does not declare its white level: {white:,.0f} is assumed"
    return Image.fromarray(levels), note


def _levels(values: np.ndarray, white: float, inverted: bool) -> np.ndarray:
    """Return values in [0, white] as uint8; NaN as 0."""
    scaled = values * (255 / white) if values.dtype != np.float32 else values * np.float32(255 / white)
    scaled = np.rint(np.clip(np.nan_to_num(scaled, copy=False, nan=0.0), 0, 255)).astype(np.uint8)
    return 255 - scaled if inverted else scaled


def _full_scale(values: np.ndarray, declared: float | None) -> float:
    """Return the white level: the declared one, or else an estimate from most of the values."""
    sample = values[:: math.ceil(values.size / STRIP)]
    finite = sample[np.isfinite(sample)].astype(np.float64)
    if not finite.size:
        raise ImageError("none of its values is finite")
    low, high = np.quantile(finite, (1 - TYPICAL, TYPICAL))
    white = declared or next((scale for scale in FULL_SCALES if high <= scale), None)
    if white is None or low < NEGATIVE * white:
        raise ImageError(
            f"most of its values lie from {low:.4g} to {high:.4g}, not in a usual range of images (0 to 1, 0 to 255, 0 "
            "to 65,535, ...); rescale them"
        )
    return white


def _single(value):
    """Return a TIFF tag's value, or its first one if it has several."""
    return value[0] if isinstance(value, tuple) and value else value


def to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, str]:
    """Return (image in sRGB, mode RGB or L; a note on a profile that could not be used, or "").

    The input may be changed in place. Without a profile, RGB and gray are assumed to be sRGB, CMYK is converted by the
    plain formula, Lab by its definition. The rendering intent is relative colorimetric.
    """
    note = ""
    if image.mode in ("1", "P", "YCbCr", "RGBX", "HSV"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    if profile:
        try:
            return _apply_profile(image, bytes(profile)), ""
        except (ImageCms.PyCMSError, OSError, TypeError, ValueError) as error:
            note = f"its colour profile is not used: {error}".rstrip()
    if image.mode == "LAB":
        image = _transform(_lab(), "LAB", "RGB").apply(image)
    return (image if image.mode in ("L", "RGB") else image.convert("RGB")), note


def _apply_profile(image: Image.Image, profile: bytes) -> Image.Image:
    space = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space.strip()
    mode = SPACES.get(space)
    if image.mode == "L" and mode == "RGB":
        return image  # many programs keep the RGB profile when they convert to gray
    if mode == "L" and image.mode == "RGB" and _is_gray(image):  # Pillow decodes gray with alpha, and gray WebP, as RGB
        image = image.convert("L")
    if mode != image.mode:
        raise ValueError(f"it describes {space}, but the pixels are {image.mode}")
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


@functools.lru_cache(16)  # a folder's files share a few profiles, and a press profile takes 60 ms to load
def _transform(profile: bytes, mode: str, to: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from a profile to sRGB, or None if it would change RGB by no more than rounding."""
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
    """Return the colours, with those of fully transparent pixels replaced by those of the nearest other pixel.

    Colours under transparency mean nothing, but a network would let them bleed into the visible edge.
    """
    step = math.ceil(math.sqrt(alpha.width * alpha.height / MAX_SEARCH)) or 1
    opaque = np.asarray(alpha)[::step, ::step] > 0
    if opaque.all() or not opaque.any():
        return colour
    import scipy.ndimage  # here: it takes a tenth of a second, and few images have an alpha channel

    rows, columns = scipy.ndimage.distance_transform_edt(~opaque, return_distances=False, return_indices=True)
    fill = np.asarray(colour)[::step, ::step][rows, columns]
    fill = Image.fromarray(fill.repeat(step, 0).repeat(step, 1)[: colour.height, : colour.width])
    return Image.composite(colour, fill, alpha.point(lambda v: 255 * (v > 0)))
