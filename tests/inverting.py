"""A translator that turns each image into its negative, so that files can be translated without training."""

from ganjax.configs.translate import cyclegan
from ganjax.inference import tiles
from ganjax.inference.model import Model
from ganjax.recipe import Method

META = {"step": 7, "images": 56, "crc32_ema": {"w": 1}}


def model(channels: int = 3) -> Model:
    """Return the model of a run whose generator, in either direction, gives minus its input."""
    config = cyclegan.get_config("debug")
    config.data.channels = channels
    methods = {f"translate_{way}": Method((), _of_batch, _negative) for way in ("ab", "ba")}
    run = tiles.translator(methods, {}, channels)
    return Model(config, {}, META, methods, None, sample=None, chunks=None, translate=run)


def _of_batch(key, count, batch):
    return {"image": batch["a"][:count]}


def _negative(variables, key, inputs):
    return {"image": -inputs["image"]}
