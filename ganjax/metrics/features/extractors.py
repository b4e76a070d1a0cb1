"""The extractors by name: a feature network with its weights, how images come to its size, and their range."""

import functools

import jax.numpy as jnp

from ganjax.errors import UserError, nearest
from ganjax.metrics.features import randconv, resize
from ganjax.metrics.features.extract import Extractor
from ganjax.nets.pretrained import inception, vgg, weights

RESIZERS = {"tf1": resize.tf1_bilinear, "clean": resize.pillow_bicubic, "torch": resize.torch_bilinear}
INCEPTION_SIDE, INCEPTION_TAPS = 299, ("2048", "logits_unbiased")
NAMES = ("rand", *(f"inception_{name}" for name in RESIZERS), "vgg16", "art_inception")


@functools.lru_cache(maxsize=4)
def load(name: str, path: str | None = None) -> Extractor:
    """Return the extractor of that name; `path` of its weights as in `weights.load`. Raises UserError if there are
    none.

    rand: "mean" of 480. inception_tf1, _clean, _torch: "2048" and "logits_unbiased", resized as TensorFlow 1 and
    torch-fidelity do, as clean-FID, as pytorch-fid. vgg16: "fc2" of 4096, as torch-fidelity's precision and recall.
    art_inception: "2048" of ArtFID's net, images as they are.
    """
    if name not in NAMES:
        raise UserError(f"extractor {name!r} is not known{nearest(name, NAMES)}")
    if name == "rand":
        return randconv.load()
    kind, _, resizer = name.partition("_")
    if name == "art_inception":
        loaded = weights.load("art_inception", path)
        variables = inception.variables(loaded.arrays, torchvision=True)
        return Extractor("art-inception", loaded.sha256, "none", _art, variables)
    if kind == "inception":
        loaded = weights.load("inception-2015-12-05", path)
        apply = functools.partial(_inception, resizer)
        return Extractor("inception-2015-12-05", loaded.sha256, resizer, apply, inception.variables(loaded.arrays))
    loaded = weights.load("vgg16", path)
    return Extractor("vgg16", loaded.sha256, "tf1", _vgg, vgg.variables(loaded.arrays, fc2=True))


def _inception(resizer: str, variables, images):
    """Apply FID's net to uint8 images (B, H, W, 1 or 3)."""
    x = RESIZERS[resizer](_rgb(images), INCEPTION_SIDE, INCEPTION_SIDE)
    # pytorch-fid scales 0 and 255 to -1 and 1; the original, and all others, do this.
    x = x / 127.5 - 1 if resizer == "torch" else (x - 128) / 128
    return inception.InceptionV3(INCEPTION_TAPS).apply(variables, x)


def _vgg(variables, images):
    x = resize.tf1_bilinear(_rgb(images), vgg.FC2_SIDE, vgg.FC2_SIDE) / 255
    return vgg.VGG(16, ("fc2",)).apply(variables, (x - jnp.asarray(vgg.MEAN)) / jnp.asarray(vgg.STD))


def _art(variables, images):
    return inception.InceptionV3(("2048",), torchvision=True).apply(variables, _rgb(images) / 255.0)


def _rgb(images):
    return jnp.broadcast_to(images, (*images.shape[:3], 3)).astype(jnp.float32)
