"""Data sets: sources (index -> image and label), a cache of decoded images, a loader (step -> batch).

A source has `classes`, `identity` (JSON-serialisable; part of the cache key), `__len__`, `name(i)`, `is_image(i)`
(whether item i counts as damaged if it is unreadable) and `read(i)`, which returns (PIL image, label) or raises
ImageError.
"""

import importlib

import ml_collections

from ganjax.data import cache, loader, windows
from ganjax.data.table import Table
from ganjax.errors import UserError, nearest

__all__ = ["cache", "load_size", "loader", "open_table", "source"]
NAMES = ("atelier", "folder", "mnist", "stacked_mnist", "tfds:<name>")


def source(data: ml_collections.ConfigDict):
    """Return the source that `config.data` describes. Raises UserError for an unknown name or an invalid path."""
    name, _, argument = data.name.partition(":")
    if name not in ("atelier", "folder", "mnist", "stacked_mnist", "tfds") or bool(argument) != (name == "tfds"):
        raise UserError(f"config.data.name = {data.name!r} is not known{nearest(data.name, NAMES)}")
    # Import only the module that is needed: TFDS alone takes a second.
    if name == "folder":
        if data.split != "train":
            raise UserError(
                f"config.data.split = {data.split!r}: a folder has no splits; give another config.data.path"
            )
        module = importlib.import_module("ganjax.data.folder")
        folder = module.Folder(data.path, data.labels, data.channels, data.max_pixels, nested=data.attributes == "/")
        return windows.Windows(folder, *load_size(data), data.windows) if data.windows else folder
    if name == "mnist":
        return importlib.import_module("ganjax.data.mnist").Mnist(data.path, data.split, data.channels)
    if name == "stacked_mnist":
        if data.channels != 3:
            raise UserError(f"config.data.channels = {data.channels}: stacked_mnist needs 3, one per digit")
        return importlib.import_module("ganjax.data.mnist").Stacked(data.path, data.split)
    if name == "tfds":
        module = importlib.import_module("ganjax.data.prepared")
        prepared = module.Prepared(argument, data.split, data.path, data.channels, data.max_pixels)
        if data.labels and not prepared.classes:
            raise UserError(f"config.data.labels: {data.name} has no class labels; set it to False")
        return prepared
    module = importlib.import_module("ganjax.data.atelier")
    return module.Atelier(data.atelier.num_images, load_size(data), data.atelier.styles, data.split, data.channels)


def load_size(data: ml_collections.ConfigDict) -> tuple[int, int]:
    """Return the (height, width) of cached images: `load_size` high, with the aspect ratio of the training images."""
    height, width = data.resolution, data.width or data.resolution
    load = data.load_size or height
    return load, round(width * load / height)


def open_table(data: ml_collections.ConfigDict) -> Table:
    """Return the images of `config.data`, decoded now or read from the cache, as one table."""
    return cache.load(source(data), *load_size(data), data.channels, data.fit, data.threads, data.max_damaged)
