"""The atelier as a TFDS data set: for `--config.data.name=tfds:atelier`, or for any program that reads TFDS.

One example holds the artwork, the photograph of the same scene, and the style, so that one set serves unconditional,
conditional, paired and unpaired training.
"""

import io
import re

import tensorflow_datasets as tfds
from PIL import Image

from ganjax.data import atelier
from ganjax.errors import UserError


class AtelierConfig(tfds.core.BuilderConfig):
    """Images of `size` pixels a side: `train` and `test` of them, which share no scene."""

    def __init__(self, size: int = 64, train: int = 6000, test: int = 1000, **kwargs):
        super().__init__(name=f"{size}px-{train}-{test}", version=f"{atelier.VERSION}.0.0", **kwargs)
        self.size, self.counts = size, {"train": train, "test": test}

    @classmethod
    def parse(cls, name: str) -> "AtelierConfig":
        """Return the config of a name like "64px-6000-1000", "" for the default. Raises UserError for another form."""
        match = re.fullmatch(r"(\d+)px-(\d+)-(\d+)", name)
        if name and not match:
            raise UserError(f"tfds:atelier/{name}: the name must be SIZEpx-TRAIN-TEST, as in 64px-6000-1000")
        return cls(*map(int, match.groups())) if match else cls()


class Atelier(tfds.core.GeneratorBasedBuilder):
    """Prepare with `Atelier(config=AtelierConfig(...), file_format="array_record").download_and_prepare()`."""

    VERSION = tfds.core.Version(f"{atelier.VERSION}.0.0")
    BUILDER_CONFIGS = [AtelierConfig(size) for size in (32, 64, 128, 256)]

    def _info(self) -> tfds.core.DatasetInfo:
        image = tfds.features.Image(shape=(None, None, 3), encoding_format="png")
        label = tfds.features.ClassLabel(names=list(atelier.STYLES))
        features = tfds.features.FeaturesDict({"image": image, "photo": image, "label": label})
        return tfds.core.DatasetInfo(builder=self, features=features, description=atelier.__doc__)

    def _split_generators(self, _):
        return {split: self._generate_examples(split) for split in atelier.SPLITS}

    def _generate_examples(self, split: str):
        size = (self.builder_config.size, self.builder_config.size)
        source = atelier.Atelier(self.builder_config.counts[split], size, split=split)
        for index in range(len(source)):
            image, label = source.read(index)
            photo = atelier.photograph(index, size, split)
            yield index, {"image": _png(image), "photo": _png(photo), "label": label}


def _png(image: Image.Image) -> io.BytesIO:
    """Return the image as PNG, encoded by Pillow: TFDS itself would need TensorFlow."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    buffer.seek(0)
    return buffer
