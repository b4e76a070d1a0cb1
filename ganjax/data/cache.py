"""Decode once: every image, resized, in one memory-mapped file that concurrent runs share."""

import contextlib
import hashlib
import json
import logging
import math
import os
import platform
import shutil
import sys
import time
import uuid
from pathlib import Path
from typing import NamedTuple

import grain
import numpy as np
import PIL
from tqdm import tqdm

from ganjax.data import images
from ganjax.errors import UserError

VERSION = 1
DAMAGED_FROM = 100  # folders up to this many files may hold any share of damaged ones
UNREADABLE = "cannot be read"  # by the system; such a file is not damaged
STALE_SECONDS = 24 * 3600
log = logging.getLogger(__name__)


class Dataset(NamedTuple):
    """images: uint8 (N, H, W, C), memory-mapped. labels: int32 (N,), -1 for unknown. names: of the N rows.

    skipped: [(name, reason)]. content: sha256 of images and labels, wherever the files lie.
    """

    images: np.ndarray
    labels: np.ndarray
    names: list[str]
    skipped: list[tuple[str, str]]
    classes: tuple[str, ...]
    content: str

    @property
    def class_counts(self) -> tuple[int, ...]:
        return tuple(int((self.labels == i).sum()) for i in range(len(self.classes)))


def root() -> Path:
    """Return `$GANJAX_CACHE`, or `ganjax` in the user's cache directory."""
    user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("GANJAX_CACHE") or Path(user) / "ganjax")


def machine() -> str:
    """Return a name for the kind of this machine's CPU: compiled programs run on its like only."""
    try:
        features = Path("/proc/cpuinfo").read_text().partition("\nflags")[2].partition("\n")[0]
    except OSError:
        features = platform.processor()
    return f"{platform.machine()}-{hashlib.sha256(features.encode()).hexdigest()[:8]}"


def load(
    source, height: int, width: int, channels: int, fit: str = "crop", threads: int = 2, max_damaged: float = 0.05
) -> Dataset:
    """Return the source's images at (height, width), decoded now or found in the cache.

    The key is a hash of the source's identity (file list, sizes, times) and the transform. UserError when no image
    is usable, when more than `max_damaged` of over 100 files are damaged, or when the disk is full.
    """
    shape = (height, width, channels)
    key = {"version": VERSION, "pillow": PIL.__version__, "shape": shape, "fit": fit, **source.identity}
    folder = root() / "images" / hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    try:
        return _open(folder, shape)
    except OSError:  # not there yet
        pass
    except ValueError as error:
        log.warning("the image cache is made anew: %s", error)
        shutil.rmtree(folder, ignore_errors=True)
    _build(source, folder, shape, fit, threads, max_damaged)
    return _open(folder, shape)


def _open(folder: Path, shape: tuple[int, int, int]) -> Dataset:
    index = json.loads((folder / "index.json").read_text())
    if (folder / "images.u8").stat().st_size != len(index["names"]) * math.prod(shape):
        raise ValueError(f"{folder} is cut short")
    pixels = np.memmap(folder / "images.u8", np.uint8, "r", shape=(len(index["names"]), *shape))
    labels = np.asarray(index["labels"], np.int32)
    skipped = [(name, reason) for name, reason in index["skipped"]]
    return Dataset(pixels, labels, index["names"], skipped, tuple(index["classes"]), index["content"])


class _Reader:
    """A grain source: index -> (image or None, label, reason)."""

    def __init__(self, source, shape, fit):
        self.source, self.shape, self.fit = source, shape, fit

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        try:
            image, label = self.source.read(int(index))
            pixels = images.fit(image, *self.shape[:2], self.fit)
        except images.ImageError as error:
            return None, -1, str(error)
        except OSError as error:
            return None, -1, f"{UNREADABLE}: {error.strerror or error}"
        if pixels.shape != self.shape:
            raise UserError(
                f"{type(self.source).__name__} gives images of {pixels.shape[2]} channels, and config.data.channels is "
                f"{self.shape[2]}: an error of ganjax, not of the data; please report it"
            )
        return pixels, label, ""


def _build(source, folder: Path, shape, fit: str, threads: int, max_damaged: float) -> None:
    # No lock: each writer has a folder of its own, and the first to rename it wins.
    temporary = folder.with_name(f"{folder.name}.tmp-{uuid.uuid4().hex}")
    try:
        temporary.mkdir(parents=True)
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


def _write(source, folder: Path, shape, fit: str, threads: int, max_damaged: float) -> None:
    reader = grain.MapDataset.source(_Reader(source, shape, fit))
    rows = iter(reader.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=16 * threads)))
    names, labels, skipped, damaged = [], [], [], 0
    content = hashlib.sha256(repr(shape).encode())
    with (folder / "images.u8").open("wb") as file:
        progress = tqdm(
            rows, total=len(source), desc="decoding images", unit=" images", disable=not sys.stderr.isatty()
        )
        for i, (image, label, reason) in enumerate(progress):
            if image is None:
                skipped.append((source.name(i), reason))
                damaged += source.is_image(i) and not reason.startswith(UNREADABLE)
                continue
            file.write(image.tobytes())
            content.update(image.tobytes())
            names.append(source.name(i))
            labels.append(int(label))
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
    (folder / "index.json").write_text(json.dumps({**index, "content": content.hexdigest()}))


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
    """Remove what killed runs left, a day after."""
    for left in folder.glob("*.tmp-*"):
        with contextlib.suppress(FileNotFoundError):  # a neighbour has just renamed its own
            if time.time() - left.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
