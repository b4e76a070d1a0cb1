"""Two domains, A and B: two folders, pairs of one name, pictures that hold both, a set of TFDS, or the atelier."""

import functools
import logging
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import ml_collections
from PIL import Image

from ganjax.data import cache, images
from ganjax.data.cache import Dataset
from ganjax.data.folder import Folder
from ganjax.data.windows import Windows
from ganjax.errors import UserError

SUBFOLDERS = (("trainA", "trainB"), ("A", "B"), ("a", "b"))
log = logging.getLogger(__name__)


class Domains(NamedTuple):
    """Both sides' images. paired: whether row i of A belongs to row i of B. As a data set it is B, which is wanted."""

    a: Dataset
    b: Dataset
    paired: bool

    images = property(lambda self: self.b.images)
    labels = property(lambda self: self.b.labels)
    names = property(lambda self: self.b.names)
    classes = property(lambda self: ())
    class_counts = property(lambda self: ())
    skipped = property(lambda self: [*self.a.skipped, *self.b.skipped])
    content = property(lambda self: f"{self.a.content}-{self.b.content}")


class Half:
    """Source over one half, 0 the left and 1 the right, of the pictures of another source."""

    classes = ()

    def __init__(self, both, half: int):
        self.both, self.half = both, half
        self.identity = {**both.identity, "half": half}
        self.name, self.is_image = both.name, both.is_image

    def __len__(self) -> int:
        return len(self.both)

    def read(self, index: int) -> tuple[Image.Image, int]:
        image, _ = self.both.read(index)
        middle = image.width // 2
        if not middle:
            raise images.ImageError("too narrow to hold two images")
        return image.crop((self.half * middle, 0, (1 + self.half) * middle, image.height)), -1


def open_domains(data: ml_collections.ConfigDict, load_size: tuple[int, int]) -> Domains:
    """Return both domains of `config.data`, decoded. UserError, as a question, where the layout is not clear.

    With `data.paired` = "self" the images of data.path, or the atelier's, are both: what A is made of is B.
    """
    a, b, paired, layout = _same(data, load_size) if data.paired == "self" else _sources(data, load_size)
    log.info("%s", layout)
    load = functools.partial(
        cache.load,
        height=load_size[0],
        width=load_size[1],
        channels=data.channels,
        fit=data.fit,
        threads=data.threads,
        max_damaged=data.max_damaged,
    )
    sides = load(a), load(b)
    return Domains(*(_matched(*sides) if paired and a is not b else sides), paired)


def _sources(data: ml_collections.ConfigDict, load_size: tuple[int, int]) -> tuple:
    """Return (source of A, source of B, whether they are pairs, the layout in words)."""
    if bool(data.a) != bool(data.b):
        raise UserError(f"config.data.{'b' if data.a else 'a'} is empty: both domains are needed, data.a and data.b")
    if data.name.startswith("tfds:"):
        return _prepared(data)
    read = lambda path, key="path": Folder(path, channels=data.channels, max_pixels=data.max_pixels, key=key)  # noqa: E731
    if data.a:
        return _two_folders(data, load_size, read(data.a, "a"), read(data.b, "b"))
    if data.path:
        root = Path(data.path).expanduser()
        for names in SUBFOLDERS:
            if all((root / name).is_dir() for name in names):
                return _two_folders(data, load_size, *(read(str(root / name)) for name in names))
        if data.windows:
            raise UserError("config.data.windows: give both domains, --config.data.a and --config.data.b")
        folder = read(data.path)
        wide = [w == 2 * h for h, w in _sizes(folder)]
        if not all(wide) or data.paired == "no":
            raise UserError(
                f"config.data.path: how does {data.path} hold two domains? Give --config.data.a=DIR and "
                "--config.data.b=DIR; or sub-folders trainA and trainB; or pairs side by side, all twice as wide as "
                f"high ({sum(wide)} of {len(wide)} are)"
            )
        return Half(folder, 0), Half(folder, 1), True, f"{len(folder):,} pairs side by side, A on the left"
    if data.name != "atelier":
        raise UserError(f"config.data.name = {data.name!r} has no two domains: give --config.data.a=DIR and .b=DIR")
    from ganjax.data.atelier import Atelier, Photographs

    settings = data.atelier.num_images, load_size, data.atelier.styles, data.split, data.channels
    paired = data.paired != "no"
    layout = "the atelier's photographs and paintings" + (", in pairs" if paired else "")
    return Photographs(*settings), Atelier(*settings), paired, layout


def _prepared(data: ml_collections.ConfigDict) -> tuple:
    """`_sources` of a set that TFDS has prepared; data.a and data.b may name image features or splits of it."""
    from ganjax.data.prepared import Prepared, catalogue

    name = data.name.partition(":")[2]
    splits, pictures = catalogue(name, data.path)
    read = lambda split, key="": Prepared(name, split, data.path, data.channels, data.max_pixels, key)  # noqa: E731
    keys = [key for key in pictures if key != "image"] + ["image"]
    wanted = [data.a, data.b] if data.a else keys if sorted(pictures) == sorted(keys) and len(keys) == 2 else []
    if wanted and set(wanted) <= set(pictures):
        a, b = (read(data.split, key) for key in wanted)
        return a, b, data.paired != "no", f"{data.name}, {len(a):,} pairs: A is {wanted[0]!r}, B {wanted[1]!r}"
    for side, given in (("a", data.a), ("b", data.b)):
        if given and not all(part.partition("[")[0].strip() in splits for part in given.split("+")):
            raise UserError(
                f"config.data.{side} = {given!r} is no image feature of {data.name} ({', '.join(pictures)}) and no "
                f"split ({', '.join(splits)}); both sides must be of one kind"
            )
    split, bracket, part = data.split.partition("[")
    if data.a or {f"{split}A", f"{split}B"} <= set(splits):
        wanted = wanted or [f"{split}{side}{bracket}{part}" for side in "AB"]
        if data.paired == "yes":
            raise UserError(f"config.data.paired: the splits {' and '.join(wanted)} of {data.name} are no pairs")
        a, b = map(read, wanted)
        return a, b, False, f"{data.name}, {len(a):,} images of {wanted[0]} and {len(b):,} of {wanted[1]}, not paired"
    both = read(data.split)
    shapes = [both.read(i)[0].size for i in range(min(len(both), 16))]
    if not all(width == 2 * height for width, height in shapes):
        raise UserError(
            f"how does {data.name} hold two domains? Give --config.data.a and --config.data.b, each an image feature "
            f"({', '.join(pictures)}) or a split ({', '.join(splits)})"
        )
    return Half(both, 0), Half(both, 1), data.paired != "no", f"{len(both):,} pairs side by side, A on the left"


def _same(data: ml_collections.ConfigDict, load_size: tuple[int, int]) -> tuple:
    if data.a or data.b:
        raise UserError("config.damage makes A of B: give the whole images alone, --config.data.path=FOLDER")
    from ganjax.data.atelier import Atelier

    if data.name.startswith("tfds:"):
        from ganjax.data.prepared import Prepared

        one = Prepared(data.name.partition(":")[2], data.split, data.path, data.channels, data.max_pixels)
    elif data.path:
        one = Folder(data.path, channels=data.channels, max_pixels=data.max_pixels)
        one = Windows(one, *load_size, data.windows) if data.windows else one
    else:
        one = Atelier(data.atelier.num_images, load_size, data.atelier.styles, data.split, data.channels)
    return one, one, True, f"{len(one):,} images, damaged on the fly"


def _two_folders(data, load_size, a: Folder, b: Folder) -> tuple:
    if data.windows:
        if data.paired == "yes":
            raise UserError("config.data.windows: windows are no pairs; set it to 0, or config.data.paired=no")
        a, b = (Windows(folder, *load_size, data.windows) for folder in (a, b))
        return a, b, False, f"{len(a):,} windows of A and {len(b):,} of B, not paired"
    if data.paired == "no":
        return a, b, False, f"two folders, {len(a):,} files of A and {len(b):,} of B, not paired"
    stems = [{_stem(name) for name in folder.files} for folder in (a, b)]
    shared = len(stems[0] & stems[1])
    if data.paired == "auto" and shared == 0:
        return a, b, False, f"two folders, {len(a):,} files of A and {len(b):,} of B, not paired"
    if shared < max(map(len, stems)) and (data.paired == "auto" or not shared):
        alone = sorted(stems[0] ^ stems[1])[0]
        raise UserError(
            f"are {a.root} and {b.root} pairs? {shared} names are in both, and {alone!r} in one alone: pairs are files "
            "of one name but for the ending. Set --config.data.paired=no if they are none, or yes to take those "
            "that are"
        )
    return a, b, True, f"two folders, {shared:,} pairs of one name"


def _matched(a: Dataset, b: Dataset) -> tuple[Dataset, Dataset]:
    """Return the rows of both that have a partner, in one order."""
    rows = [{_stem(name): i for i, name in enumerate(side.names)} for side in (a, b)]
    names = [name for name in rows[0] if name in rows[1]]
    if not names:
        raise UserError("no image of A has a partner in B that can be read")
    return tuple(
        side
        if (order := [row[name] for name in names]) == list(range(len(side.names)))
        else side._replace(images=side.images[order], labels=side.labels[order], names=[side.names[i] for i in order])
        for side, row in zip((a, b), rows, strict=True)
    )


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _sizes(folder: Folder) -> list[tuple[int, int]]:
    found = []
    for name in folder.files:
        try:
            found.append(images.size(folder.root / name))
        except images.ImageError:
            continue
    if not found:
        raise UserError(f"config.data.path: {folder.root} holds no image")
    return found
