"""Digits in the idx format of MNIST, plain or gzipped (http://yann.lecun.com/exdb/mnist)."""

import gzip
import math
import os
from pathlib import Path

import numpy as np
from PIL import Image

from ganjax.data import images as image_files
from ganjax.data.cache import stamp
from ganjax.errors import UserError

PREFIXES = {"train": "train", "test": "t10k"}


def read_idx(path: Path) -> np.ndarray:
    """Return the uint8 array of an idx file: magic 0 0 8 ndim, big-endian int32 sizes, then the bytes.

    Raises UserError for another data type, a wrong length or a damaged gzip stream.
    """
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (OSError, EOFError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    rank = data[3] if len(data) > 3 else 0
    if data[:3] != b"\x00\x00\x08" or len(data) < 4 + 4 * rank:
        raise UserError(f"{path} is no idx file of unsigned bytes")
    shape = np.frombuffer(data, ">i4", rank, 4)
    pixels = np.frombuffer(data, np.uint8, offset=4 + 4 * rank)
    if pixels.size != math.prod(shape.tolist()):
        raise UserError(f"{path} is cut short: {pixels.size} bytes for shape {tuple(shape.tolist())}")
    return pixels.reshape(shape)


class Mnist:
    """Source over `<train|t10k>-{images-idx3,labels-idx1}-ubyte[.gz]` in `path`."""

    classes = tuple(str(digit) for digit in range(10))

    def __init__(self, path: str, split: str = "train", channels: int = 1):
        if split not in PREFIXES:
            raise UserError(f"config.data.split = {split!r} of mnist must be 'train' or 'test'")
        files = [self._find(path, f"{PREFIXES[split]}-{part}-ubyte") for part in ("images-idx3", "labels-idx1")]
        self.images, self.labels = (read_idx(file) for file in files)
        if self.images.ndim != 3 or self.labels.shape != self.images.shape[:1]:
            raise UserError(f"{files[0]} has {self.images.shape} and {files[1]} {self.labels.shape}: they do not match")
        self.mode = image_files.MODES[channels]
        stats = [(os.path.realpath(file), *stamp(file)) for file in files]
        self.identity = {"source": "mnist", "files": stats}

    @staticmethod
    def _find(path: str, name: str) -> Path:
        for candidate in (Path(path) / name, Path(path) / f"{name}.gz"):
            if candidate.is_file():
                return candidate
        raise UserError(
            f"config.data.path: {path or '(empty)'} holds no {name} or {name}.gz (data.split picks train or test)"
        )

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        return str(index)

    def is_image(self, index: int) -> bool:
        return True

    def read(self, index: int):
        """Return (PIL image, label)."""
        return Image.fromarray(self.images[index]).convert(self.mode), int(self.labels[index])


class Stacked(Mnist):
    """Stacked MNIST (Metz et al. 2017, arXiv 1611.02163): three random digits as red, green and blue; 1,000 classes."""

    COUNT = 50_000
    classes = tuple(f"{mode:03d}" for mode in range(1000))

    def __init__(self, path: str, split: str = "train"):
        super().__init__(path, split)
        raw = np.random.Philox(key=np.array([0, 0], np.uint64)).random_raw(3 * self.COUNT)
        self.rows = (raw % np.uint64(len(self.labels))).astype(np.int64).reshape(-1, 3)
        self.identity = {**self.identity, "source": "stacked_mnist", "count": self.COUNT}

    def __len__(self) -> int:
        return self.COUNT

    def read(self, index: int):
        """Return (PIL image, label); the label is the number that the three digits form."""
        rows = self.rows[index]
        image = Image.fromarray(np.ascontiguousarray(np.moveaxis(self.images[rows], 0, 2)))
        return image, int(self.labels[rows].astype(int) @ [100, 10, 1])
