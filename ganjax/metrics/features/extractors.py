"""The extractors by name: each a network with its weights, resizing and input range."""

import functools

import jax.numpy as jnp

from ganjax.errors import UserError, nearest
from ganjax.metrics.features import randconv, resize
from ganjax.metrics.features.extract import Extractor
from ganjax.nets.pretrained import inception, lite0, vgg, weights

RESIZERS = {"tf1": resize.tf1_bilinear, "clean": resize.pillow_bicubic, "torch": resize.torch_bilinear}
INCEPTION_SIDE, INCEPTION_TAPS = 299, ("2048", "logits_unbiased")
NAMES = ("rand", "lite", *(f"inception_{name}" for name in RESIZERS), "vgg16", "art_inception")


@functools.lru_cache(maxsize=4)
def load(name: str, path: str | None = None) -> Extractor:
    """Return the extractor of that name. path: of its weights, as for `weights.load`.

    rand has the tap "mean" of 480 values. lite has "pooled" of 1280, and resizes as clean-FID. inception_tf1,
    inception_clean and inception_torch have "2048" and "logits_unbiased", and resize as torch-fidelity and TensorFlow
    1, as clean-FID and as pytorch-fid do. vgg16 has "fc2" of 4096, for torch-fidelity's precision and recall.
    art_inception has "2048" of ArtFID's net, and resizes nothing. Raises UserError for an unknown name or missing
    weights.
    """
    if name not in NAMES:
        raise UserError(f"extractor {name!r} is not known{nearest(name, NAMES)}")
    if name == "rand":
        return randconv.load()
    if name == "lite":
        file = weights.load("lite0")
        return Extractor("efficientnet-lite0", file.sha256, "clean to 224 px", _lite, lite0.variables(file.arrays))
    kind, _, resizer = name.partition("_")
    if name == "art_inception":
        file = weights.load("art_inception", path)
        variables = inception.variables(file.arrays, torchvision=True)
        return Extractor("art-inception", file.sha256, "none", _art, variables)
    if kind == "inception":
        file = weights.load("inception-2015-12-05", path)
        apply = functools.partial(_inception, resizer)
        return Extractor("inception-2015-12-05", file.sha256, resizer, apply, inception.variables(file.arrays))
    file = weights.load("vgg16", path)
    return Extractor("vgg16", file.sha256, "tf1", _vgg, vgg.variables(file.arrays, fc2=True))


def _inception(resizer: str, variables, images):
    """Apply FID's net to uint8 images (B, H, W, 1 or 3)."""
    x = RESIZERS[resizer](_rgb(images), INCEPTION_SIDE, INCEPTION_SIDE)
    # pytorch-fid maps [0, 255] to [-1, 1]; the original net, and all other tools, divide by 128 instead.
    x = x / 127.5 - 1 if resizer == "torch" else (x - 128) / 128
    return inception.InceptionV3(INCEPTION_TAPS).apply(variables, x)


def _lite(variables, images):
    return lite0.Lite0(("pooled",)).apply(variables, (lite_pixels(images) - 127) / 128)


def lite_pixels(images):
    """Return uint8 images (B, H, W, 1 or 3) as float32 (B, 224, 224, 3) in [0, 255], the size that Lite0 knows."""
    return resize.pillow_bicubic(_rgb(images), lite0.SIDE, lite0.SIDE)


def _vgg(variables, images):
    x = resize.tf1_bilinear(_rgb(images), vgg.FC2_SIDE, vgg.FC2_SIDE)
    return vgg.VGG(16, ("fc2",)).apply(variables, vgg.normalise(x / 127.5 - 1))


def _art(variables, images):
    return inception.InceptionV3(("2048",), torchvision=True).apply(variables, _rgb(images) / 255.0)


def _rgb(images):
    return jnp.broadcast_to(images, (*images.shape[:3], 3)).astype(jnp.float32)
