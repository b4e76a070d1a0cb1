"""Colours of one image changed by random values, for adaptive augmentation."""

import jax
import jax.numpy as jnp
import numpy as np

from ganjax.augment.draws import Draws, integer, normal, power_of_2, uniform

BRIGHTNESS, CONTRAST, SATURATION = 0.2, 0.5, 1.0  # deviations; of the base-2 logarithm, but for brightness


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
