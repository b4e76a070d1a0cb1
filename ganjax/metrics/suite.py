"""The table of metrics by name; each result has the protocol that its value must be published with."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ganjax.errors import UserError
from ganjax.metrics import by_labels, pairs
from ganjax.metrics.features import extractors
from ganjax.metrics.sets import OTHER_SCALE, Options, Side
from ganjax.metrics.statistics import copies, frechet, inception_score, kernel, manifold, patches, ppl, similarity, swd
from ganjax.nets.pretrained import lpips
from ganjax.nets.pretrained.inception import SMALLEST
from ganjax.system.progress import progress_bar

KID_SUBSET = 1000  # images in a subset, as in torch-fidelity
FEW = 2048  # images a side below which Inception's 2048 x 2048 covariance is singular


class Metric(NamedTuple):
    """compute: (real, fake, options) -> {"value": ..., ...}. better: "lower" or "higher". text: a description.

    needs: input besides two sets of images: "weights", "labels", "pairs", "content", "features", ...
    baseline: whether the metric is also computed between two halves of the real images.
    """

    compute: Callable
    better: str
    text: str
    needs: str = ""
    baseline: bool = True


def _identity(name: str, tap: str, options: Options) -> dict:
    if name == "given":
        return {"extractor": "given features", "resizer": "unknown"}
    return {**extractors.load(name, options.weights).identity, "tap": tap}


def _enough(real: Side, fake: Side, options: Options) -> None:
    few = min(len(real), len(fake))
    if few < FEW and not options.few:
        raise UserError(
            f"FID of {few} images is mostly bias: take {FEW} or more a side (config.metrics_images while training), or "
            "use kid_tf1 or rand_fd; launch.py evaluate computes it nevertheless with --few"
        )


def _frechet(name: str, tap: str, note: str = "", fid: bool = False) -> Callable:
    def compute(real: Side, fake: Side, options: Options) -> dict:
        if fid:
            _enough(real, fake, options)
        args = name, tap, options.weights
        if real.streamed or fake.streamed:
            value = frechet.distance(real.moments(*args), fake.moments(*args))
        else:
            value = frechet.of_features(*_features((real, fake), name, tap, options))
        return {"value": value, **_identity(name, tap, options), "ddof": 1, **({"note": note} if note else {})}

    return compute


def _features(sides: tuple[Side, Side], name: str, tap: str, options: Options) -> list[np.ndarray]:
    """Return the features of both sides. Raises UserError if their widths differ."""
    pair = [side.features(name, tap, options.weights) for side in sides]
    if pair[0].shape[1] != pair[1].shape[1]:
        raise UserError(f"the features of the two sides have {pair[0].shape[1]} and {pair[1].shape[1]} values each")
    return pair


def _kernel(name: str, tap: str, note: str = "", subsets: int = 100) -> Callable:
    def compute(real: Side, fake: Side, options: Options) -> dict:
        x, y = _features((fake, real), name, tap, options)
        result = {"value": kernel.mmd(x, y)}
        if subsets and min(len(x), len(y)) >= KID_SUBSET:
            values = kernel.mmd_subsets(x, y, subsets, KID_SUBSET)
            result = {"value": float(values.mean()), "subset_std": float(values.std()), "full": result["value"]}
            result |= {"subsets": subsets, "subset_size": KID_SUBSET, "subset_seed": 2020}
        elif subsets:
            result |= {"subsets": 0, "full": result["value"]}  # too few images to draw a subset from
        return {**result, **_identity(name, tap, options), **({"note": note} if note else {})}

    return compute


def _manifold(name: str, tap: str, measure: Callable, value: str, **settings) -> Callable:
    def compute(real: Side, fake: Side, options: Options) -> dict:
        result = measure(*_features((real, fake), name, tap, options), **settings)
        if value == "f_score":
            p, r = result["precision"], result["recall"]
            result["f_score"] = 2 * p * r / max(p + r, 1e-5)
        return {"value": result[value], **result, **_identity(name, tap, options)}

    return compute


def _of_images(measure: Callable) -> Callable:
    """Return the metric `measure` of equally many images of both sides: of the larger side, which may be sorted by
    label, a random subset.
    """

    def compute(real: Side, fake: Side, options: Options) -> dict:
        n, rng = min(len(real), len(fake)), np.random.default_rng(options.seed)
        pair = (side.images[np.sort(rng.permutation(len(side))[:n])] for side in (real, fake))
        return measure(*pair, options.seed)

    return compute


def _inception_score(real: Side, fake: Side, options: Options) -> dict:
    name, tap = "inception_tf1", "logits_unbiased"
    result = inception_score.compute(fake.features(name, tap, options.weights))
    return {**result, "subset_seed": 2020, **_identity(name, tap, options)}


def _fid_infinity(real: Side, fake: Side, options: Options) -> dict:
    _enough(real, fake, options)
    name, tap = "inception_tf1", "2048"
    pair = (side.features(name, tap, options.weights) for side in (real, fake))
    return {**frechet.at_infinity(*pair, options.seed), **_identity(name, tap, options), "ddof": 1}


def _mifid(real: Side, fake: Side, options: Options) -> dict:
    name, tap = "inception_tf1", "2048"
    fid = SUITE["fid_tf1"].compute(real, fake, options)["value"]
    pair = (side.features(name, tap, options.weights) for side in (fake, real))
    return {**copies.mifid(fid, *pair), **_identity(name, tap, options)}


def _msssim(real: Side, fake: Side, options: Options) -> dict:
    return similarity.diversity(fake.images, options.seed)


def lite_features(real: Side, fake: Side, options: Options) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Lite0's pooled features (N, 1280) of generated images, of training images and of these mirrored."""
    memo, train = real.training_set.memo, real.training_set
    if "mirrored" not in memo:
        memo["mirrored"] = Side(np.ascontiguousarray(train.images[:, :, ::-1]), progress=train.progress)
    return tuple(side.features("lite", "pooled", options.weights) for side in (fake, train, memo["mirrored"]))


def _lite_copies(real: Side, fake: Side, options: Options) -> dict:
    fakes, plain, mirrored = lite_features(real, fake, options)
    ratio = copies.copy_ratio(fakes, plain, flipped=mirrored, seed=options.seed)
    return {**ratio, **_identity("lite", "pooled", options)}


def _copy_ratio(real: Side, fake: Side, options: Options) -> dict:
    memo, train = real.training_set.memo, real.training_set.images
    if "pixels" not in memo:
        memo["pixels"] = copies.pixels(train), copies.pixels(train[:, :, ::-1])
    plain, mirrored = memo["pixels"]
    ratio = copies.copy_ratio(copies.pixels(fake.images), plain, flipped=mirrored, seed=options.seed)
    return {**ratio, "features": "pixels, 32x32"}


def _authpct(real: Side, fake: Side, options: Options) -> dict:
    pair = (side.features("rand", "mean") for side in (fake, real.training_set))
    return {**copies.authpct(*pair), **_identity("rand", "mean", options)}


def _artfid(real: Side, fake: Side, options: Options) -> dict:
    """Return ArtFID (Wright & Ommer 2022, arXiv 2207.12280): (1 + LPIPS to the content) (1 + FID to the style images).

    The FID is of ArtFID's own Inception.
    """
    if options.content is None:
        raise UserError("artfid needs --content=DIR, the photographs, with the names of their stylised images")
    if min(*real.images.shape[1:3], *fake.images.shape[1:3]) < SMALLEST:
        raise UserError(f"artfid needs images of {SMALLEST} pixels or more a side")
    loss = float(pairs.lpips_values("alex", *pairs.matched_pairs(options.content, fake), options).mean())
    name, tap = "art_inception", "2048"
    distance = frechet.of_features(*(side.features(name, tap, options.weights) for side in (real, fake)))
    parts = {"lpips": loss, "fid_art": distance, "net": "LPIPS 0.1, alex"}
    parts["unique_styles"] = len({image.tobytes() for image in real.images})
    return {"value": (1 + loss) * (1 + distance), **parts, **_identity(name, tap, options), "ddof": 1}


def _ppl(*, end: bool) -> Callable:
    def compute(real: Side, fake: Side, options: Options) -> dict:
        if fake.sample is None:
            raise UserError("this metric needs a run with a latent generator: --workdir=DIR")
        batches = functools.partial(progress_bar, shown=fake.progress, desc="path length", unit_scale=ppl.BATCH)
        variables = lpips.load("vgg", options.weights)
        return ppl.compute(fake.sample, fake.draw, variables, len(fake), options.seed, end, batches)

    return compute


def _cmmd(real: Side, fake: Side, options: Options) -> dict:
    value = kernel.cmmd(*_features((real, fake), "given", "", options))
    return {"value": value, "sigma": 10.0, "scale": 1000, **_identity("given", "", options)}


def _inception_family(resizer: str, peer: str) -> dict[str, Metric]:
    name = f"inception_{resizer}"
    fid, kid = _frechet(name, "2048", fid=True), _kernel(name, "2048")
    return {
        f"fid_{resizer}": Metric(fid, "lower", f"Frechet Inception distance, resized as {peer}", "weights"),
        f"kid_{resizer}": Metric(kid, "lower", f"kernel Inception distance, resized as {peer}", "weights"),
    }


def _family(name: str, tap: str, features: str) -> dict[str, Metric]:
    fd, kd = _frechet(name, tap, OTHER_SCALE), _kernel(name, tap, OTHER_SCALE, 0)
    prdc = _manifold(name, tap, manifold.prdc, "coverage")
    return {
        f"{name}_fd": Metric(fd, "lower", f"Frechet distance of {features}"),
        f"{name}_kd": Metric(kd, "lower", f"kernel distance (unbiased) of {features}"),
        f"{name}_prdc": Metric(prdc, "higher", f"{_PRDC} of {features}"),
    }


LABELS = "labels on both sides"
_PRDC = "precision, recall, density and coverage (the value)"
_no_baseline = functools.partial(Metric, baseline=False)
SUITE = {
    **_family("lite", "pooled", "EfficientNet-Lite0's features at 224 px"),
    **_family("rand", "mean", "a frozen random network's features"),
    "swd": Metric(_of_images(swd.compute), "lower", "sliced Wasserstein distance of patches at several scales"),
    "patch_fd": Metric(_of_images(patches.patch_fd), "lower", "Frechet distance of 8x8 patches"),
    "colour": Metric(_of_images(patches.colour), "lower", "distance of colours in CIELAB, in Delta E"),
    "msssim": Metric(_msssim, "lower", "MS-SSIM of pairs of generated images: high if all are alike"),
    "copy_ratio": _no_baseline(_copy_ratio, "higher", "relative distance to training images over that of unseen ones"),
    "lite_copies": _no_baseline(_lite_copies, "higher", "the same in EfficientNet-Lite0's features at 224 px"),
    "authpct": _no_baseline(
        _authpct, "higher", "per cent farther from the nearest training image than that is from its own nearest"
    ),
    "clf_fd": Metric(
        by_labels.clf_fd, "lower", "Frechet distance of the features of a classifier of the set's labels", "labels"
    ),
    "label_acc": _no_baseline(by_labels.label_acc, "higher", "this classifier's accuracy on generated images", LABELS),
    "cas_small": _no_baseline(
        by_labels.cas, "higher", "accuracy on real images of a net trained on generated ones", LABELS
    ),
    "modes": _no_baseline(
        by_labels.modes, "higher", "modes of Stacked MNIST that samples fall into, and their KL", "labels"
    ),
    "psnr": _no_baseline(pairs.mean_over_pairs(similarity.psnr), "higher", "peak signal-to-noise ratio, dB", "pairs"),
    "ssim": _no_baseline(pairs.mean_over_pairs(similarity.ssim), "higher", "structural similarity", "pairs"),
    "structure": _no_baseline(
        pairs.structure, "higher", "SSIM of grey levels of an image and its translation", "content"
    ),
    "rand_lpips": _no_baseline(
        pairs.by_cosine("rand_lpips"),
        "lower",
        "LPIPS's form in random features, of an image and its translation",
        "content",
    ),
    "lite_lpips": _no_baseline(
        pairs.by_cosine("lite_lpips"), "lower", "the same in EfficientNet-Lite0's features; not calibrated", "content"
    ),
    **_inception_family("tf1", "TensorFlow 1, torch-fidelity and StyleGAN do"),
    **_inception_family("clean", "clean-FID does"),
    **_inception_family("torch", "pytorch-fid does"),
    "fid_inf": Metric(_fid_infinity, "lower", "fid_tf1 extrapolated to infinitely many images", "weights"),
    "mifid": Metric(_mifid, "lower", "fid_tf1, penalised for copies", "weights"),
    "is": Metric(_inception_score, "higher", "inception score", "weights"),
    "pr": Metric(
        _manifold("vgg16", "fc2", manifold.precision_recall, "f_score"),
        "higher",
        "precision, recall and F-score (the value) in VGG16's features",
        "weights",
    ),
    "prdc": Metric(_manifold("inception_tf1", "2048", manifold.prdc, "coverage"), "higher", _PRDC, "weights"),
    "lpips": _no_baseline(pairs.by_lpips("alex"), "lower", "LPIPS of pairs, AlexNet", "pairs and weights"),
    "lpips_vgg": _no_baseline(pairs.by_lpips("vgg"), "lower", "LPIPS of pairs, VGG16", "pairs and weights"),
    "lpips_content": _no_baseline(
        pairs.by_lpips("alex", "lpips_content"),
        "lower",
        "LPIPS of an image and its translation, AlexNet",
        "content and weights",
    ),
    "artfid": _no_baseline(_artfid, "lower", "ArtFID of stylised images", "content and weights"),
    "ppl": _no_baseline(_ppl(end=False), "lower", "perceptual path length in z", "a generator and weights"),
    "ppl_end": _no_baseline(_ppl(end=True), "lower", "the same at the paths' ends", "a generator and weights"),
    "fd": Metric(_frechet("given", ""), "lower", "Frechet distance of given features", "features"),
    "kd": Metric(_kernel("given", "", "", 0), "lower", "kernel distance (unbiased) of given features", "features"),
    "prdc_given": Metric(
        _manifold("given", "", manifold.prdc, "coverage"), "higher", f"{_PRDC} of given features", "features"
    ),
    "cmmd": _no_baseline(_cmmd, "lower", "CMMD's estimator on given features (CLIP's)", "features"),
}
