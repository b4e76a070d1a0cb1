"""Read PyTorch's `.pth` files of weights without PyTorch, and without running anything that they hold.

A `.pth` file is a pickle that says how to call functions, beside the numbers. Here every name in it stands for itself,
not for the thing that it names: only dicts of arrays can come out.
"""

import io
import math
import pickle
import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import jax
import numpy as np

from ganjax.errors import UserError

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
LEGACY = b"\x80\x02\x8a\x0a"  # the pickle of MAGIC, with which the older format begins
DTYPES = {
    "torch.DoubleStorage": np.dtype("<f8"),
    "torch.FloatStorage": np.dtype("<f4"),
    "torch.HalfStorage": np.dtype("<f2"),
    "torch.BFloat16Storage": np.dtype(jax.dtypes.bfloat16),
    "torch.LongStorage": np.dtype("<i8"),
    "torch.IntStorage": np.dtype("<i4"),
    "torch.ShortStorage": np.dtype("<i2"),
    "torch.CharStorage": np.dtype("i1"),
    "torch.ByteStorage": np.dtype("u1"),
    "torch.BoolStorage": np.dtype("?"),
}
DICT, PARAMETER = "collections.OrderedDict", "torch._utils._rebuild_parameter"
TENSORS = ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2")  # the former before PyTorch 0.4


class Refused(ValueError):
    """What is in the file is not a plain dict of arrays."""


def read(path: Path | str) -> dict[str, np.ndarray]:
    """Return the arrays of a state dict, read-only; bfloat16 stays so. A dict's "state_dict", where it has one.

    Both of PyTorch's formats, zip and legacy. UserError for whatever else: TorchScript, pickled modules or functions,
    tensors that reach out of their storage, damaged files. Names in the file are never imported nor called.
    """
    try:
        with Path(path).open("rb") as file:
            start = file.read(4)
            file.seek(0)
            if start == b"PK\x03\x04":
                value, data = _zip(file)
            elif start == LEGACY:
                value, data = _legacy(file)
            else:
                raise Refused("it is neither of PyTorch's two formats")
            if isinstance(value, dict) and isinstance(value.get("state_dict"), dict):
                value = value["state_dict"]
            if not isinstance(value, dict):
                raise Refused(f"it holds {_kind(value)}, not a dict of arrays")
            return {_name(name): _array(name, entry, data) for name, entry in value.items()}
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a made-up pickle can raise anything
        reason = str(error) or type(error).__name__
        raise UserError(f"{path} is refused: {reason}. Wanted: a PyTorch state dict, unchanged") from error


# What a pickle may name. All are immutable and without attributes to set, so that nothing outlives a pickle.


class _Dict(dict):
    """Stands for OrderedDict."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        """Drop PyTorch's notes on versions."""


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype
    count: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Name(NamedTuple):
    """A name in the pickle; called, it gives data or refuses."""

    name: str

    def __call__(self, *args: Any) -> Any:
        if self.name == DICT:
            return _Dict(*args)
        if self.name == PARAMETER and args and isinstance(args[0], _Tensor):
            return args[0]
        if self.name in TENSORS and len(args) >= 4 and not any(args[6:]):  # args[6]: negative or conjugate views
            return _Tensor(*args[:4])
        raise Refused(f"it calls {self.name} in a way that PyTorch does not")


class _Unpickler(pickle.Unpickler):
    """Loads one pickle; `storages` are those that it speaks of."""

    def __init__(self, file: BinaryIO):
        super().__init__(file, encoding="utf-8")
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> _Name:
        full = f"{module}.{name}"
        if full not in (DICT, PARAMETER, *TENSORS, *DTYPES):
            raise Refused(f"its pickle names {full}, which no dict of arrays needs (a whole model, or an attack)")
        return _Name(full)

    def persistent_load(self, reference: Any) -> _Storage:
        kind, storage, key, _, count, *view = reference
        if kind != "storage" or not isinstance(storage, _Name) or storage.name not in DTYPES or any(view):
            raise Refused("it has a storage of an unknown kind")
        if type(key) is not str or type(count) is not int or count < 0:
            raise Refused("a storage's name or size makes no sense")
        new = _Storage(key, DTYPES[storage.name], count)
        if self.storages.setdefault(key, new) != new:
            raise Refused(f"its storage {key!r} has two types or sizes")
        return new


def _unpickle(file: BinaryIO) -> tuple[Any, dict[str, _Storage]]:
    """Load the next pickle of a file."""
    start, puts = file.tell(), 0
    for code, value, _ in pickletools.genops(file):  # reads and runs nothing
        if code.name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            # A pickle numbers what it keeps from 0 on; the unpickler would make a table of the size of any number.
            if (value or 0) > puts:
                raise Refused("its pickle counts wrongly")
            puts += 1
    file.seek(start)
    unpickler = _Unpickler(file)
    return unpickler.load(), unpickler.storages


# The two formats: each gives the object and the bytes of its storages.


def _zip(file: BinaryIO) -> tuple[Any, dict[str, bytes]]:
    archive = zipfile.ZipFile(file)
    names = set(archive.namelist())
    if any(name.rpartition("/")[2] == "constants.pkl" or "/code/" in name for name in names):
        raise Refused("it is a TorchScript program, not a state dict")
    roots = [name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl")]
    if len(roots) != 1 or any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
        raise Refused("it is a zip file, but not PyTorch's")
    root = roots[0]
    if root + "byteorder" in names and archive.read(root + "byteorder") != b"little":
        raise Refused("its numbers are big-endian")
    pickled = archive.read(root + "data.pkl")
    value, storages = _unpickle(io.BytesIO(pickled))
    data = {}
    for key, storage in storages.items():
        if f"{root}data/{key}" not in names:
            raise Refused(f"its storage {key!r} is missing")
        data[key] = archive.read(f"{root}data/{key}")
        if len(data[key]) < storage.count * storage.dtype.itemsize:
            raise Refused(f"its storage {key!r} is cut short")
    return value, data


def _legacy(file: BinaryIO) -> tuple[Any, dict[str, bytes]]:
    size = file.seek(0, 2)
    file.seek(0)
    magic, protocol, system = (_unpickle(file)[0] for _ in range(3))
    if magic != MAGIC or protocol != PROTOCOL or type(system) is not dict:
        raise Refused("its header is not PyTorch's")
    if system.get("little_endian") is not True:
        raise Refused("its numbers are big-endian")
    value, storages = _unpickle(file)
    keys, _ = _unpickle(file)
    if type(keys) is not list or set(keys) != set(storages):
        raise Refused("its storages are not those that its tensors name")
    data = {}
    for key in keys:
        count, wanted = int.from_bytes(file.read(8), "little"), storages[key].count
        length = wanted * storages[key].dtype.itemsize
        if count != wanted or file.tell() + length > size:
            raise Refused(f"its storage {key!r} is cut short")
        data[key] = file.read(length)
    return value, data


def _array(name: str, tensor: Any, data: dict[str, bytes]) -> np.ndarray:
    """Return a view of the tensor's storage."""
    if not isinstance(tensor, _Tensor):
        raise Refused(f"its entry {name!r} is {_kind(tensor)}, not an array")
    storage, offset, shape, strides = tensor
    if not isinstance(storage, _Storage) or not all(_is_counts(value) for value in ((offset,), shape, strides)):
        raise Refused(f"the storage, shape or strides of {name!r} make no sense")
    ends = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) + 1
    # An expanded tensor is within its storage, yet may be larger than any memory once it is copied.
    if math.prod(shape) > storage.count or (math.prod(shape) and ends > storage.count):
        raise Refused(f"{name!r} reaches out of its storage")
    size = storage.dtype.itemsize
    if 0 in shape:
        return np.zeros(shape, storage.dtype)
    return np.ndarray(shape, storage.dtype, data[storage.key], offset * size, [s * size for s in strides])


def _is_counts(values: Any) -> bool:
    return type(values) is tuple and all(type(value) is int and value >= 0 for value in values)


def _name(name: Any) -> str:
    if type(name) is not str:
        raise Refused(f"a key is {_kind(name)}, not a name")
    return name


def _kind(value: Any) -> str:
    return value.name if isinstance(value, _Name) else f"a value of type {type(value).__name__.strip('_').lower()}"


def take(arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...], net: str) -> np.ndarray:
    """Return arrays[name]; UserError, with the net's name, where it is missing or has another shape."""
    if name not in arrays:
        raise UserError(f"these are not the weights of {net}: {name!r} is missing")
    if arrays[name].shape != shape:
        raise UserError(f"these are not the weights of {net}: {name!r} is {arrays[name].shape}, not {shape}")
    return arrays[name]
