"""Image data sets that tensorflow-datasets (TFDS) has prepared as array_record, read without TensorFlow."""

import os
from pathlib import Path

from ganjax.data import images
from ganjax.data.cache import stamp
from ganjax.errors import UserError
from ganjax.system.cache_dir import root

ARCHIVES = ("cycle_gan", "pix2pix")
PREPARE = (
    "python -m venv /tmp/tfds && /tmp/tfds/bin/pip install tensorflow tensorflow-datasets && "
    "/tmp/tfds/bin/tfds build {name} --file_format=array_record --data_dir={data_dir}"
)


class Prepared:
    """Source over `split` ("train", "train[:50%]", ...) of a prepared TFDS data set, with or without class labels.

    data_dir: the TFDS data directory; "" for TFDS's default. atelier, cycle_gan and pix2pix are prepared on first use.
    key: name of the image feature; "" selects the feature "image", or else the first one. Raises UserError if the data
    set is not prepared; the message gives the command that prepares it.
    """

    def __init__(self, name: str, split: str, data_dir: str, channels: int, max_pixels: int, key: str = ""):
        self.channels, self.max_pixels = channels, max_pixels
        builder = _builder(name, data_dir)
        keys = image_features(name, builder)
        if key and key not in keys:
            raise UserError(f"tfds:{name} has no image feature {key!r}; it has: {', '.join(keys)}")
        self.image_key = key or ("image" if "image" in keys else keys[0])
        self.classes = _classes(builder)
        if not _random_access(builder):
            raise UserError(
                f"tfds:{name} in {builder.data_path} is not in array_record format: {_how_to_prepare(name, data_dir)}"
            )
        try:
            # TFDS returns the encoded bytes, and Pillow decodes them, as for every other source.
            self.rows = builder.as_data_source(split, decoders=dict.fromkeys(keys, _tfds().decode.SkipDecoding()))
        except (ValueError, KeyError) as error:
            raise UserError(
                f"config.data.split = {split!r} of tfds:{name}: {error}; the splits are: "
                + ", ".join(builder.info.splits)
            ) from error
        folder = Path(os.path.realpath(builder.data_path))
        files = [(str(file), *stamp(file)) for file in sorted(folder.iterdir()) if file.is_file()]
        self.identity = {"source": "tfds", "name": builder.info.full_name, "split": split, "files": files}
        if self.image_key != "image":
            self.identity["key"] = self.image_key

    def __len__(self) -> int:
        return len(self.rows)

    def name(self, index: int) -> str:
        return str(index)

    def is_image(self, index: int) -> bool:
        return True

    def read(self, index: int):
        """Return (PIL image, label); the label is -1 without classes. Raises ImageError."""
        row = self.rows[index]
        image = images.read(row[self.image_key], self.channels, self.max_pixels)
        return image, int(row["label"]) if self.classes else -1


def catalogue(name: str, data_dir: str) -> tuple[list[str], list[str]]:
    """Return (split names, image feature names) of a data set, which is prepared as for `Prepared`."""
    builder = _builder(name, data_dir)
    return list(builder.info.splits), image_features(name, builder)


def image_features(name: str, builder) -> list[str]:
    """Return the names of the image features. Raises UserError if there is none."""
    features = dict(builder.info.features.items())
    keys = [key for key, feature in features.items() if isinstance(feature, _tfds().features.Image)]
    if not keys:
        raise UserError(f"tfds:{name} has no image feature; it has: {', '.join(features)}")
    return keys


def _tfds():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow_datasets as tfds  # not at the top: the import takes a second

    return tfds


def _classes(builder) -> tuple[str, ...]:
    label = dict(builder.info.features.items()).get("label")
    return tuple(label.names) if isinstance(label, _tfds().features.ClassLabel) else ()


def _builder(name: str, data_dir: str):
    kind, _, config = name.partition("/")
    if kind == "atelier":
        from ganjax.data.atelier.builder import Atelier, AtelierConfig

        builder = Atelier(
            config=AtelierConfig.parse(config), data_dir=data_dir or root() / "tfds", file_format="array_record"
        )
        builder.download_and_prepare()
        return builder
    if kind in ARCHIVES:
        from ganjax.data import archives

        return _prepared_by_tfds(name, data_dir) or archives.prepare(name, data_dir)
    try:
        return _tfds().core.read_only_builder.builder_from_files(name, data_dir=data_dir or None)
    except Exception as error:  # TFDS raises its own errors, ValueError, and ImportError if a builder needs TensorFlow
        raise UserError(
            f"tfds:{name} is not prepared in {data_dir or 'its default data_dir'}: {_how_to_prepare(name, data_dir)}"
        ) from error


def _prepared_by_tfds(name: str, data_dir: str):
    """Return the builder of an archive's data set that TFDS itself has prepared, or None."""
    try:
        builder = _tfds().core.read_only_builder.builder_from_files(name, data_dir=data_dir or None)
    except Exception:  # TFDS has prepared none; see `_builder` for the errors
        return None
    return builder if data_dir or _random_access(builder) else None


def _random_access(builder) -> bool:
    """Return whether the data set is prepared in a file format with random access."""
    return bool(builder.info.available_file_formats() & _tfds().core.FileFormat.with_random_access())


def _how_to_prepare(name: str, data_dir: str) -> str:
    where = data_dir or "$HOME/tensorflow_datasets"
    return (
        f"prepare it once with\n  {PREPARE.format(name=name, data_dir=where)}\n"
        "(in a separate virtual environment, since many builders need TensorFlow for this one step), then set "
        f"--config.data.path={where}"
    )
