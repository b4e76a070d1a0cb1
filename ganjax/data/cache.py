"""Decode once: every image, resized, in one memory-mapped file that concurrent runs share."""

import contextlib
import fcntl
import hashlib
import json
import logging
import math
import os
import shutil
import time
import uuid
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import grain
import numpy as np
import PIL

from ganjax.data import formats, images
from ganjax.data.table import Table
from ganjax.errors import UserError
from ganjax.system import cache_dir, signals
from ganjax.system.progress import progress_bar

VERSION = 2
CHUNK = 1 << 24  # bytes that are read at a time
DAMAGED_FROM = 100  # folders up to this many files may hold any share of damaged ones
UNREADABLE = "cannot be read"  # by the system; such a file is not damaged
STALE_SECONDS = 24 * 3600
ATTEMPTS = 3  # a neighbour that found the same damage may remove what has just been made
LOCK = ".lock"  # in a folder that is being built
log = logging.getLogger(__name__)


def stamp(path: Path) -> list[int]:
    """Return [inode, size, mtime_ns, ctime_ns] of a file, for the identity of its source.

    Copies and `rsync -t` keep names, sizes and mtimes; the system alone sets inode and ctime. The inode is unique on
    one file system, so that an identity holds the absolute real path of its folder as well.
    """
    status = path.stat()
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def load(
    source, height: int, width: int, channels: int, fit: str = "crop", threads: int = 2, max_damaged: float = 0.05
) -> Table:
    """Return the source's images at (height, width), decoded now or found in the cache.

    The key is a hash of the source's identity (real path, file list, inodes, sizes, times) and the transform. An entry
    whose bytes do not match their checksums is decoded anew, after one warning. Raises UserError when no image is
    usable, when more than `max_damaged` of over 100 files are damaged, or when the disk is full.
    """
    shape = (height, width, channels)
    key = {"version": VERSION, "pillow": PIL.__version__, "formats": formats.readable(), "shape": shape, "fit": fit}
    key |= source.identity
    folder = cache_dir.root() / "images" / hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    for attempt in range(ATTEMPTS):
        if os.path.lexists(folder):
            try:
                table = _open(folder, shape)
                if attempt > 0 or not _recovered(source, table):
                    return table
                log.info("files that could not be read before can be read now: the images are decoded anew")
                _remove(folder)
            except (OSError, ValueError) as error:
                log.warning("the image cache %s is damaged (%s) and is made anew", folder, error)
                _remove(folder)
        _build(source, folder, shape, fit, threads, max_damaged)
    try:
        return _open(folder, shape)
    except (OSError, ValueError) as error:
        raise UserError(f"the image cache {folder} cannot be read: {error}; remove it, or set GANJAX_CACHE") from error


def _recovered(source, table: Table) -> bool:
    """Return whether a file that was left out for want of memory, or by the system's fault, can be read now."""
    passing = {name for name, reason in table.skipped if reason.startswith((UNREADABLE, images.NO_MEMORY))}
    for i in range(len(source)) if passing else ():
        if source.name(i) in passing:
            try:
                source.read(i)
                return True
            except (images.ImageError, OSError):
                continue
    return False


def _open(folder: Path, shape: tuple[int, int, int]) -> Table:
    """Return what an entry holds. OSError or ValueError if a byte of it is missing or is not what was written.

    All pixels are read once for their checksum, half a second a GB; training would read them from the disk anyhow.
    """
    saved = json.loads((folder / "index.json").read_text())
    index = saved.get("index") if isinstance(saved, dict) else None
    if not isinstance(index, dict) or saved.get("crc32") != _checksum(index):
        raise ValueError("index.json does not match its checksum")
    path, count = folder / "images.u8", len(index["names"])
    if path.stat().st_size != count * math.prod(shape):
        raise ValueError("images.u8 is cut short")
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            crc = zlib.crc32(chunk, crc)
    if crc != index["pixels_crc32"]:
        raise ValueError("the pixels do not match their checksum")
    pixels = np.memmap(path, np.uint8, "r", shape=(count, *shape))
    labels = np.asarray(index["labels"], np.int32)
    for note, names in index["notes"].items():
        log.info("%s%s: %s", names[0], f" and {len(names) - 1:,} more" if len(names) > 1 else "", note)
    skipped = [(name, reason) for name, reason in index["skipped"]]
    columns = {"image": pixels, "label": labels}
    return Table(columns, index["names"], tuple(index["classes"]), skipped, index["content"])


def _checksum(index: dict) -> int:
    return zlib.crc32(json.dumps(index, sort_keys=True).encode())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


class _Reader:
    """A grain source: index -> (image or None, label, why there is none, notes on it)."""

    def __init__(self, source, shape, fit):
        self.source, self.shape, self.fit = source, shape, fit

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        try:
            image, label = self.source.read(int(index))
            pixels = images.fit(image, *self.shape[:2], self.fit)
        except images.ImageError as error:
            return None, -1, str(error), ()
        except OSError as error:
            return None, -1, f"{UNREADABLE}: {error.strerror or error}", ()
        if pixels.shape != self.shape:
            raise UserError(
                f"{type(self.source).__name__} gives images of {pixels.shape[2]} channels, and config.data.channels is "
                f"{self.shape[2]}: an error of ganjax, not of the data; please report it"
            )
        return pixels, label, "", image.info.get("notes", ())


def _build(source, folder: Path, shape, fit: str, threads: int, max_damaged: float) -> None:
    # Each writer has a folder of its own, and the first to rename it wins.
    temporary = folder.with_name(f"{folder.name}.tmp-{uuid.uuid4().hex}")
    try:
        temporary.mkdir(parents=True)
        with _held(temporary), signals.removing(temporary):
            _sweep(folder.parent)
            _write(source, temporary, shape, fit, threads, max_damaged)
            try:
                temporary.rename(folder)
            except OSError:
                if not (folder / "index.json").is_file():
                    raise
    except OSError as error:
        raise UserError(
            f"the image cache {folder.parent} cannot be written: {error.strerror or error}; free some space, or set "
            "GANJAX_CACHE to another folder"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a lock in a temporary folder, which says that it is being built. The kernel lets go if the process dies."""
    with (folder / LOCK).open("w") as lock:
        with contextlib.suppress(OSError):  # a file system without locks: `_sweep` keeps what it cannot lock
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _write(source, folder: Path, shape, fit: str, threads: int, max_damaged: float) -> None:
    reader = grain.MapDataset.source(_Reader(source, shape, fit))
    rows = iter(reader.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=16 * threads)))
    names, labels, skipped, damaged, notes = [], [], [], 0, defaultdict(list)
    content, crc = hashlib.sha256(repr(shape).encode()), 0
    with (folder / "images.u8").open("wb") as file:
        progress = progress_bar(rows, total=len(source), desc="decoding images", unit=" images")
        for i, (image, label, reason, remarks) in enumerate(progress):
            if image is None:
                skipped.append((source.name(i), reason))
                damaged += source.is_image(i) and not reason.startswith(UNREADABLE)
                continue
            pixels = image.tobytes()
            file.write(pixels)
            content.update(pixels)
            crc = zlib.crc32(pixels, crc)
            names.append(source.name(i))
            labels.append(int(label))
            for remark in remarks:
                notes[remark].append(source.name(i))
    rows.close()
    examples = "; ".join(f"{name} ({reason})" for name, reason in skipped[:5])
    if not names:
        raise UserError(f"none of {len(source)} files is a usable image: {examples}")
    if len(source) > DAMAGED_FROM and damaged > max_damaged * (len(names) + damaged):
        raise UserError(
            f"{damaged} of {len(names) + damaged} images are damaged, more than data.max_damaged = {max_damaged:g}: "
            f"{examples}{'; ...' if len(skipped) > 5 else ''}. Mend or remove them, or raise --config.data.max_damaged"
        )
    classes, labels = _compact(source, labels)
    content.update(np.asarray(labels, np.int32).tobytes())
    index = {"names": names, "labels": labels, "skipped": skipped, "classes": classes}
    index |= {"content": content.hexdigest(), "pixels_crc32": crc, "notes": notes}
    (folder / "index.json").write_text(json.dumps({"index": index, "crc32": _checksum(index)}))


def _compact(source, labels: list[int]) -> tuple[tuple[str, ...], list[int]]:
    """Return (classes, labels), for folders without the classes of which no image could be read.

    Other sources know their classes, whether a split has an image of each or not.
    """
    classes, used = source.classes, sorted(set(labels) - {-1})
    if source.identity.get("source") != "folder" or len(used) == len(classes):
        return classes, labels
    empty = [name for i, name in enumerate(classes) if i not in used]
    log.warning("no image of %s can be read: %s left out of the classes", ", ".join(empty),
                "it is" if len(empty) == 1 else "they are")  # fmt: skip
    if not used:
        raise UserError(f"config.data.labels: no sub-folder holds a usable image ({', '.join(empty)})")
    place = {old: new for new, old in enumerate(used)} | {-1: -1}
    return tuple(classes[i] for i in used), [place[label] for label in labels]


def _sweep(folder: Path) -> None:
    """Remove what killed runs left a day ago; never a folder whose builder is alive, however old it looks."""
    for left in folder.glob("*.tmp-*"):
        with contextlib.suppress(OSError):  # a neighbour has just renamed its own, or there are no locks here: keep it
            if time.time() - left.stat().st_mtime > STALE_SECONDS and _abandoned(left):
                shutil.rmtree(left, ignore_errors=True)


def _abandoned(folder: Path) -> bool:
    """Return whether no process holds the folder. Raises OSError if that cannot be found out."""
    try:
        lock = (folder / LOCK).open("r+")
    except FileNotFoundError:  # the lock is made first of all: its builder was killed before that
        return True
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
