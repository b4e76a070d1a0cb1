"""The metrics by name: what each compares, by which protocol, and what a number of it must be published with."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ganjax.errors import UserError
from ganjax.metrics import modes, pairs
from ganjax.metrics.features import classifier, extractors, lpips
from ganjax.metrics.sets import Options, Side
from ganjax.metrics.statistics import copies, frechet, inception_score, kernel, manifold, patches, ppl, similarity, swd
from ganjax.nets.pretrained.inception import SMALLEST
from ganjax.system.progress import progress_bar

KID_SUBSET = 1000  # images, of torch-fidelity's
FEW = 2048  # images a side below which Inception's 2048 x 2048 covariance is singular
OTHER_SCALE = "not comparable with FID"


class Metric(NamedTuple):
    """compute: (real, fake, options) -> {"value": ..., ...}. better: "lower" or "higher". text: for people.

    needs: what beside two sets of images: "weights", "labels", "pairs", "generator", "content", "features".
    baseline: whether two halves of the real images are measured too.
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
            f"FID of {few} images is mostly bias: take {FEW} or more a side (config.metrics_images while training), "
            "kid_tf1 or rand_fd; launch.py evaluate gives it all the same with --few"
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
    """Return the features of both sides; UserError where given ones are of unlike width."""
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
            result |= {"subsets": 0, "full": result["value"]}  # of fewer images a subset would be the whole
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
    """Compare equal numbers of images: the seed chooses from the larger side, which may be in the order of labels."""

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


def _clf_fd(real: Side, fake: Side, options: Options) -> dict:
    trained = real.classifier(options.seed)
    if ("classifier", trained.hash) not in real.memo:
        real.memo["classifier", trained.hash] = classifier.features(trained, real.images)
    value = frechet.of_features(real.memo["classifier", trained.hash], classifier.features(trained, fake.images))
    accuracy = {"accuracy": trained.accuracy, "balanced_accuracy": trained.balanced_accuracy}
    identity = {"extractor": f"classifier@sha256:{trained.hash[:16]}", "resizer": "area to 64 px", **accuracy}
    return {"value": value, **identity, "ddof": 1, "note": f"{OTHER_SCALE}; four fifths of the real images trained it"}


def _modes(real: Side, fake: Side, options: Options) -> dict:
    return modes.compute(real, fake, options.seed)


def _fake_labels(real: Side, fake: Side) -> np.ndarray:
    """Return the labels of the generated images as the real side numbers them; UserError for a class it has not."""
    if fake.labels is None or not len(fake.classes):
        raise UserError("this metric needs labels of the generated images: a sub-folder for each class")
    unknown = sorted(set(fake.classes) - set(real.classes))
    if unknown:
        raise UserError(f"the generated images have the class {unknown[0]!r}, and the real ones {list(real.classes)}")
    own = np.array([*(real.classes.index(name) for name in fake.classes), -1])
    return own[fake.labels].astype(np.int32)


def _label_acc(real: Side, fake: Side, options: Options) -> dict:
    labels = _fake_labels(real, fake)
    return classifier.label_accuracy(real.classifier(options.seed), fake.images, labels)


def _cas(real: Side, fake: Side, options: Options) -> dict:
    labels, training = _fake_labels(real, fake), real.training_set
    sides = training.images, training.labels, fake.images, labels
    return classifier.cas(*sides, real.classifier(options.seed), progress=real.progress)


def _artfid(real: Side, fake: Side, options: Options) -> dict:
    """ArtFID (Wright & Ommer 2022, arXiv 2207.12280): (1 + LPIPS to the content) (1 + FID to the style, by its net)."""
    if options.content is None:
        raise UserError("artfid needs --content=DIR, the photographs, named as their stylised images are")
    if min(*real.images.shape[1:3], *fake.images.shape[1:3]) < SMALLEST:
        raise UserError(f"artfid needs images of {SMALLEST} pixels or more a side")
    loss = float(pairs.lpips_values("alex", *pairs.matched(options.content, fake), options).mean())
    name, tap = "art_inception", "2048"
    distance = frechet.of_features(*(side.features(name, tap, options.weights) for side in (real, fake)))
    variant = {"lpips": loss, "fid_art": distance, "net": "LPIPS 0.1, alex"}
    variant["unique_styles"] = len({image.tobytes() for image in real.images})
    return {"value": (1 + loss) * (1 + distance), **variant, **_identity(name, tap, options), "ddof": 1}


def _ppl(end: bool) -> Callable:
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


LABELS = "labels on both sides"
_P_AND_R = manifold.precision_recall
SUITE = {
    "rand_fd": Metric(
        _frechet("rand", "mean", OTHER_SCALE), "lower", "Frechet distance of a frozen random network's features"
    ),
    "rand_kd": Metric(
        _kernel("rand", "mean", OTHER_SCALE, 0), "lower", "kernel distance (unbiased) of the same features"
    ),
    "rand_prdc": Metric(
        _manifold("rand", "mean", manifold.prdc, "coverage"),
        "higher",
        "precision, recall, density; coverage of the same",
    ),
    "swd": Metric(_of_images(swd.compute), "lower", "sliced Wasserstein distance of patches at several scales"),
    "patch_fd": Metric(_of_images(patches.patch_fd), "lower", "Frechet distance of 8x8 patches"),
    "colour": Metric(_of_images(patches.colour), "lower", "distance of colours in CIELAB, in Delta E"),
    "msssim": Metric(_msssim, "lower", "MS-SSIM of pairs of generated images: high where they are all alike"),
    "copy_ratio": Metric(_copy_ratio, "higher", "distance to the training images over that of unseen ones", "", False),
    "authpct": Metric(
        _authpct, "higher", "per cent farther from training images than those are from others", "", False
    ),
    "clf_fd": Metric(
        _clf_fd, "lower", "Frechet distance of the features of a classifier of the set's labels", "labels"
    ),
    "label_acc": Metric(_label_acc, "higher", "share recognised as their label by that classifier", LABELS, False),
    "cas_small": Metric(_cas, "higher", "accuracy on real images of a net that learnt from these", LABELS, False),
    "modes": Metric(_modes, "higher", "modes of Stacked MNIST that are reached, and their KL", "labels", False),
    "psnr": Metric(pairs.compared(similarity.psnr), "higher", "peak signal-to-noise ratio, dB", "pairs", False),
    "ssim": Metric(pairs.compared(similarity.ssim), "higher", "structural similarity", "pairs", False),
    "structure": Metric(
        pairs.structure, "higher", "SSIM of grey levels of an image and its translation", "content", False
    ),
    "rand_lpips": Metric(
        pairs.by_random_features,
        "lower",
        "LPIPS's form in random features, of an image and its translation",
        "content",
        False,
    ),
    **_inception_family("tf1", "TensorFlow 1, torch-fidelity and StyleGAN do"),
    **_inception_family("clean", "clean-FID does"),
    **_inception_family("torch", "pytorch-fid does"),
    "fid_inf": Metric(_fid_infinity, "lower", "fid_tf1 extrapolated to infinitely many images", "weights"),
    "mifid": Metric(_mifid, "lower", "fid_tf1, penalised for copies", "weights"),
    "is": Metric(_inception_score, "higher", "inception score", "weights"),
    "pr": Metric(
        _manifold("vgg16", "fc2", _P_AND_R, "f_score"),
        "higher",
        "precision and recall in VGG16's features: their F-score",
        "weights",
    ),
    "prdc": Metric(
        _manifold("inception_tf1", "2048", manifold.prdc, "coverage"),
        "higher",
        "precision, recall, density; coverage",
        "weights",
    ),
    "lpips": Metric(pairs.by_lpips("alex"), "lower", "LPIPS of pairs, AlexNet", "pairs and weights", False),
    "lpips_vgg": Metric(pairs.by_lpips("vgg"), "lower", "LPIPS of pairs, VGG16", "pairs and weights", False),
    "lpips_content": Metric(
        pairs.by_lpips("alex", "lpips_content"),
        "lower",
        "LPIPS of an image and its translation, AlexNet",
        "content and weights",
        False,
    ),
    "artfid": Metric(_artfid, "lower", "ArtFID of stylised images", "content and weights", False),
    "ppl": Metric(_ppl(False), "lower", "perceptual path length in z", "a generator and weights", False),
    "ppl_end": Metric(_ppl(True), "lower", "the same at the paths' ends", "a generator and weights", False),
    "fd": Metric(_frechet("given", ""), "lower", "Frechet distance of given features", "features"),
    "kd": Metric(_kernel("given", "", "", 0), "lower", "kernel distance (unbiased) of given features", "features"),
    "prdc_given": Metric(
        _manifold("given", "", manifold.prdc, "coverage"),
        "higher",
        "precision, recall, density; coverage of given features",
        "features",
    ),
    "cmmd": Metric(_cmmd, "lower", "CMMD's estimator on given features (CLIP's)", "features", False),
}
