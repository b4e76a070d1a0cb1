"""Each kind of damage: its strength, its range, its reproducibility; JPEG against Pillow's."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ganjax.augment import damage

damaged = jax.jit(damage.damage, static_argnums=(2, 3))


def keys(count=64):
    return jax.random.split(jax.random.key(0), count)


def scene(side=64):
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
    return np.asarray(small.resize((side, side), Image.Resampling.BICUBIC)).astype(np.float32) / 127.5 - 1


@pytest.mark.parametrize("kind", [*damage.KINDS, damage.GREY])
def test_every_kind_changes_an_image_by_its_key_alone(kind):
    images = jnp.broadcast_to(scene(), (4, 64, 64, 3))
    out = damage.damage(images, keys(4), (kind,), 1.0)
    assert out.shape == images.shape and out.dtype == images.dtype
    assert float(out.min()) >= -1 and float(out.max()) <= 1 and (out != images).any()
    # Without jit: fused operations differ in the last bits with the batch size.
    alone = damage.damage(images[2:3], keys(4)[2:3], (kind,), 1.0)
    np.testing.assert_allclose(alone[0], out[2], atol=1e-6)
    np.testing.assert_array_equal(damaged(images, keys(4), (kind,), 0.0) if kind != damage.GREY else images, images)
    narrow = damaged(images[:1, :40, :24, :1], keys(1), (kind,), 1.0)
    assert narrow.shape == (1, 40, 24, 1)


def test_noise_has_its_deviation():
    flat = jnp.zeros((256, 32, 32, 3))
    stds = np.asarray(damaged(flat, keys(256), ("gaussian",), 1.0).std((1, 2, 3))) * 127.5
    assert 4.5 < stds.min() < 9 and 44 < stds.max() < 52 and stds.mean() == pytest.approx(27.5, abs=2)
    speckled = damaged(flat, keys(256), ("speckle",), 1.0)  # brightness 1 times 1 + N(0, s)
    assert np.asarray(speckled.std((1, 2, 3)) * 255).mean() == pytest.approx(27.5, abs=2)
    hit = np.asarray(jnp.abs(damaged(flat, keys(256), ("salt_pepper",), 1.0)).mean((1, 2, 3)))
    assert hit.max() < 0.025 and hit.mean() == pytest.approx(0.005, abs=0.001)


def test_blur_keeps_the_mean_and_lowers_the_contrast():
    images = jax.random.uniform(jax.random.key(1), (16, 64, 64, 3), minval=-1)
    out = damaged(images, keys(16), ("blur",), 1.0)
    np.testing.assert_allclose(out.mean((1, 2, 3)), images.mean((1, 2, 3)), atol=0.01)
    assert float((out.std((1, 2, 3)) / images.std((1, 2, 3))).max()) < 0.6
    np.testing.assert_allclose(damaged(jnp.full_like(images, 0.3), keys(16), ("blur",), 1.0), 0.3, atol=1e-5)


def test_jpeg_is_as_far_from_the_image_as_pillows(monkeypatch):
    pixels = np.clip(np.round((scene() + 1) * 127.5 + np.random.default_rng(0).normal(0, 8, (64, 64, 3))), 0, 255)
    image = (pixels / 127.5 - 1).astype(np.float32)
    for quality in (40, 60, 90):
        monkeypatch.setattr(damage, "_uniform", lambda key, low, high, q=quality: jnp.float32(q))
        ours = np.asarray(damage.jpeg(jax.random.key(0), jnp.asarray(image))) * 127.5
        file = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(file, "JPEG", quality=quality, subsampling=0)
        theirs = np.asarray(Image.open(file)).astype(float) - 127.5
        lost = np.abs(ours - image * 127.5).mean()
        assert lost == pytest.approx(np.abs(theirs - image * 127.5).mean(), rel=0.05), quality
        # Not equal: Pillow rounds intermediate values, and values near a half may round either way.
        assert np.abs(ours - theirs).mean() < 0.5 * lost, quality


def test_holes_are_white_and_leave_the_rest():
    images = jnp.zeros((64, 64, 64, 3))
    out = damaged(images, keys(), ("holes",), 1.0)
    assert set(np.unique(out)) == {0.0, 1.0}
    share = np.asarray(out[..., 0].mean((1, 2)))
    assert share.min() > 0 and share.max() < 0.6 and 0.05 < share.mean() < 0.3


def test_the_chance_is_that_of_each_kind():
    images = jnp.zeros((1000, 8, 8, 1))
    out = damaged(images, keys(1000), ("gaussian",), 0.7)
    assert 0.66 < float((out != 0).any((1, 2, 3)).mean()) < 0.74


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="damage 'crack' is not known; did you mean 'cracks'"):
        damaged(jnp.zeros((1, 8, 8, 3)), keys(1), ("crack",), 1.0)
