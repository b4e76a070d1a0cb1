"""The table of metrics: which images and features each metric is computed from."""

import numpy as np
import pytest

from ganjax.metrics import evaluate
from ganjax.metrics.features import extract, extractors
from ganjax.metrics.sets import Side
from ganjax.metrics.statistics import copies, frechet
from ganjax.nets.pretrained import lpips


def test_the_larger_side_is_sampled_whatever_its_order():
    """The images of a folder are sorted by label: its first images would all have one label."""
    rng = np.random.default_rng(0)
    labels = np.arange(400) // 200
    images = rng.integers(0, 80, (400, 16, 16, 3)) + 150 * labels[:, None, None, None]
    real, few = Side(images.astype(np.uint8)), Side(images[::4].astype(np.uint8))
    for name in ("colour", "patch_fd", "swd"):
        result = evaluate.score((name,), real, few)[name]
        one = evaluate.score((name,), real, Side(images[:100].astype(np.uint8)))[name]
        assert result["value"] < one["value"] / 2, name


def test_artfid_is_the_product_of_its_parts(monkeypatch):
    def means(variables, images):
        return {"2048": images.astype(np.float32).mean((1, 2))}

    monkeypatch.setattr(extractors, "load", lambda *_: extract.Extractor("art", "cd" * 32, "none", means, {}))
    monkeypatch.setattr(lpips, "load", lambda *_: {})
    monkeypatch.setattr(lpips, "distance", lambda variables, a, b, net: ((a - b) ** 2).mean((1, 2, 3)))
    rng = np.random.default_rng(0)
    content, stylised, style = rng.integers(0, 256, (3, 20, 76, 76, 3), np.uint8)
    names = [f"{i:02d}" for i in range(20)]
    order = rng.permutation(20)
    options = evaluate.Options(content=Side(content, names=names))
    fake = Side(stylised[order], names=[names[i] for i in order])
    result = evaluate.score(("artfid",), Side(style), fake, options)["artfid"]
    loss = ((content / 127.5 - stylised / 127.5) ** 2).mean()
    distance = frechet.of_features(*(x.astype(np.float32).mean((1, 2)) for x in (style, stylised)))
    assert result["value"] == pytest.approx((1 + loss) * (1 + distance), rel=1e-4)
    assert (result["unique_styles"], result["n_fake"]) == (20, 20)
    missing = evaluate.score(("artfid", "swd"), Side(style), fake)["artfid"]
    assert "--content=DIR" in missing["error"]


def test_authenticity_is_measured_against_all_training_images():
    images = np.random.default_rng(0).integers(0, 256, (80, 16, 16, 3), np.uint8)
    real = Side(images[:10], training_set=Side(images))
    assert evaluate.score(("authpct",), real, Side(images[40:60]))["authpct"]["value"] == 0
    assert (
        copies.authpct(real.features("rand", "mean") + 100, real.training_set.features("rand", "mean"))["value"] == 100
    )
