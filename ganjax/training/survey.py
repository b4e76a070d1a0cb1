"""What a set of images is like: their number, sizes, classes, transparency, and how many are nearly the same."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from ganjax.data import images
from ganjax.errors import UserError
from ganjax.nets.pretrained import lite0, weights
from ganjax.system.progress import progress_bar

LOOKED_AT = 1_000  # images, at most, at random
SIDE, CHUNK = 224, 32
# The cosine of Lite0's pooled features, from which two images count as nearly the same: mirrored or cropped by 5 % they
# have 0.93 to 0.96 (medians 0.96 and 0.95), two of 256 different Monets at most 0.917, two of 384 KaoKore faces 0.851.
SAME = 0.94
GREY = 6  # grey levels between the channels of a grey image, at most, at the pixel that differs most


class Survey(NamedTuple):
    """count: of images. looked_at: how many of them the rest is about.

    height, width: medians. aspect: median of width / height. alike: share whose aspect is within an eighth of it.
    class_counts: images of each class that sub-folders name, () without any. transparent, grey, repeated: shares of
    images with transparent parts, without colour, and nearly the same as an earlier one.
    """

    count: int
    looked_at: int
    height: int
    width: int
    aspect: float
    alike: float
    class_counts: tuple[int, ...] = ()
    transparent: float = 0.0
    grey: float = 0.0
    repeated: float = 0.0


def survey(folder, seed: int = 0) -> Survey:
    """Look at the images of a `data.folder.Folder`. Raises UserError if none of them can be read."""
    order = np.random.default_rng(seed).permutation(len(folder))[:LOOKED_AT]
    sizes, views, greys, transparent = [], [], [], []
    for index in progress_bar(np.sort(order), desc="looking at the images", unit=" images"):
        try:
            picture = images.load(folder.file(int(index)), folder.max_pixels)
        except (images.ImageError, OSError):
            continue  # the run's cache lists it
        sizes.append((picture.colour.height, picture.colour.width))
        transparent.append(picture.alpha is not None)
        view = np.asarray(picture.colour.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC))
        greys.append(np.ptp(view.astype(np.int16), -1).max() <= GREY)
        views.append(view)
    if not sizes:
        raise UserError(f"{folder.root} holds no readable image")
    heights, widths = np.array(sizes).T
    aspects = widths / heights
    aspect = float(np.median(aspects))
    return Survey(
        len(folder),
        len(sizes),
        int(np.median(heights)),
        int(np.median(widths)),
        aspect,
        float(np.mean(np.abs(aspects / aspect - 1) <= 1 / 8)),
        class_counts(folder),
        float(np.mean(transparent)),
        float(np.mean(greys)),
        repeated(views),
    )


def class_counts(folder) -> tuple[int, ...]:
    """Return the number of images of each class of a folder."""
    labels = np.array([folder.label_of(index) for index in range(len(folder))])
    return tuple(int((labels == i).sum()) for i in range(len(folder.classes)))


def repeated(views: list[np.ndarray]) -> float:
    """Return the share of uint8 images (224, 224, 3) that are nearly the same as an earlier one."""
    variables = lite0.variables(weights.load("lite0").arrays)
    net = jax.jit(lambda x: lite0.Lite0(("pooled",)).apply(variables, (x.astype(jnp.float32) - 127) / 128)["pooled"])
    padded = np.stack(views + views[-1:] * (-len(views) % CHUNK))
    parts = [padded[i : i + CHUNK] for i in range(0, len(padded), CHUNK)]
    features = [jax.device_get(net(part)) for part in progress_bar(parts, desc="comparing them", unit_scale=CHUNK)]
    features = np.concatenate(features)[: len(views)]
    features /= np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    earlier = np.tril(features @ features.T, -1)
    return float((earlier.max(1) >= SAME).mean())
