import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ganjax.augment import transforms
from ganjax.config.groups import base


def augment(images, **settings):
    config = base().augment
    config.flip = False
    config.update(settings)
    size = settings.pop("size", images.shape[1:3])
    return transforms.augment(images, jax.random.key(0), *size, config)


@pytest.fixture
def images():
    return jax.random.uniform(jax.random.key(5), (8, 12, 12, 3), minval=-1, maxval=1)


def test_normalise_maps_0_and_255_to_the_ends():
    np.testing.assert_allclose(transforms.normalise(jnp.array([0, 255, 51], jnp.uint8)), [-1, 1, -0.6], atol=1e-6)


def test_everything_off_is_the_identity(images):
    np.testing.assert_array_equal(augment(images), images)


def test_flip_mirrors_some_and_leaves_the_others(images):
    flipped = augment(images, flip=True)
    mirrored = [bool((a == b[:, ::-1]).all()) for a, b in zip(flipped, images, strict=True)]
    same = [bool((a == b).all()) for a, b in zip(flipped, images, strict=True)]
    assert any(mirrored)
    assert any(same)
    assert all(m or s for m, s in zip(mirrored, same, strict=True))


def test_an_image_is_augmented_by_its_place_not_by_its_neighbours(images):
    settings = {"flip": True, "rotate": 10.0, "crop_scale": 0.5, "brightness": 0.2, "contrast": 0.2, "saturation": 0.2}
    whole = augment(images, **settings)
    other = augment(images.at[1:].set(0), **settings)
    np.testing.assert_array_equal(whole[0], other[0])


def test_random_crop_cuts_a_window():
    places = jnp.arange(144.0).reshape(12, 12, 1) * jnp.ones((8, 1, 1, 1))  # 12 y + x
    config = base().augment
    config.flip = False
    cut = transforms.augment(places, jax.random.key(0), 8, 8, config)
    assert cut.shape == (8, 8, 8, 1)
    np.testing.assert_array_equal(jnp.diff(cut, axis=1), 12)
    np.testing.assert_array_equal(jnp.diff(cut, axis=2), 1)
    assert len({float(c[0, 0, 0]) for c in cut}) > 1


def test_resized_crop_of_a_ramp_is_a_gentler_ramp_inside_it():
    ramp = jnp.broadcast_to(jnp.linspace(-1, 1, 32)[None, :, None], (32, 32, 1))
    for i in range(8):
        out = transforms.resized_crop(ramp, jax.random.key(i), 32, 32, 0.3)
        assert float(out.min()) >= -1 - 1e-5
        assert float(out.max()) <= 1 + 1e-5
        slope = jnp.diff(out[16, 4:-4, 0])
        np.testing.assert_allclose(slope, slope[0], atol=1e-4)  # linear resampling keeps a ramp linear
        share = float(slope[0]) / (2 / 31)
        assert (0.3 * 3 / 4) ** 0.5 - 1e-3 <= share <= 1 + 1e-3


def test_rotation_turns_a_quarter_exactly(images):
    turned = transforms.rotate(images[0], jnp.pi / 2)
    np.testing.assert_allclose(turned, jnp.rot90(images[0]), atol=1e-4)


def test_jitter_by_zero_is_the_identity_and_otherwise_stays_in_range(images):
    np.testing.assert_allclose(transforms.jitter(images[0], jax.random.key(0), 0, 0, 0), images[0], atol=1e-6)
    strong = transforms.jitter(images[0], jax.random.key(0), 0.9, 0.9, 0.9)
    assert float(jnp.abs(strong).max()) <= 1
    gray = transforms.jitter(jnp.full((4, 4, 3), 0.1), jax.random.key(0), 0.0, 0.9, 0.9)
    np.testing.assert_allclose(gray, 0.1, atol=1e-6)  # contrast and saturation leave a uniform gray unchanged
