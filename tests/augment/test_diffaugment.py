"""DiffAugment: ranges, colours that a preset keeps, per-image keys, second-order gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ganjax.augment import diffaugment

KEYS = jax.random.split(jax.random.key(0), 400)
IMAGES = jax.random.uniform(jax.random.key(1), (400, 16, 12, 3), minval=-1)


def test_brightness_and_contrast_have_the_papers_ranges():
    shift = np.asarray(diffaugment.policy("brightness")(KEYS, IMAGES) - IMAGES)
    np.testing.assert_allclose(shift, np.broadcast_to(shift[:, :1, :1, :1], shift.shape), atol=1e-6)
    assert -0.5 <= shift.min() < -0.45 and 0.45 < shift.max() <= 0.5
    changed = diffaugment.policy("contrast")(KEYS, IMAGES)

    def mean(x):
        return np.asarray(x).mean((1, 2, 3))

    np.testing.assert_allclose(mean(changed), mean(IMAGES), atol=1e-6)
    factor = np.asarray(changed).std((1, 2, 3)) / np.asarray(IMAGES).std((1, 2, 3))
    assert 0.5 <= factor.min() < 0.55 and 1.45 < factor.max() <= 1.5


def test_saturation_keeps_the_mean_of_each_pixel():
    changed = diffaugment.policy("saturation")(KEYS, IMAGES)
    np.testing.assert_allclose(changed.mean(-1), IMAGES.mean(-1), atol=1e-6)
    gray = jnp.broadcast_to(IMAGES[..., :1], IMAGES.shape)
    np.testing.assert_allclose(diffaugment.policy("saturation")(KEYS, gray), gray, atol=1e-6)


def test_translation_moves_by_an_eighth_at_most_and_fills_with_zeros():
    dot = jnp.zeros((400, 16, 12, 1)).at[:, 8, 6].set(1)
    moved = np.asarray(diffaugment.policy("translation")(KEYS, dot))
    rows, columns = np.nonzero(moved[..., 0].any(2))[1], np.nonzero(moved[..., 0].any(1))[1]
    assert set(rows.tolist()) == set(range(6, 11)) and set(columns.tolist()) == set(range(4, 9))  # int(12 / 8 + .5) = 2
    corner = diffaugment.policy("translation")(KEYS, jnp.ones((400, 16, 12, 1)))
    assert np.asarray(corner).min() == 0


def test_cutout_clears_half_of_each_side():
    out = np.asarray(diffaugment.policy("cutout")(KEYS, jnp.ones((400, 16, 12, 1))))[..., 0]
    holes = 1 - out
    heights, widths = holes.any(2).sum(1), holes.any(1).sum(1)
    assert heights.max() == 8 and widths.max() == 6
    assert (holes.sum((1, 2)) == heights * widths).all()
    assert 0 < heights.min() < 8  # the border clips the rectangle


def test_the_palette_preset_leaves_every_colour_and_no_preset_mirrors():
    colours = {tuple(c) for c in np.asarray(IMAGES[:50]).reshape(-1, 3).tolist()} | {(0, 0, 0)}
    changed = np.asarray(diffaugment.policy("palette")(KEYS[:50], IMAGES[:50]))
    assert {tuple(c) for c in changed.reshape(-1, 3).tolist()} <= colours
    ramp = jnp.broadcast_to(jnp.linspace(0.1, 1, 12)[None, None, :, None], (400, 16, 12, 3))
    for preset in diffaugment.PRESETS:
        out = np.asarray(diffaugment.policy(preset)(KEYS, ramp))
        slope = np.diff(out[:, 8, :, 0], axis=1)
        assert (np.median(slope, 1) >= -1e-6).all(), preset


def test_an_image_depends_on_its_own_key_alone():
    apply = diffaugment.policy("full")
    np.testing.assert_allclose(apply(KEYS, IMAGES)[7], apply(KEYS[7:8], IMAGES[7:8])[0], atol=1e-6)
    assert (apply(KEYS, IMAGES) != apply(KEYS[::-1], IMAGES)).any()
    np.testing.assert_array_equal(diffaugment.policy("")(KEYS, IMAGES), IMAGES)


def test_second_derivatives_are_those_of_differences(x64):
    x = jax.random.uniform(jax.random.key(2), (2, 8, 8, 3), jnp.float64)
    apply = diffaugment.policy("full")

    def value(x):
        return jnp.sum(apply(KEYS[:2], x) ** 3)

    def squared(x):
        return jnp.sum(jax.grad(value)(x) ** 2)

    way = jax.random.normal(jax.random.key(3), x.shape, jnp.float64)
    slope = jnp.vdot(jax.grad(squared)(x), way)
    difference = (squared(x + 1e-6 * way) - squared(x - 1e-6 * way)) / 2e-6
    np.testing.assert_allclose(slope, difference, rtol=1e-6)


def test_an_unknown_part_is_named():
    with pytest.raises(ValueError, match="'colour' is not one of color, .*palette"):
        diffaugment.policy("colour")
