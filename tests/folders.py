"""Folders of small flat pictures, and the two domains that they hold."""

from PIL import Image

from ganjax import task
from ganjax.configs.translate import cyclegan


def write(folder, names, level=0):
    """Write a picture for each name, whose grey is its place in the list plus `level`."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        Image.new("RGB", (16, 16), (i + level,) * 3).save(folder / name)


def opened(config=cyclegan, **changes):
    """Return the data set of a recipe's debug config, 16 pixels high."""
    config = config.get_config("debug")
    config.data.resolution, config.data.load_size = 16, 0
    config.data.update(changes)
    return task.of(config).open(config)


def levels(table):
    """Return the gray of each image of a table."""
    return table.images[:, 0, 0, 0].tolist()
