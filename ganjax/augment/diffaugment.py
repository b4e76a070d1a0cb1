"""Differentiable augmentation of the discriminator's input: DiffAugment (Zhao et al. 2020, arXiv 2006.10738).

Pure functions (key, images) on floats (B, H, W, C) in [-1, 1]; `key` is one key, or one key per image (B,). They are
smooth in the images, to any order, and are applied to real and generated images alike, so that the generator does not
learn them. Colours may leave [-1, 1], as in the paper's code.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

TRANSLATION = 1 / 8  # of each side: the largest shift
CUTOUT = 1 / 2  # of each side


def brightness(key: jax.Array, image: jax.Array) -> jax.Array:
    """Add U(-0.5, 0.5)."""
    return image + jax.random.uniform(key, (), image.dtype, -0.5, 0.5)


def saturation(key: jax.Array, image: jax.Array) -> jax.Array:
    """Scale by U(0, 2) about each pixel's mean over the channels."""
    mean = jnp.mean(image, -1, keepdims=True)
    return mean + (image - mean) * jax.random.uniform(key, (), image.dtype, 0, 2)


def contrast(key: jax.Array, image: jax.Array) -> jax.Array:
    """Scale by U(0.5, 1.5) about the image's mean."""
    mean = jnp.mean(image)
    return mean + (image - mean) * jax.random.uniform(key, (), image.dtype, 0.5, 1.5)


def translation(key: jax.Array, image: jax.Array) -> jax.Array:
    """Shift by up to an eighth of each side, uniform over whole pixels; uncovered pixels are 0."""
    h, w, channels = image.shape
    y, x = (int(side * TRANSLATION + 0.5) for side in (h, w))
    shift = jax.random.randint(key, (2,), 0, jnp.array([2 * y + 1, 2 * x + 1]))
    padded = jnp.pad(image, ((y, y), (x, x), (0, 0)))
    return jax.lax.dynamic_slice(padded, (shift[0], shift[1], 0), (h, w, channels))


def cutout(key: jax.Array, image: jax.Array) -> jax.Array:
    """Set a rectangle of half the sides to 0; its centre is uniform over the image, and the border clips it."""
    masks = []
    for size, part in zip(image.shape[:2], jax.random.split(key), strict=True):
        length = int(size * CUTOUT + 0.5)
        start = jax.random.randint(part, (), 0, size + 1 - length % 2) - length // 2
        place = jnp.arange(size)
        masks.append((place >= start) & (place < start + length))
    return jnp.where((masks[0][:, None] & masks[1])[..., None], 0, image)


GROUPS = {
    "color": (brightness, saturation, contrast),
    "brightness": (brightness,),
    "saturation": (saturation,),
    "contrast": (contrast,),
    "translation": (translation,),
    "cutout": (cutout,),
}
# For paintings: no preset mirrors (signatures, scripts) or rotates hues. "palette" leaves every colour as it is.
PRESETS = {
    "full": "color,translation,cutout",
    "palette": "translation,cutout",
    "paint": "brightness,translation,cutout",
}


def policy(text: str) -> Callable:
    """Return (key, images) -> images of a policy like "color,translation,cutout" or of a preset; "" changes nothing.
    Changes of colour leave alpha as it is.

    Raises ValueError for an unknown part.
    """
    names = [name.strip() for name in PRESETS.get(text, text).split(",") if name.strip()]
    for name in names:
        if name not in GROUPS:
            raise ValueError(f"augmentation {name!r} is not one of {', '.join([*GROUPS, *PRESETS])}")
    steps = [step for name in names for step in GROUPS[name]]

    def one(key, image):
        for i, step in enumerate(steps):
            one_key = jax.random.fold_in(key, i)
            if image.shape[-1] == 4 and step in GROUPS["color"]:
                image = jnp.concatenate([step(one_key, image[..., :3]), image[..., 3:]], -1)
            else:
                image = step(one_key, image)
        return image

    def apply(key: jax.Array, images: jax.Array) -> jax.Array:
        if not steps:
            return images
        keys = key if key.ndim else jax.random.split(key, len(images))
        return jax.vmap(one)(keys, images)

    return apply


def shift_and_flip(key: jax.Array, images: jax.Array) -> jax.Array:
    """Mirror each image with probability 1/2 and translate it: for consistency regularisation (arXiv 1910.12027)."""
    keys = key if key.ndim else jax.random.split(key, len(images))

    def one(key, image):
        flip, shift = jax.random.split(key)
        return translation(shift, jnp.where(jax.random.bernoulli(flip), image[:, ::-1], image))

    return jax.vmap(one)(keys, images)
