"""The library behind `launch.py evaluate`: sides, scores, their protocol, and errors for wrong input."""

import json

import numpy as np
import pytest
from blobs import pictures, small
from PIL import Image

from ganjax import load
from ganjax.errors import UserError
from ganjax.metrics import evaluate, sets, sources, suite
from ganjax.metrics.evaluate import Options
from ganjax.metrics.features import extract, extractors
from ganjax.metrics.sets import Side
from ganjax.metrics.statistics import frechet
from ganjax.nets.pretrained import weights
from ganjax.training.loop import train
from ganjax.workdir.rows import read_rows


@pytest.fixture
def stub(monkeypatch):
    """Replace every network by an extractor of colour means under the network's name."""

    def apply(variables, images):
        means = images.astype(np.float32).mean((1, 2)) / 255
        return {"2048": means, "logits_unbiased": means, "fc2": means}

    monkeypatch.setattr(
        extractors, "load", lambda name, path=None: extract.Extractor(name, "ab" * 32, "tf1", apply, {})
    )


@pytest.fixture
def offline(monkeypatch):
    moved = {name: source._replace(urls=("file:///nowhere/" + source.file,)) for name, source in weights.KNOWN.items()}
    monkeypatch.setattr(weights, "KNOWN", moved)
    monkeypatch.delenv("GANJAX_WEIGHTS", raising=False)


@pytest.mark.parametrize("name", ["rand_fd", "rand_kd", "rand_prdc", "patch_fd", "colour"])
def test_another_distribution_is_worse_than_the_same(name):
    real = Side(pictures(120, 0))
    same, other = (evaluate.score((name,), real, Side(pictures(120, 1, shift=s)))[name] for s in (0, 40))
    sign = 1 if same["better"] == "lower" else -1
    assert sign * same["value"] < sign * other["value"]
    assert sign * same["baseline_real_real"]["value"] < sign * other["value"]
    assert (other["n_real"], other["n_fake"], other["seed"], other["baseline_real_real"]["n"]) == (120, 120, 0, 60)
    if name.startswith("rand"):
        assert other["extractor"].startswith("randconv-v1@sha256:") and other["resizer"] == "none"
    if name in ("rand_fd", "rand_kd"):
        assert other["note"] == "not comparable with FID"


def test_no_metric_without_inceptions_weights_is_called_fid_or_kid():
    others = ("pr", "prdc", "lpips", "lpips_vgg", "lpips_content", "ppl", "ppl_end")
    for name, metric in suite.SUITE.items():
        inceptions = "fid" in name or "kid" in name or name == "is"
        assert inceptions == (metric.needs.endswith("weights") and name not in others)


def test_copies_and_collapse_are_seen():
    train = pictures(200)
    real = Side(train)
    copies = Side(np.clip(train[:60].astype(int) + 2, 0, 255).astype(np.uint8))
    new = Side(pictures(60, 1))
    one = Side(pictures(1, 2).repeat(60, 0))
    names = ("copy_ratio", "msssim")
    results = [evaluate.score(names, real, fake) for fake in (copies, new, one)]
    assert results[0]["copy_ratio"]["value"] < 0.2 and results[1]["copy_ratio"]["value"] > 0.8
    assert results[1]["msssim"]["value"] < 0.7 and results[2]["msssim"]["value"] == pytest.approx(1)


def test_what_fails_does_not_stop_the_rest_and_says_why(offline):
    real, fake = Side(pictures(30)), Side(pictures(30, 1))
    results = evaluate.score(("fid_tf1", "rand_fd", "clf_fd", "psnr", "cmmd", "ppl"), real, fake, Options(few=True))
    assert results["rand_fd"]["value"] > 0
    reason = results["fid_tf1"]["error"]
    assert all(part in reason for part in ("pt_inception-2015-12-05", "95.6 MB", "--weights", "rand_fd"))
    assert "sub-folder for each class" in results["clf_fd"]["error"]
    assert "files of the same names" in results["psnr"]["error"]
    assert "an .npz with `features`" in results["cmmd"]["error"]
    assert "--workdir" in results["ppl"]["error"]
    assert "fid_tf1" in evaluate.table(results) and "rand_fd" in evaluate.table(results)
    with pytest.raises(UserError, match="psnr: .*; cmmd: "):
        evaluate.score(("psnr", "cmmd"), real, fake)


def test_fid_of_few_images_has_to_be_asked_for(stub):
    real, fake = Side(pictures(40)), Side(pictures(50, 1, shift=30))
    with pytest.raises(UserError, match="FID of 40 images is mostly bias: take 2048 .* --few"):
        evaluate.score(("fid_tf1",), real, fake)
    result = evaluate.score(("fid_tf1", "kid_tf1", "pr", "prdc", "is", "mifid"), real, fake, Options(few=True))
    means = [side.images.astype(np.float32).mean((1, 2)) / 255 for side in (real, fake)]
    assert result["fid_tf1"]["value"] == pytest.approx(frechet.of_features(*means), rel=1e-5)
    protocol = {"extractor": "inception_tf1@sha256:abababababababab", "resizer": "tf1", "tap": "2048", "ddof": 1}
    assert protocol.items() <= result["fid_tf1"].items()
    assert result["kid_tf1"]["subsets"] == 0  # of 40 images a subset of torch-fidelity's cannot be drawn
    assert result["kid_tf1"]["value"] == result["kid_tf1"]["full"]
    assert {"precision", "recall", "f_score"} <= result["pr"].keys()
    assert {"density", "coverage"} <= result["prdc"].keys()
    assert result["mifid"]["fid"] == pytest.approx(result["fid_tf1"]["value"])


@pytest.mark.slow
def test_labels_are_matched_by_the_names_of_the_classes(tmp_path, monkeypatch):
    monkeypatch.setenv("GANJAX_CACHE", str(tmp_path))
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 60).astype(np.int32)
    images = pictures(60) // 2 + (labels * 120)[:, None, None, None].astype(np.uint8)
    real = Side(images, labels, ("dark", "light"))
    monkeypatch.setattr(sets.classifier.train, "__defaults__", (0, 1280, False))
    fake = Side(images, 1 - labels, ("light", "dark"))  # the same classes in another order
    results = evaluate.score(("label_acc", "clf_fd"), real, fake)
    assert results["label_acc"]["value"] > 0.9
    assert results["clf_fd"]["value"] < 1e-6 and results["clf_fd"]["accuracy"] > 0.8
    assert len(list((tmp_path / "classifiers").iterdir())) == 1
    with pytest.raises(UserError, match="have the class 'grey'"):
        evaluate.score(("label_acc",), real, Side(images, labels, ("dark", "grey")))


def test_features_of_large_networks_are_kept_on_disk(stub, tmp_path, monkeypatch, caplog):
    def features():
        return Side(pictures(20), cache_features=True).features("inception_tf1", "2048")

    monkeypatch.setenv("GANJAX_CACHE", str(tmp_path))
    first = features()
    (file,) = (tmp_path / "features").iterdir()
    monkeypatch.setattr(extract, "features", None)  # not called again
    np.testing.assert_array_equal(features(), first)
    monkeypatch.undo()
    monkeypatch.setenv("GANJAX_CACHE", str(tmp_path))
    file.write_bytes(file.read_bytes()[:100])
    with monkeypatch.context() as patch:
        patch.setattr(extractors, "load", lambda *_: extract.Extractor("inception_tf1", "ab" * 32, "tf1", None, {}))
        patch.setattr(extract, "features", lambda *_, **__: {"2048": first + 1})
        np.testing.assert_array_equal(features(), first + 1)
    assert "are computed anew" in caplog.text


def test_sets_that_do_not_fit_are_streamed(monkeypatch):
    side = Side(pictures(150))
    whole = frechet.moments(side.features("rand", "mean"))
    monkeypatch.setattr(sets, "STREAM_ABOVE", 100)
    streamed = Side(pictures(150))
    moments = streamed.moments("rand", "mean")
    assert not streamed.memo
    np.testing.assert_allclose(moments.mean, whole.mean, atol=1e-6)
    np.testing.assert_allclose(moments.cov, whole.cov, atol=1e-6)


def test_halves_share_the_features():
    side = Side(pictures(40))
    features = side.features("rand", "mean")
    a, b = side.halves(0)
    assert len(a) == len(b) == 20
    joined = np.concatenate([a.features("rand", "mean"), b.features("rand", "mean")])
    np.testing.assert_array_equal(np.sort(joined, 0), np.sort(features, 0))


def test_interval_over_seeds_is_students():
    runs = [{"m": {"value": value, "seed": i}} for i, value in enumerate((1.0, 2.0, 4.0))]
    result = evaluate.over_seeds(runs)["m"]
    assert (result["value"], result["values"]) == (pytest.approx(7 / 3), [1, 2, 4])
    half = 4.302653 * np.std([1, 2, 4], ddof=1) / np.sqrt(3)  # Student's t at 0.975, two degrees of freedom
    assert result["std_over_seeds"] == pytest.approx(np.std([1, 2, 4], ddof=1))
    assert result["interval_95"] == pytest.approx([7 / 3 - half, 7 / 3 + half], rel=1e-6)
    assert evaluate.over_seeds([*runs, {"m": {"error": "why"}}])["m"] == {"error": "why"}


# Folders and files.


def save(folder, images, suffix=".png"):
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i:03d}{suffix}")
    return str(folder)


def test_two_folders_keep_their_size_and_pairs_go_by_name(tmp_path):
    images = pictures(6, side=48)
    real, fake = save(tmp_path / "a", images), save(tmp_path / "b", 255 - (255 - images) // 2, ".bmp")
    results = evaluate.folders(real, fake, ("psnr", "ssim"))
    errors = (((255 - images) // 2 - (255.0 - images)) ** 2).mean((1, 2, 3))
    assert results["psnr"]["resolution"] == [48, 48]
    assert results["psnr"]["value"] == pytest.approx(np.mean(10 * np.log10(255**2 / errors)), rel=1e-6)
    assert 0 < results["ssim"]["value"] < 1
    (tmp_path / "b" / "003.bmp").unlink()
    with pytest.raises(UserError, match="003 is on one side only"):
        evaluate.folders(real, fake, ("psnr",))


def test_different_sizes_need_a_resolution(tmp_path):
    real, fake = save(tmp_path / "a", pictures(6, side=48)), save(tmp_path / "b", pictures(6, side=32))
    message = "48x48 pixels in 3 channels and 32x32 pixels in 3 channels: give --resolution=N"
    with pytest.raises(UserError, match=message):
        evaluate.folders(real, fake, ("rand_fd",))
    assert evaluate.folders(real, fake, ("rand_fd",), 32)["rand_fd"]["value"] > 0
    save(tmp_path / "a", pictures(1, side=32))
    with pytest.raises(UserError, match="different sizes, 000.png 32x32 and 001.png 48x48: give --resolution=N"):
        evaluate.folders(real, fake, ("rand_fd",))


def test_unreadable_files_are_named_and_too_few_are_refused(tmp_path, caplog):
    folder, _ = save(tmp_path / "a", pictures(3)), save(tmp_path / "b", pictures(3))
    (tmp_path / "a" / "bad.png").write_bytes(b"no picture")
    assert len(sources.read(folder)) == 3
    assert "skipped bad.png" in caplog.text
    (tmp_path / "a" / "000.png").unlink()
    (tmp_path / "a" / "001.png").unlink()
    with pytest.raises(UserError, match="holds one readable image"):
        sources.read(folder)
    with pytest.raises(UserError, match="^--fake: .*none is neither a folder of images, nor"):
        evaluate.folders(str(tmp_path / "b"), str(tmp_path / "none"), ("rand_fd",))


def test_a_folder_of_other_files_is_named_by_its_flag(tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(UserError, match="^--real: .* holds no image; 1 file is no image: .txt 1"):
        evaluate.folders(str(tmp_path), str(tmp_path), ("rand_fd",))


def test_files_of_arrays(tmp_path):
    images, labels = pictures(10), np.arange(10) % 3
    for name, key in (("a", "images"), ("b", "arr_0")):
        np.savez(tmp_path / f"{name}.npz", **{key: images}, labels=labels)
    pair = [str(tmp_path / f"{name}.npz") for name in "ab"]
    assert evaluate.folders(*pair, ("rand_fd",))["rand_fd"]["value"] < 1e-9
    assert sources.read(pair[0]).classes == ("0", "1", "2")
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 4)), rng.standard_normal((60, 4))
    np.savez(tmp_path / "x.npz", features=x)
    np.savez(tmp_path / "y.npz", features=y)
    paths = [str(tmp_path / f"{name}.npz") for name in "xy"]
    results = evaluate.folders(*paths, ("fd", "kd", "cmmd", "prdc_given"))
    assert results["fd"]["value"] == pytest.approx(frechet.of_features(x, y))
    assert "resolution" not in results["fd"]
    with pytest.raises(UserError, match="needs images, and a file of features was given"):
        evaluate.folders(*paths, ("swd",))
    y[3, 2] = np.nan
    np.savez(tmp_path / "y.npz", features=y)
    with pytest.raises(UserError, match="those of 1 images are not, first of image 3"):
        evaluate.folders(*paths, ("fd",))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((3, 8, 8, 3))}, "must hold `images`"),
        ({"other": np.zeros(3)}, "must hold `images`"),
        ({"images": np.zeros((3, 8, 8, 3), np.uint8), "labels": np.zeros(2, int)}, "labels must be integers"),
        ({"images": np.array([{}, {}])}, "a.npz cannot be read as .npz: 'images' holds object"),  # pickled
        ({"images": np.zeros((1, 8, 8, 3), np.uint8)}, "a.npz holds images .1, 8, 8, 3.: at least 2"),
        ({"images": np.zeros((3, 0, 8, 3), np.uint8)}, "a.npz holds images .3, 0, 8, 3.: at least 2"),
        ({"features": np.ones((3, 0))}, "a.npz: features must be numbers"),
        ({"features": np.ones((3, 2), bool)}, "a.npz: features must be numbers"),
        ({"features": np.array([[1.0], [np.inf]])}, "a.npz: features must be finite .* first of image 1"),
        ({"features": np.array([[1e39], [1.0]])}, "a.npz: features must be finite .* first of image 0"),
    ],
)
def test_bad_files_of_arrays(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match=message):
        sources.read(str(tmp_path / "a.npz"))
    (tmp_path / "b.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(UserError, match="cannot be read as .npz"):
        sources.read(str(tmp_path / "b.npz"))


def test_labelled_and_gray_arrays_that_do_not_fit(tmp_path):
    np.savez(tmp_path / "rgb.npz", images=pictures(10))
    np.savez(tmp_path / "gray.npz", images=pictures(10)[..., :1])
    pair = [str(tmp_path / f"{name}.npz") for name in ("rgb", "gray")]
    with pytest.raises(UserError, match="32x32 pixels in 3 channels and 32x32 pixels in 1 channels"):
        evaluate.folders(*pair, ("rand_fd",))
    with pytest.raises(UserError, match="32x32: they are not resized"):
        evaluate.folders(*pair, ("rand_fd",), 16)
    np.savez(tmp_path / "odd.npz", images=pictures(4), labels=np.array([0, 1, -2, -1]))
    with pytest.raises(UserError, match="labels go from -2 to 1"):
        sources.read(str(tmp_path / "odd.npz"))
    np.save(tmp_path / "plain.npy", pictures(4))
    (tmp_path / "plain.npy").rename(tmp_path / "plain.npz")
    with pytest.raises(UserError, match="cannot be read as .npz"):
        sources.read(str(tmp_path / "plain.npz"))
    rng = np.random.default_rng(0)
    sides = [Side(None, given_features=rng.standard_normal((20, dim))) for dim in (4, 5)]
    with pytest.raises(UserError, match="have 4 and 5 values each"):
        evaluate.score(("fd",), *sides)


def test_what_would_fail_at_the_end_fails_at_the_start(tmp_path):
    with pytest.raises(UserError, match="did you mean 'swd'"):
        evaluate.folders("/nowhere", "/nowhere", ("rand_fd", "sdw"))
    with pytest.raises(UserError, match="--sheet=x.tga must have a picture's file ending"):
        evaluate.folders("/nowhere", "/nowhere", sheet="x.tga")


def test_equal_pairs_are_counted_apart():
    images, names = pictures(6), list("abcdef")
    other = images.copy()
    other[2:] //= 2
    result = evaluate.score(("psnr",), Side(images, names=names), Side(other, names=names))["psnr"]
    assert result["equal_pairs"] == 2 and 0 < result["value"] < 30
    json.dumps(result, allow_nan=False)
    with pytest.raises(UserError, match="all pairs are equal"):
        evaluate.score(("psnr",), Side(images, names=names), Side(images, names=names))


def test_means_over_seeds_are_of_every_number():
    runs = [{"m": {"value": v, "recall": 2 * v, "k": 5}} for v in (1.0, 3.0)]
    result = evaluate.over_seeds(runs)["m"]
    assert (result["value"], result["recall"], result["k"]) == (2, 4, 5)


# A run.


def test_metrics_in_the_loop_have_their_own_interval_and_end_in_the_report(paintings, tmp_path):
    train(small(paintings, metrics=("rand_fd", "msssim"), metrics_images=30, metrics_every_images=24), tmp_path / "run")
    rows = read_rows(tmp_path / "run" / "metrics.jsonl")
    assert [row["images"] for row in rows] == [24]
    assert rows[0]["rand_fd"]["n_real"] == 30
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Metrics, after 24 images" in page and "not comparable with FID" in page and "two halves" in page
    scalars = read_rows(tmp_path / "run" / "scalars.jsonl")
    logged = {row["images"]: row["rand_fd"] for row in scalars if "rand_fd" in row}
    assert logged == {24: rows[0]["rand_fd"]["value"]}


def test_metrics_that_the_loop_cannot_compute_are_refused_before_training(paintings, tmp_path, offline):
    for name, message in (
        ("ppl", "needs a generator and weights: measure it with launch.py evaluate"),
        ("clf_fd", "clf_fd: this metric needs labels"),
        ("cas_small", "needs labels on both sides: measure it with launch.py evaluate"),
        ("fid_tf1", "FID of 40 images is mostly bias: .*config.metrics_images"),
        ("kid_tf1", "cannot be downloaded"),
        ("rand_fdd", "did you mean 'rand_fd'"),
    ):
        with pytest.raises(UserError, match=message):
            train(small(paintings, metrics=(name,)), tmp_path / name)
        assert not (tmp_path / name / "scalars.jsonl").exists() or not read_rows(tmp_path / name / "scalars.jsonl")


def test_keep_best_never_ranks_by_a_value_of_before(paintings, tmp_path, monkeypatch):
    compute, calls = suite.SUITE["swd"].compute, []

    def fails_later(real, fake, options):
        calls.append(len(fake))
        if len(calls) > 3:  # the check before training, the first checkpoint and its baseline
            raise UserError("no more")
        return compute(real, fake, options)

    monkeypatch.setitem(suite.SUITE, "swd", suite.SUITE["swd"]._replace(compute=fails_later))
    train(small(paintings, metrics=("swd", "msssim"), **{"checkpoint.keep_best": "min:swd"}), tmp_path)
    rows = read_rows(tmp_path / "metrics.jsonl")
    assert ["error" in row["swd"] for row in rows] == [False, True, True]
    assert load(tmp_path, "best").meta["images"] == 16
