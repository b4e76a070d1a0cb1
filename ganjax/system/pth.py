"""Read PyTorch's `.pth` weights files without PyTorch, and without executing their contents.

A `.pth` file holds numbers and a pickle, which can call any function. `system.pickles` parses the pickle and imports
none of the names in it, so that only a dict of arrays can result.
"""

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ganjax.errors import UserError
from ganjax.system import pickles
from ganjax.system.names import printable
from ganjax.system.pickles import Refused, Storage, Tensor, kind

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
LEGACY = b"\x80\x02\x8a\x0a"  # the pickle of MAGIC, with which the older format begins
RANK = 64  # largest number of dimensions: NumPy's limit
SHARED = 8  # largest ratio of the size of all tensors to that of the storages that they view: tied weights give 2


def read(path: Path | str) -> dict[str, np.ndarray]:
    """Return {name: read-only array} of a state dict, or of the entry "state_dict" if the file's dict has one. Dtypes
    are kept, bfloat16 too.

    Reads both of PyTorch's formats, zip and legacy. Raises UserError for anything else: TorchScript, pickled modules or
    functions, tensors that reach out of their storage, damaged files. Names in the file are never imported or called.
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
                raise Refused("it is in neither of PyTorch's two formats")
            if isinstance(value, dict) and isinstance(value.get("state_dict"), dict):
                value = value["state_dict"]
            if not isinstance(value, dict):
                raise Refused(f"it holds {kind(value)}, not a dict of arrays")
            arrays = {_name(name): _array(name, entry, data) for name, entry in value.items()}
            if sum(array.nbytes for array in arrays.values()) > SHARED * sum(map(len, data.values())):
                raise Refused("too many of its tensors are views of the same numbers")
            return arrays
    except OSError as error:
        raise UserError(f"{printable(str(path))} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a crafted pickle can raise anything
        reason = printable(str(error)[:200] or type(error).__name__)
        raise UserError(
            f"{printable(str(path))} is refused: {reason}. Give an unmodified PyTorch state dict"
        ) from error


# Readers of the two formats. Each returns the object and {key: bytes} of its storages.


def _zip(file: BinaryIO) -> tuple[Any, dict[str, bytes]]:
    archive = zipfile.ZipFile(file)
    entries = {entry.filename: entry for entry in archive.infolist()}
    if any(name.rpartition("/")[2] == "constants.pkl" or "/code/" in name for name in entries):
        raise Refused("it is a TorchScript program, not a state dict")
    roots = [name.removesuffix("data.pkl") for name in entries if name.endswith("/data.pkl")]
    stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries.values())
    if len(roots) != 1 or not stored or len(entries) != len(archive.infolist()):
        raise Refused("it is a zip file, but not PyTorch's")
    if sum(entry.file_size for entry in entries.values()) > file.seek(0, 2):  # members overlap, or overstate their size
        raise Refused("its members claim more bytes than the file has")
    root = roots[0]
    if root + "byteorder" in entries and archive.read(root + "byteorder") != b"little":
        raise Refused("its numbers are big-endian")
    if entries[root + "data.pkl"].file_size > pickles.LONGEST:
        raise Refused(f"its pickle is larger than {pickles.LONGEST:,} bytes")
    value, storages, _ = pickles.load(archive.read(root + "data.pkl"))
    data = {}
    for key, storage in storages.items():
        if f"{root}data/{key}" not in entries:
            raise Refused(f"its storage {key[:100]!r} is missing")
        data[key] = archive.read(f"{root}data/{key}")
        if len(data[key]) < storage.count * storage.dtype.itemsize:
            raise Refused(f"its storage {key[:100]!r} is cut short")
    return value, data


def _legacy(file: BinaryIO) -> tuple[Any, dict[str, bytes]]:
    size = file.seek(0, 2)
    file.seek(0)
    magic, protocol, system = (_next(file).value for _ in range(3))
    if magic != MAGIC or protocol != PROTOCOL or type(system) is not dict:
        raise Refused("its header is not PyTorch's")
    if system.get("little_endian") is not True:
        raise Refused("its numbers are big-endian")
    value, storages, _ = _next(file)
    keys = _next(file).value
    valid = type(keys) is list and all(type(key) is str for key in keys)
    if not valid or set(keys) != set(storages) or len(keys) != len(storages):
        raise Refused("its storages are not those that its tensors name")
    data = {}
    for key in keys:
        count, expected = int.from_bytes(file.read(8), "little"), storages[key].count
        length = expected * storages[key].dtype.itemsize
        if count != expected or file.tell() + length > size:
            raise Refused(f"its storage {key[:100]!r} is cut short")
        data[key] = file.read(length)
    return value, data


def _next(file: BinaryIO) -> pickles.Pickle:
    """Return the pickle at the current position of a file, and move the position to its end."""
    start = file.tell()
    parsed = pickles.load(file.read(pickles.LONGEST))
    file.seek(start + parsed.length)
    return parsed


def _array(name: str, tensor: Any, data: dict[str, bytes]) -> np.ndarray:
    """Return the tensor's array, a view of the storage's bytes. Raises Refused if the view leaves the storage."""
    if not isinstance(tensor, Tensor):
        raise Refused(f"its entry {name[:100]!r} is {kind(tensor)}, not an array")
    storage, offset, shape, strides = tensor
    if not isinstance(storage, Storage) or not all(_is_counts(value) for value in ((offset,), shape, strides)):
        raise Refused(f"the storage, shape or strides of {name[:100]!r} are invalid")
    end = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) + 1
    # An expanded tensor (stride 0) lies within its storage, but its copy could exceed the memory.
    if math.prod(shape) > storage.count or (math.prod(shape) and end > storage.count):
        raise Refused(f"{name[:100]!r} reaches out of its storage")
    size = storage.dtype.itemsize
    if 0 in shape:
        return np.zeros(shape, storage.dtype)
    return np.ndarray(shape, storage.dtype, data[storage.key], offset * size, [s * size for s in strides])


def _is_counts(values: Any) -> bool:
    return type(values) is tuple and len(values) <= RANK and all(type(value) is int and value >= 0 for value in values)


def _name(name: Any) -> str:
    if type(name) is not str:
        raise Refused(f"a key is {kind(name)}, not a name")
    return name


def take(arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...], net: str) -> np.ndarray:
    """Return arrays[name]. Raises UserError, which names the network, if it is missing or has another shape."""
    if name not in arrays:
        raise UserError(f"these are not the weights of {net}: {name!r} is missing")
    if arrays[name].shape != shape:
        raise UserError(f"these are not the weights of {net}: {name!r} is {arrays[name].shape}, not {shape}")
    return arrays[name]
