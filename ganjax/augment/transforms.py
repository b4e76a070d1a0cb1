"""Transforms of a batch on the device: normalisation and augmentation, pure in (batch, key)."""

import jax
import jax.numpy as jnp
import ml_collections


def normalise(images: jax.Array, dtype=jnp.float32) -> jax.Array:
    """Map uint8 to floats in [-1, 1]."""
    return images.astype(dtype) / 127.5 - 1


def centre(images: jax.Array, height: int, width: int) -> jax.Array:
    """Crop images (B, H, W, C) to their centre (B, height, width, C), for evaluation."""
    top, left = (images.shape[1] - height) // 2, (images.shape[2] - width) // 2
    return images[:, top : top + height, left : left + width]


def augment(images: jax.Array, key: jax.Array, height: int, width: int, config: ml_collections.ConfigDict) -> jax.Array:
    """Augment floats (B, H, W, C) in [-1, 1] to (B, height, width, C); image i uses the key fold_in(key, i).

    Crop at random, flip, rotate and jitter the colours by the settings in `config` (`config.augment`).
    """
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(images.shape[0]))
    return jax.vmap(lambda image, key: _augment(image, key, height, width, config))(images, keys)


def _augment(image, key, height, width, config):
    crop, flip, turn, colour = jax.random.split(key, 4)
    if config.crop_scale < 1:
        image = resized_crop(image, crop, height, width, config.crop_scale)
    elif image.shape[:2] != (height, width):
        image = random_crop(image, crop, height, width)
    if config.flip:
        image = jnp.where(jax.random.bernoulli(flip), image[:, ::-1], image)
    if config.rotate > 0:
        image = rotate(image, jax.random.uniform(turn, (), image.dtype, -1, 1) * jnp.deg2rad(config.rotate))
    if config.brightness or config.contrast or config.saturation:
        image = jitter(image, colour, config.brightness, config.contrast, config.saturation)
    return image


def random_crop(image: jax.Array, key: jax.Array, height: int, width: int) -> jax.Array:
    """Crop a window (height, width) at a uniformly random place."""
    room = jnp.array([image.shape[0] - height + 1, image.shape[1] - width + 1])
    top, left = jax.random.randint(key, (2,), 0, room)
    return jax.lax.dynamic_slice(image, (top, left, 0), (height, width, image.shape[2]))


def resized_crop(image: jax.Array, key: jax.Array, height: int, width: int, min_area: float) -> jax.Array:
    """Crop a window with a share U(min_area, 1) of the area and exp U(log 3/4, log 4/3) times the image's aspect ratio.

    The window's sides are clipped to the image's. Resample it to (height, width) by an antialiased triangle filter.
    """
    area_key, ratio_key, place_key = jax.random.split(key, 3)
    area = jax.random.uniform(area_key, (), image.dtype, min_area, 1)
    ratio = jnp.exp(jax.random.uniform(ratio_key, (), image.dtype, jnp.log(3 / 4), jnp.log(4 / 3)))
    share = jnp.minimum(jnp.sqrt(area * jnp.stack([1 / ratio, ratio])), 1)
    sides = jnp.array(image.shape[:2], image.dtype)
    corner = jax.random.uniform(place_key, (2,), image.dtype) * (1 - share) * sides
    scale = jnp.array([height, width], image.dtype) / (share * sides)
    shape = (height, width, image.shape[2])
    return jax.image.scale_and_translate(image, shape, (0, 1), scale, -corner * scale, "linear", antialias=True)


def rotate(image: jax.Array, angle: jax.Array) -> jax.Array:
    """Rotate counter-clockwise by `angle` radians about the centre: bilinear, mirrored beyond the border."""
    h, w, channels = image.shape
    y, x = jnp.meshgrid(jnp.arange(h) - (h - 1) / 2, jnp.arange(w) - (w - 1) / 2, indexing="ij")
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    places = [cos * y + sin * x + (h - 1) / 2, cos * x - sin * y + (w - 1) / 2]
    planes = [jax.scipy.ndimage.map_coordinates(image[..., c], places, 1, mode="mirror") for c in range(channels)]
    return jnp.stack(planes, -1).astype(image.dtype)


def jitter(image: jax.Array, key: jax.Array, brightness: float, contrast: float, saturation: float) -> jax.Array:
    """Scale about each pixel's channel mean by U(1 - saturation, 1 + saturation), then about the image's mean by
    U(1 - contrast, 1 + contrast); add U(-brightness, brightness); clip to [-1, 1].
    """
    shift, by_image, by_pixel = jax.random.uniform(key, (3,), image.dtype, -1, 1)
    mean = image.mean(-1, keepdims=True)
    image = mean + (image - mean) * (1 + saturation * by_pixel)
    mean = image.mean()
    image = mean + (image - mean) * (1 + contrast * by_image)
    return jnp.clip(image + brightness * shift, -1, 1)
