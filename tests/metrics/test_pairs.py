"""Metrics of pairs of an image and its translation, with and without a network."""

import numpy as np
import pytest

from ganjax.errors import UserError
from ganjax.metrics import evaluate
from ganjax.metrics.features import randconv
from ganjax.metrics.sets import Side
from ganjax.nets.pretrained import lpips


def test_the_distance_is_of_each_pixels_features_and_zero_for_equal_images():
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 256, (2, 24, 20, 3), np.uint8) for _ in range(2))
    kernels = randconv.kernels()
    distances = randconv.distance(kernels, a, b)
    expected = []
    for x, y in zip(randconv.layers(kernels, a), randconv.layers(kernels, b), strict=True):
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        cosine = (x * y).sum(-1) / np.maximum(np.linalg.norm(x, axis=-1) * np.linalg.norm(y, axis=-1), 1e-20)
        expected.append(1 - cosine.mean((1, 2)))
    np.testing.assert_allclose(distances, np.mean(expected, 0), rtol=1e-4)
    np.testing.assert_allclose(randconv.distance(kernels, a, a), 0, atol=1e-6)
    assert (distances > randconv.distance(kernels, a, np.clip(a.astype(int) + 5, 0, 255).astype(np.uint8))).all()


def test_content_is_matched_by_name(monkeypatch):
    monkeypatch.setattr(lpips, "load", lambda *_: {})
    monkeypatch.setattr(lpips, "distance", lambda variables, a, b, net: ((a - b) ** 2).mean((1, 2, 3)))
    images = np.random.default_rng(0).integers(0, 256, (20, 40, 40, 3), np.uint8)
    names = [f"{i:02d}" for i in range(20)]
    options = evaluate.Options(content=Side(images, names=names))
    back = Side(images[::-1], names=names[::-1])
    shifted = Side(images, names=names[1:] + names[:1])
    metrics = ("structure", "rand_lpips", "lpips_content")
    same, other = (evaluate.score(metrics, Side(images), fake, options) for fake in (back, shifted))
    assert [round(same[name]["value"], 4) for name in metrics] == [1, 0, 0]
    assert other["structure"]["value"] < 0.2 and other["rand_lpips"]["value"] > 0.05
    assert other["lpips_content"]["value"] == pytest.approx(
        ((images / 127.5 - np.roll(images, 1, 0) / 127.5) ** 2).mean(), rel=1e-3
    )
    assert other["rand_lpips"]["extractor"].startswith(randconv.NAME)
    with pytest.raises(UserError, match="structure needs --content=DIR.*rand_lpips needs.*lpips_content needs"):
        evaluate.score(metrics, Side(images), back)
