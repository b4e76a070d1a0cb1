"""The atelier, the built-in data set: artworks in eight styles of art history, painted from random scenes.

Each scene also has a plain photograph. An index determines an image, at any size; their number is unlimited.
"""

import math

import numpy as np
from PIL import Image

from ganjax.data import images
from ganjax.data.atelier import abstract, figurative, scene
from ganjax.errors import UserError, nearest

VERSION = 1  # of the images; it is part of the cache key
STYLES = {
    "colour_field": abstract.colour_field,
    "de_stijl": abstract.de_stijl,
    "impressionism": figurative.impressionism,
    "ink_wash": figurative.ink_wash,
    "op_art": abstract.op_art,
    "pointillism": figurative.pointillism,
    "suprematism": abstract.suprematism,
    "ukiyo_e": figurative.ukiyo_e,
}
SPLITS = {"train": 0, "test": 1}
MIN_CANVAS = 128  # minimum side of the canvas in pixels; the canvas is at least twice the image and is reduced to it


def paint(index: int, size: tuple[int, int], style: str, split: str = "train") -> Image.Image:
    """Return the artwork of scene `index` in a style, RGB of size (height, width).

    The scene depends on (split, index) alone, so that every style and size can show the same scene.
    """
    view, factor = _view(index, size, split)
    return STYLES[style](view.scene, view, _generator(index, split, 1)).reduce(factor)


def photograph(index: int, size: tuple[int, int], split: str = "train") -> Image.Image:
    """Return the plain photograph of scene `index`, RGB of size (height, width)."""
    view, factor = _view(index, size, split)
    return Image.fromarray((view.photo * 255).round().astype(np.uint8)).reduce(factor)


def scene_of(index: int, split: str = "train") -> scene.Scene:
    """Return what the images of an index show, such as the height of the sun."""
    return scene.draw(_generator(index, split, 0))


def _view(index: int, size: tuple[int, int], split: str) -> tuple[scene.View, int]:
    """Return (the scene on a canvas of `factor` times the image size, factor)."""
    factor = max(2, math.ceil(MIN_CANVAS / min(size)))
    return scene.View(scene_of(index, split), size[0] * factor, size[1] * factor), factor


def _generator(index: int, split: str, stream: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[index, SPLITS[split] * 2 + stream]))


class Atelier:
    """Source of `num_images` artworks, RGB (channels 3) or gray (1), which cycle through the styles.

    Raises UserError for an unknown style or split.
    """

    def __init__(self, num_images: int, size: tuple[int, int], styles: tuple[str, ...] = (), split: str = "train",
                 channels: int = 3):  # fmt: skip
        for style in styles:
            if style not in STYLES:
                raise UserError(f"config.data.atelier.styles: {style!r} is not known{nearest(style, STYLES)}")
        if split not in SPLITS:
            raise UserError(f"config.data.split = {split!r} of the atelier must be 'train' or 'test'")
        if num_images < 1:
            raise UserError(f"config.data.atelier.num_images = {num_images} must be at least 1")
        self.num_images, self.size, self.split = num_images, size, split
        self.mode = images.MODES[channels]
        self.classes = tuple(styles or STYLES)
        self.identity = {
            "source": "atelier",
            "version": VERSION,
            "num_images": num_images,
            "size": size,
            "styles": self.classes,
            "split": split,
        }

    def __len__(self) -> int:
        return self.num_images

    def name(self, index: int) -> str:
        return f"{self.classes[index % len(self.classes)]} {index}"

    def is_image(self, index: int) -> bool:
        return True

    def read(self, index: int):
        """Return (PIL image, label)."""
        label = index % len(self.classes)
        return paint(index, self.size, self.classes[label], self.split).convert(self.mode), label


class Photographs(Atelier):
    """Source of the plain photographs of the scenes of an `Atelier`, in the same order."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.identity = {**self.identity, "source": "atelier photographs"}

    def read(self, index: int):
        """Return (PIL image, label)."""
        return photograph(index, self.size, self.split).convert(self.mode), index % len(self.classes)
