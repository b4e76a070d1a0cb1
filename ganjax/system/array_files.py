"""Read arrays that others wrote, .npz and safetensors, without trusting them: sizes are checked before memory is taken,
nothing is unpickled, and whatever is wrong with a file is one sentence.
"""

import io
import math
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import safetensors

from ganjax.errors import UserError
from ganjax.system.names import printable

HEADER = 1000  # bytes of an array's header in an .npz, at most: a plain dtype and shape take about 100
INFLATED = 200  # deflate's ratio, at most, above BOMB bytes: images and features are far below, a zip bomb is not
BOMB = 64 << 20
JSON_HEADER = 4 << 20  # bytes of a safetensors file's header, at most: about 30,000 arrays


class Refused(ValueError):
    """What is wrong with a file; the message is the reason alone."""


def read_npz(path: Path, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file by name: numbers and booleans of any shape; of `names`, those that it has.

    Raises UserError, one line that names the file, if it is missing, damaged, encrypted, not of NumPy's writing, or
    claims to unpack to far more than it holds.
    """
    try:
        with _file(path).open("rb") as opened, zipfile.ZipFile(opened) as archive:
            entries = _entries(archive, path.stat().st_size)
            wanted = entries.keys() if names is None else [name for name in names if name in entries]
            return {name: _array(archive, entries[name], name) for name in wanted}
    except Exception as error:  # damaged bytes raise zlib.error, BadZipFile, TokenError, RuntimeError, ...
        raise _unreadable(path, error, ".npz") from error


def read_safetensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return (the arrays, the metadata) of a safetensors file.

    Raises UserError, one line that names the file, if it is missing or damaged.
    """
    try:
        with _file(path).open("rb") as opened:
            header = int.from_bytes(opened.read(8), "little")
        if header > JSON_HEADER:
            raise Refused(f"its header claims {header} bytes")
        with safetensors.safe_open(path, "np") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except Exception as error:  # as above: SafetensorError, KeyError of an unknown dtype, ...
        raise _unreadable(path, error, "safetensors") from error


def _file(path: Path) -> Path:
    if path.exists() and not path.is_file():  # a pipe would be waited for, a device read for ever
        raise Refused("it is no regular file")
    return path


def _unreadable(path: Path, error: Exception, form: str) -> UserError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
    return UserError(f"{printable(str(path))} cannot be read as {form}: {printable(reason[:200])}")


def _entries(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """Return the members by array's name; Refused for what NumPy does not write."""
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        name = entry.filename.removesuffix(".npy")
        if name in entries:
            raise Refused(f"it holds {name!r} twice")
        if entry.flag_bits & 1:
            raise Refused("it is encrypted")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Refused(f"{name!r} is compressed in a way that NumPy does not use")
        if entry.compress_size > size:
            raise Refused(f"{name!r} claims more bytes than the file has")
        most = entry.compress_size * (1 if entry.compress_type == zipfile.ZIP_STORED else INFLATED)
        if entry.file_size > max(most, BOMB if entry.compress_type == zipfile.ZIP_DEFLATED else 0):
            raise Refused(f"{name!r} claims to unpack to {entry.file_size:,} bytes, from {entry.compress_size:,}")
        entries[name] = entry
    return entries


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> np.ndarray:
    """Return one array, after a look at its header."""
    with archive.open(entry) as member:
        header = io.BytesIO(member.read(HEADER))
    if not header.getvalue().startswith(np.lib.format.MAGIC_PREFIX):
        raise Refused(f"{name!r} is no array")
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    read_header = readers.get(np.lib.format.read_magic(header))
    if read_header is None:
        raise Refused(f"{name!r} is of an unknown version of NumPy's format")
    try:
        shape, _, dtype = read_header(header, max_header_size=HEADER)
    except Exception as error:  # it is parsed as Python's literals: SyntaxError, TokenError, RecursionError, ...
        raise Refused(f"the header of {name!r} is damaged") from error
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise Refused(f"{name!r} holds {dtype}, not numbers of up to 64 bits")
    if any(side < 0 for side in shape) or header.tell() + math.prod(shape) * dtype.itemsize != entry.file_size:
        raise Refused(f"{name!r} claims a shape of {shape}, which is not what it holds")
    with archive.open(entry) as member:
        array = np.lib.format.read_array(member, allow_pickle=False, max_header_size=HEADER)
        member.read(1)  # to the end, where zipfile compares the checksum
    return array
