"""Read untrusted array files, .npz and safetensors: sizes are checked before memory is allocated, nothing is unpickled,
and every error is one sentence.
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

HEADER = 1000  # largest array header in an .npz, in bytes: a plain dtype and shape take about 100
INFLATED = 200  # largest deflate ratio of members above BOMB bytes: images and features are far below, zip bombs above
BOMB = 64 << 20
JSON_HEADER = 4 << 20  # largest header of a safetensors file, in bytes: about 30,000 arrays


class Refused(ValueError):
    """A file is not accepted; the message is the reason alone, without the file's name."""


def read_npz(path: Path, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """Return {name: array} of an .npz file: numbers and booleans of any shape. With `names`, only those that it has.

    Raises UserError, one line that names the file, if it is missing, damaged, encrypted, not in NumPy's format, or
    claims to unpack to far more than it holds.
    """
    try:
        with _file(path).open("rb") as file, zipfile.ZipFile(file) as archive:
            entries = _entries(archive, path.stat().st_size)
            selection = entries.keys() if names is None else [name for name in names if name in entries]
            return {name: _array(archive, entries[name], name) for name in selection}
    except Exception as error:  # damaged bytes raise zlib.error, BadZipFile, TokenError, RuntimeError, ...
        raise _unreadable(path, error, ".npz") from error


def read_safetensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return (the arrays, the metadata) of a safetensors file.

    Raises UserError, one line that names the file, if it is missing or damaged.
    """
    try:
        with _file(path).open("rb") as raw:
            header = int.from_bytes(raw.read(8), "little")
        if header > JSON_HEADER:
            raise Refused(f"its header claims {header} bytes")
        with safetensors.safe_open(path, "np") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except Exception as error:  # damaged bytes raise SafetensorError, KeyError (an unknown dtype), ...
        raise _unreadable(path, error, "safetensors") from error


def _file(path: Path) -> Path:
    if path.exists() and not path.is_file():  # reading a pipe may block, reading a device may never end
        raise Refused("it is no regular file")
    return path


def _unreadable(path: Path, error: Exception, form: str) -> UserError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
    return UserError(f"{printable(str(path))} cannot be read as {form}: {printable(reason[:200])}")


def _entries(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """Return {array's name: member of the archive}. Raises Refused for members that NumPy does not write."""
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
        limit = entry.compress_size * (1 if entry.compress_type == zipfile.ZIP_STORED else INFLATED)
        if entry.file_size > max(limit, BOMB if entry.compress_type == zipfile.ZIP_DEFLATED else 0):
            raise Refused(f"{name!r} claims to unpack to {entry.file_size:,} bytes, from {entry.compress_size:,}")
        entries[name] = entry
    return entries


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> np.ndarray:
    """Return one array. Its header is checked before the data are read; raises Refused if it is invalid."""
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
    except Exception as error:  # the header is parsed as Python literals: SyntaxError, TokenError, RecursionError, ...
        raise Refused(f"the header of {name!r} is damaged") from error
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise Refused(f"{name!r} holds {dtype}, not numbers of up to 64 bits")
    if any(side < 0 for side in shape) or header.tell() + math.prod(shape) * dtype.itemsize != entry.file_size:
        raise Refused(f"{name!r} claims a shape of {shape}, which does not match its size")
    with archive.open(entry) as member:
        array = np.lib.format.read_array(member, allow_pickle=False, max_header_size=HEADER)
        member.read(1)  # read to the end, where zipfile compares the checksum
    return array
