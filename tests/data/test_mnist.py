import gzip
import struct

import numpy as np
import pytest

from ganjax.data import cache
from ganjax.data.mnist import Mnist, read_idx
from ganjax.errors import UserError


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape) + array.tobytes()


@pytest.fixture
def digits(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (6, 28, 28), np.uint8), np.arange(6, dtype=np.uint8)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(labels))
    return tmp_path, images


def test_plain_and_gzipped_files_are_read(digits):
    path, images = digits
    data = cache.load(Mnist(str(path)), 28, 28, 1)
    np.testing.assert_array_equal(data.images[..., 0], images)
    assert data.labels.tolist() == list(range(6))
    assert data.classes == tuple("0123456789")


def test_three_channels_repeat_the_gray(digits):
    path, images = digits
    data = cache.load(Mnist(str(path), channels=3), 28, 28, 3)
    np.testing.assert_array_equal(data.images, images[..., None].repeat(3, -1))


@pytest.mark.parametrize(("data", "message"), [(b"", "no idx"), (b"\0\0\x0d\1\0\0\0\1\0", "no idx"),
                                               (idx(np.zeros((2, 2), np.uint8))[:-1], "cut short")])  # fmt: skip
def test_a_bad_file_is_named(tmp_path, data, message):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(UserError, match=f"x.*{message}"):
        read_idx(tmp_path / "x")


def test_a_missing_split_is_named(digits):
    with pytest.raises(UserError, match="t10k-images-idx3-ubyte"):
        Mnist(str(digits[0]), "test")
    with pytest.raises(UserError, match="'train' or 'test'"):
        Mnist(str(digits[0]), "valid")
