"""Read .zip and .tar archives of images in place. The names of their members never become paths on disk."""

import bz2
import gzip
import logging
import lzma
import os
import tarfile
import tempfile
import unicodedata
import weakref
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ganjax.data import formats
from ganjax.data.images import ImageError
from ganjax.errors import UserError
from ganjax.system.cache_dir import root
from ganjax.system.names import printable

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
FOREIGN = (".rar", ".7z", ".gz", ".zst", ".lz4")  # not readable, but likely to be tried
COMPRESSED = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open))
LABELS = "dataset.json"  # lists files by their path relative to its own folder
LARGEST = 1 << 30  # limit on the bytes of one decompressed file
INFLATION = 100  # a .tar.gz may decompress to LARGEST + 100 times its size: images hardly compress
BLOCK = 1 << 20
log = logging.getLogger(__name__)
_archives = weakref.WeakValueDictionary()  # in use, so that two folders of one archive share its index


def located(path: Path) -> tuple[Path, str] | None:
    """Return (archive, "") for an archive, (archive, "train/monet") for a folder inside one, None for other paths."""
    for candidate in (path, *path.parents):
        if candidate.name.lower().endswith(ENDINGS) and os.path.isfile(candidate):
            return candidate, "" if candidate == path else path.relative_to(candidate).as_posix()
    return None


def open_archive(path: Path) -> "Archive":
    """Return the archive, whose index is shared while it is in use. Raises UserError if the archive is damaged."""
    stat = path.stat()
    key = (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
    archive = _archives.get(key)
    if archive is None:
        archive = _archives[key] = Archive(path)
    return archive


class Archive:
    """The files of a .zip or .tar by name, with "/" between folders, without hidden files and without a folder that
    wraps all images.

    Several threads may read concurrently. Raises UserError if the archive cannot be read.
    """

    def __init__(self, path: Path):
        try:
            with path.open("rb") as file:
                head = file.read(8)
            if zipfile.is_zipfile(path) and (head[:2] == b"PK" or path.suffix.lower() == ".zip"):
                self._reader = _Zip(path)
            else:
                self._reader = _Tar(_decompress(path, head))
            members = list(self._reader.members())
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, tarfile.TarError,
                RuntimeError) as error:  # fmt: skip
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise UserError(
                f"{printable(str(path))} cannot be read as {'.zip' if path.suffix.lower() == '.zip' else '.tar'} "
                f"({printable(reason)}): copy or download it again, or unpack it and give the folder"
            ) from error
        files = {}
        for raw, file in members:
            parts = [part for part in raw.replace("\\", "/").split("/") if part not in ("", ".", "..")]
            if parts and not any(formats.hidden(part) for part in parts):
                files["/".join(parts)] = file
        self._files, self._whole = _unwrap(files), files

    def files(self, inside: str = "") -> dict:
        """Return {name: argument of `read`} of all files, or of those below a folder, with names relative to it."""
        if not inside:
            return self._files
        prefix = unicodedata.normalize("NFC", inside) + "/"
        for files in (self._files, self._whole):
            named = ((unicodedata.normalize("NFC", name), file) for name, file in files.items())
            below = {name.removeprefix(prefix): file for name, file in named if name.startswith(prefix)}
            if below:
                return below
        return {}

    def read(self, file, count: int = LARGEST) -> bytes:
        """Return the first `count` bytes of a file (default: all). Raises ImageError, with the reason."""
        try:
            content = self._reader.read(file, count + 1 if count == LARGEST else count)
        except ImageError:
            raise
        except Exception as error:  # decompressors raise OSError, zlib.error, EOFError, RuntimeError, ...
            raise ImageError(f"damaged in the archive: {printable(str(error)) or type(error).__name__}") from error
        if not content:
            raise ImageError("empty file")
        if len(content) > LARGEST:
            raise ImageError(f"decompresses to more than {LARGEST >> 20} MiB")
        return content


def _unwrap(files: dict) -> dict:
    """Return the files without the folders that wrap all images; files beside such a folder are dropped."""
    while True:
        tops = {name.partition("/")[0] if "/" in name else "" for name in files if formats.promises(name)}
        if len(tops) != 1 or "" in tops or LABELS in files:
            return files
        prefix = f"{tops.pop()}/"
        files = {name.removeprefix(prefix): file for name, file in files.items() if name.startswith(prefix)}


class _Zip:
    def __init__(self, path: Path):
        self.file = zipfile.ZipFile(path)  # safe for concurrent readers: zipfile locks the file

    def members(self) -> Iterator[tuple[str, zipfile.ZipInfo]]:
        return ((info.filename, info) for info in self.file.infolist() if not info.is_dir())

    def read(self, info: zipfile.ZipInfo, count: int) -> bytes:
        if info.flag_bits & 1:
            raise ImageError("encrypted in the archive: unpack it with its password")
        with self.file.open(info) as member:
            return member.read(count)


class _Tar:
    def __init__(self, file: BinaryIO):
        self.file = file
        weakref.finalize(self, file.close)

    def members(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield (name, (offset, size)). Raises ReadError at a damaged header, where tarfile would stop silently."""
        members, links = {}, []
        with tarfile.open(fileobj=self.file, mode="r:") as tar:
            for member in tar:
                if member.islnk() and member.linkname in members:
                    members[member.name] = members[member.linkname]
                elif member.isreg() and not member.issparse():
                    members[member.name] = member.offset_data, member.size
                elif not member.isdir():
                    links.append(member.name)
            if any(os.pread(self.file.fileno(), tarfile.BLOCKSIZE, tar.offset)):
                raise tarfile.ReadError(f"damaged at byte {tar.offset:,}")
        if links:
            log.warning("left out %d links of the archive: %s", len(links), printable(", ".join(links[:5])))
        yield from members.items()

    def read(self, member: tuple[int, int], count: int) -> bytes:
        offset, size = member
        return os.pread(self.file.fileno(), min(size, count), offset)


def _decompress(path: Path, head: bytes) -> BinaryIO:
    """Return the open .tar file; a compressed one is decompressed into an anonymous temporary file in the cache."""
    decompress = next((opener for magic, opener in COMPRESSED if head.startswith(magic)), None)
    if not decompress:
        return path.open("rb")
    log.info("decompressing %s; a .tar or .zip would be read in place", printable(str(path)))
    limit = LARGEST + INFLATION * path.stat().st_size
    try:
        root().mkdir(parents=True, exist_ok=True)
        file = tempfile.TemporaryFile(dir=root())  # noqa: SIM115 (it lives as long as the archive)
    except OSError as error:
        raise UserError(f"{root()} cannot be written: {error.strerror or error}; set GANJAX_CACHE") from error
    with decompress(path) as stream:
        while block := stream.read(BLOCK):
            try:
                file.write(block)
            except OSError as error:
                raise UserError(
                    f"{printable(str(path))} cannot be decompressed into {root()}: {error.strerror or error}; free "
                    "some space, or set GANJAX_CACHE to another folder"
                ) from error
            if file.tell() > limit:
                raise ValueError(f"it decompresses to more than {limit >> 20:,} MiB")
    file.seek(0)
    return file
