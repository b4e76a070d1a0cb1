"""Metrics in the features of EfficientNet-Lite0's ImageNet weights."""

import numpy as np
import pytest
from running import DATA

from ganjax.data import cache, folder
from ganjax.metrics import evaluate
from ganjax.metrics.sets import Side

SHA256 = "579344248a93e230"


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), np.uint8)


def test_features_are_named_with_their_weights_and_size(images):
    results = evaluate.score(("lite_fd", "lite_kd", "lite_prdc"), Side(images[:12]), Side(images[12:]))
    for result in results.values():
        assert result["extractor"] == f"efficientnet-lite0@sha256:{SHA256}"
        assert (result["resizer"], result["tap"]) == ("clean to 224 px", "pooled")
        assert "value" in result["baseline_real_real"]
    assert "not comparable with FID" in results["lite_fd"]["note"]


def test_copies_of_training_images_and_of_their_mirror_images_have_the_ratio_0(images):
    training = Side(images)
    for copies in (images[:6], images[:6, :, ::-1]):
        result = evaluate.score(("lite_copies",), training, Side(copies))["lite_copies"]
        assert result["value"] < 1e-3, "a fifth of the training images is held out, and less than half of these six"
        assert result["share"] > 0.5


def test_the_distance_of_pairs_is_0_of_equal_images_and_grows_with_the_change(images):
    names = [str(i) for i in range(6)]
    content, values = Side(images[:6], names=names), []
    for change in (0, 20, 60):
        fake = np.clip(images[:6].astype(int) + np.arange(16)[:, None, None] % 2 * change, 0, 255).astype(np.uint8)
        options = evaluate.Options(content=content)
        result = evaluate.score(("lite_lpips",), content, Side(fake, names=names), options)["lite_lpips"]
        values.append(result["value"])
    assert values[0] == pytest.approx(0, abs=1e-6)
    assert 0 < values[1] < values[2] < 1


@pytest.mark.slow
def test_it_sees_what_is_depicted_above_a_shift_of_brightness(monkeypatch):
    """The contrary of what random features see: KaoKore's faces, of which one half is changed, against the other."""
    if not (DATA / "kaokore").is_dir():
        pytest.skip(f"{DATA / 'kaokore'} is not there")
    monkeypatch.delenv("GANJAX_ONEDNN", raising=False)  # five times as fast
    faces = cache.load(folder.Folder(DATA / "kaokore"), 64, 64, 3).images[:800]
    real, half = Side(faces[::2]), faces[1::2]
    noise = np.random.default_rng(0).integers(-10, 11, half.shape)
    changes = {
        "unchanged": half,
        "brighter": np.clip(half.astype(int) + 10, 0, 255).astype(np.uint8),
        "noise": np.clip(half + noise, 0, 255).astype(np.uint8),
        "upside down": half[:, ::-1],
        "shuffled": np.concatenate([np.concatenate([half[:, 32:, 32:], half[:, 32:, :32]], 2),
                                    np.concatenate([half[:, :32, 32:], half[:, :32, :32]], 2)], 1),
    }  # fmt: skip
    # The kernel distance is unbiased: that of the unchanged half is about 0.
    value = {name: evaluate.score(("lite_kd",), real, Side(x))["lite_kd"]["value"] for name, x in changes.items()}
    assert value["unchanged"] == min(value.values())
    for name in ("upside down", "shuffled"):
        assert value[name] > 3 * value["brighter"], value
