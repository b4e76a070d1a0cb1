"""Decode and resize every image once, into one memory-mapped file that concurrent runs share."""

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
CHUNK = 1 << 24  # bytes per read
DAMAGED_FROM = 100  # up to this many files, any share of them may be damaged
UNREADABLE = "cannot be read"  # because the operating system refuses; such a file does not count as damaged
STALE_SECONDS = 24 * 3600
ATTEMPTS = 3  # another process that found the same damage may remove the entry that was just built
LOCK = ".lock"  # name of the lock file in a folder that is being built
log = logging.getLogger(__name__)


def stamp(path: Path) -> list[int]:
    """Return [inode, size, mtime_ns, ctime_ns] of a file, for the identity of its source.

    Copies and `rsync -t` preserve names, sizes and mtimes, but only the system sets inode and ctime. An inode is unique
    on one file system only, so an identity also holds the absolute real path of its folder.
    """
    status = path.stat()
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def load(
    source, height: int, width: int, channels: int, fit: str = "crop", threads: int = 2, max_damaged: float = 0.05
) -> Table:
    """Return the source's images at (height, width), decoded now or read from the cache.

    The cache key is a hash of the source's identity (real path, file list, inodes, sizes, times) and the transform. An
    entry that does not match its checksums is rebuilt after one warning. Raises UserError if no image is usable, if
    more than `max_damaged` of over 100 files are damaged, or if the disk is full.
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
                log.info("a file that could not be read before can be read now: decoding the images again")
                _remove(folder)
            except (OSError, ValueError) as error:
                log.warning("the image cache %s is damaged (%s): rebuilding it", folder, error)
                _remove(folder)
        _build(source, folder, shape, fit, threads, max_damaged)
    try:
        return _open(folder, shape)
    except (OSError, ValueError) as error:
        raise UserError(f"the image cache {folder} cannot be read: {error}; remove it, or set GANJAX_CACHE") from error


def _recovered(source, table: Table) -> bool:
    """Return whether a file that was skipped for lack of memory, or by an error of the system, can be read now."""
    retryable = {name for name, reason in table.skipped if reason.startswith((UNREADABLE, images.NO_MEMORY))}
    if not retryable:
        return False
    for i in range(len(source)):
        if source.name(i) in retryable:
            try:
                source.read(i)
                return True
            except (images.ImageError, OSError):
                continue
    return False


def _open(folder: Path, shape: tuple[int, int, int]) -> Table:
    """Return the table of a cache entry. Raises OSError or ValueError if a byte of it is missing or changed.

    All pixels are read once for their checksum, half a second per GB; training would read them from the disk anyway.
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
    """A grain source: index -> (pixels or None, label, reason if None, notes)."""

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
                f"{type(self.source).__name__} gives images of {pixels.shape[2]} channels, but config.data.channels is "
                f"{self.shape[2]}: this is a bug in ganjax, not in your data; please report it"
            )
        return pixels, label, "", image.info.get("notes", ())


def _build(source, folder: Path, shape, fit: str, threads: int, max_damaged: float) -> None:
    # Each process builds in its own folder; the first to rename it wins.
    temporary = folder.with_name(f"{folder.name}.tmp-{uuid.uuid4().hex}")
    try:
        temporary.mkdir(parents=True)
        with _hold_lock(temporary), signals.removing(temporary):
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
def _hold_lock(folder: Path) -> Iterator[None]:
    """Hold a lock on a temporary folder while it is being built. The kernel releases it if the process dies."""
    with (folder / LOCK).open("w") as lock:
        with contextlib.suppress(OSError):  # a file system without locks: `_sweep` keeps folders that it cannot lock
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _write(source, folder: Path, shape, fit: str, threads: int, max_damaged: float) -> None:
    reader = grain.MapDataset.source(_Reader(source, shape, fit))
    rows = iter(reader.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=16 * threads)))
    names, labels, skipped, damaged, notes = [], [], [], 0, defaultdict(list)
    content, crc = hashlib.sha256(repr(shape).encode()), 0
    with (folder / "images.u8").open("wb") as file:
        progress = progress_bar(rows, total=len(source), desc="decoding images", unit=" images")
        for i, (image, label, reason, image_notes) in enumerate(progress):
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
            for note in image_notes:
                notes[note].append(source.name(i))
    rows.close()
    examples = "; ".join(f"{name} ({reason})" for name, reason in skipped[:5])
    if not names:
        raise UserError(f"none of {len(source)} files is a usable image: {examples}")
    if len(source) > DAMAGED_FROM and damaged > max_damaged * (len(names) + damaged):
        raise UserError(
            f"{damaged} of {len(names) + damaged} images are damaged, more than data.max_damaged = {max_damaged:g}: "
            f"{examples}{'; ...' if len(skipped) > 5 else ''}. Fix or remove them, or raise --config.data.max_damaged"
        )
    classes, labels = _drop_empty_classes(source, labels)
    content.update(np.asarray(labels, np.int32).tobytes())
    index = {"names": names, "labels": labels, "skipped": skipped, "classes": classes}
    index |= {"content": content.hexdigest(), "pixels_crc32": crc, "notes": notes}
    (folder / "index.json").write_text(json.dumps({"index": index, "crc32": _checksum(index)}))


def _drop_empty_classes(source, labels: list[int]) -> tuple[tuple[str, ...], list[int]]:
    """Return (classes, labels); for a folder, without the classes of which no image could be read.

    Other sources keep all their classes, even if a split has no image of some.
    """
    classes, used = source.classes, sorted(set(labels) - {-1})
    if source.identity.get("source") != "folder" or len(used) == len(classes):
        return classes, labels
    empty = [name for i, name in enumerate(classes) if i not in used]
    log.warning("no image of %s can be read: %s left out of the classes", ", ".join(empty),
                "it is" if len(empty) == 1 else "they are")  # fmt: skip
    if not used:
        raise UserError(f"config.data.labels: no sub-folder holds a usable image ({', '.join(empty)})")
    new_label = {old: new for new, old in enumerate(used)} | {-1: -1}
    return tuple(classes[i] for i in used), [new_label[label] for label in labels]


def _sweep(folder: Path) -> None:
    """Remove temporary folders that killed runs left over a day ago, but none that a live process is building."""
    for temporary in folder.glob("*.tmp-*"):
        with contextlib.suppress(OSError):  # another process has just renamed it, or there are no locks here: keep it
            if time.time() - temporary.stat().st_mtime > STALE_SECONDS and _is_abandoned(temporary):
                shutil.rmtree(temporary, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    """Return whether no process holds the lock of a folder. Raises OSError if the lock cannot be tested."""
    try:
        lock = (folder / LOCK).open("r+")
    except FileNotFoundError:  # the builder creates it first: it was killed before that
        return True
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
