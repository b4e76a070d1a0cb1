"""Data sets of two domains, A and B: folders, pairs by name, side-by-side images, a TFDS set, or the atelier."""

import functools
import logging
from pathlib import Path
from typing import NamedTuple

import ml_collections

from ganjax.data import cache, frames, images, load_size, pairs
from ganjax.data.folder import Folder
from ganjax.data.halves import MIDDLE, Half, aspect, is_side_by_side, left_half
from ganjax.data.table import Dataset, Table
from ganjax.data.windows import Windows
from ganjax.errors import UserError

__all__ = ["is_side_by_side", "left_half", "open_domains", "open_whole"]
SUBFOLDERS = (("trainA", "trainB"), ("A", "B"), ("a", "b"))
log = logging.getLogger(__name__)


class Sides(NamedTuple):
    """The sources of A and B.

    layout: a description for the log. pairing: of files by name; None if both sources name the images of a pair alike.
    side_by_side: width / height of images that hold both sides of a pair, or 0.
    """

    a: object
    b: object
    paired: bool
    layout: str
    pairing: pairs.Pairing | None = None
    side_by_side: float = 0.0


class Part:
    """Source over some rows of a folder."""

    classes = ()

    def __init__(self, folder: Folder, rows: list[int]):
        self.folder, self.rows, self.root = folder, rows, folder.root
        self.identity = {**folder.identity, "rows": rows}

    def __len__(self) -> int:
        return len(self.rows)

    def name(self, index: int) -> str:
        return self.folder.name(self.rows[index])

    def is_image(self, index: int) -> bool:
        return self.folder.is_image(self.rows[index])

    def read(self, index: int):
        """Return (PIL image, label). Raises ImageError."""
        return self.folder.read(self.rows[index])

    def size(self, index: int) -> tuple[int, int]:
        """Return the (height, width) from the file's header. Raises ImageError."""
        return self.folder.size(self.rows[index])


def open_domains(data: ml_collections.ConfigDict) -> Dataset:
    """Return both domains of `config.data`, decoded, as the tables "a" and "b".

    Raises UserError if the layout is ambiguous; the message asks for the missing setting.
    """
    sides = _sources(data, load_size(data))
    log.info("%s", sides.layout)
    a, b = _load(data, sides.a), _load(data, sides.b)
    if sides.paired:
        a, b = _paired_rows(a, b, sides.pairing)
    return Dataset({"a": a, "b": b}, aligned=sides.paired, side_by_side=sides.side_by_side)


def open_whole(data: ml_collections.ConfigDict) -> Dataset:
    """Return the images of `config.data` as the table "b", for a task that makes A by damaging them."""
    source = _whole(data, load_size(data))
    log.info("%s", f"{len(source):,} images, damaged on the fly")
    return Dataset({"b": _load(data, source)}, aligned=True)


def _load(data: ml_collections.ConfigDict, source) -> Table:
    """Return the source's images, decoded, as a table without labels and classes."""
    table = cache.load(source, *load_size(data), data.channels, data.fit, data.threads, data.max_damaged)
    return table._replace(columns={"image": table.images}, classes=())


def _sources(data: ml_collections.ConfigDict, load_size: tuple[int, int]) -> Sides:
    """Return both sources and how they are paired. Raises UserError, with a question, if that is ambiguous."""
    if bool(data.a) != bool(data.b):
        raise UserError(f"config.data.{'b' if data.a else 'a'} is empty: give both domains, data.a and data.b")
    if data.name.startswith("tfds:"):
        return _prepared(data)
    open_folder = functools.partial(Folder, channels=data.channels, max_pixels=data.max_pixels)
    if data.a:
        return _two_folders(
            data, load_size, open_folder(data.a, key="config.data.a"), open_folder(data.b, key="config.data.b")
        )
    if data.path:
        root = Path(data.path).expanduser()
        whole = open_folder(data.path) if not root.is_dir() else None  # so that an archive is indexed once
        for names in SUBFOLDERS:
            if all(_has_folder(root, whole, name) for name in names):
                return _two_folders(data, load_size, *(open_folder(str(root / name)) for name in names))
        if data.windows:
            raise UserError("config.data.windows needs two folders: give --config.data.a=DIR and --config.data.b=DIR")
        return _one_folder(data, whole or open_folder(data.path))
    if data.name != "atelier":
        raise UserError(
            f"config.data.name = {data.name!r} does not hold two domains: give --config.data.a=DIR and "
            "--config.data.b=DIR"
        )
    from ganjax.data.atelier import Atelier, Photographs

    settings = data.atelier.num_images, load_size, data.atelier.styles, data.split, data.channels
    paired = data.paired != "no"
    layout = "the atelier's photographs and paintings" + (", in pairs" if paired else "")
    return Sides(Photographs(*settings), Atelier(*settings), paired=paired, layout=layout)


def _has_folder(root: Path, archive: Folder | None, name: str) -> bool:
    if archive is None:
        return (root / name).is_dir()
    return any(file.startswith(f"{name}/") for file in archive.files)


def _one_folder(data, folder: Folder) -> Sides:
    """Return the sides of a folder of side-by-side images, or of files whose names end or begin with their side."""
    names = [folder.name(i) for i in range(len(folder))]
    pairing = None if data.split_at else pairs.sides_of(names)
    if pairing:
        row = {name: i for i, name in enumerate(names)}
        a, b = (Part(folder, [row[name] for name in side]) for side in (pairing.a, pairing.b))
        return _two_sides(data, a, b, pairing)
    sizes = _sizes(folder)
    odd = [f"{name} ({w}x{h})" for name, (h, w) in sizes.items() if w != 2 * h]
    if data.paired == "no" or (odd and not data.split_at):
        raise UserError(
            f"config.data.path: how does {data.path} hold two domains? Give --config.data.a=DIR and "
            "--config.data.b=DIR; or sub-folders trainA and trainB; or side-by-side pairs, all twice as wide as high "
            f"({len(sizes) - len(odd)} of {len(sizes)} are), or with --config.data.split_at=0.5 (or the column where B "
            f"begins); or names that end in _A and _B. Not twice as wide: {', '.join(odd[:5]) or 'none'}"
        )
    a, b = (Half(folder, half, data.split_at) for half in (0, 1))
    if data.split_at not in MIDDLE:
        a, b = frames.align(a, b, [(i, i) for i in range(len(folder))], data.pairs_fit)
    layout = f"{len(folder):,} pairs side by side, A on the left"
    uneven = sum(w % 2 for _, w in sizes.values()) if data.split_at == 0.5 else 0
    layout += f"; {uneven:,} have an odd width and lose their last column" if uneven else ""
    return Sides(a, b, paired=True, layout=layout, side_by_side=aspect([*sizes.values()]))


def _prepared(data: ml_collections.ConfigDict) -> Sides:
    """Return the sides of a TFDS data set, of which data.a and data.b may name image features or splits."""
    from ganjax.data.prepared import Prepared, catalogue

    name = data.name.partition(":")[2]
    splits, features = catalogue(name, data.path)

    def open_split(split: str, key: str = "") -> Prepared:
        return Prepared(name, split, data.path, data.channels, data.max_pixels, key)

    if data.a:
        names = [data.a, data.b]
    elif len(features) == 2 and "image" in features:
        names = [next(key for key in features if key != "image"), "image"]
    else:
        names = []
    if names and set(names) <= set(features):
        a, b = (open_split(data.split, key) for key in names)
        layout = f"{data.name}, {len(a):,} pairs: A is {names[0]!r}, B is {names[1]!r}"
        return Sides(a, b, paired=data.paired != "no", layout=layout)
    for side, value in (("a", data.a), ("b", data.b)):
        if value and not all(part.partition("[")[0].strip() in splits for part in value.split("+")):
            raise UserError(
                f"config.data.{side} = {value!r} is no image feature of {data.name} ({', '.join(features)}) and no "
                f"split ({', '.join(splits)}); data.a and data.b must be two features or two splits"
            )
    split, bracket, part = data.split.partition("[")
    if data.a or {f"{split}A", f"{split}B"} <= set(splits):
        names = names or [f"{split}{side}{bracket}{part}" for side in "AB"]
        if data.paired == "yes":
            raise UserError(
                f"config.data.paired: the splits {' and '.join(names)} of {data.name} are not paired; set it to no"
            )
        a, b = map(open_split, names)
        layout = f"{data.name}, {len(a):,} images of {names[0]} and {len(b):,} of {names[1]}, not paired"
        return Sides(a, b, paired=False, layout=layout)
    both = open_split(data.split)
    shapes = [both.read(i)[0].size for i in range(min(len(both), 16))]
    if not (data.split_at or all(width == 2 * height for width, height in shapes)):
        raise UserError(
            f"how does {data.name} hold two domains? Give --config.data.a and --config.data.b, each an image feature "
            f"({', '.join(features)}) or a split ({', '.join(splits)})"
        )
    a, b = (Half(both, half, data.split_at) for half in (0, 1))
    layout = f"{len(both):,} pairs side by side, A on the left"
    side_by_side = aspect([shape[::-1] for shape in shapes])
    return Sides(a, b, paired=data.paired != "no", layout=layout, side_by_side=side_by_side)


def _whole(data: ml_collections.ConfigDict, load_size: tuple[int, int]):
    """Return the source of the whole images that the task damages."""
    from ganjax.data.atelier import Atelier

    if data.name.startswith("tfds:"):
        from ganjax.data.prepared import Prepared

        return Prepared(data.name.partition(":")[2], data.split, data.path, data.channels, data.max_pixels)
    if data.path:
        folder = Folder(data.path, channels=data.channels, max_pixels=data.max_pixels)
        return Windows(folder, *load_size, data.windows) if data.windows else folder
    return Atelier(data.atelier.num_images, load_size, data.atelier.styles, data.split, data.channels)


def _two_folders(data, load_size, a: Folder, b: Folder) -> Sides:
    if data.windows:
        if data.paired == "yes":
            raise UserError("config.data.windows: windows are not paired; set it to 0, or config.data.paired=no")
        a, b = (Windows(folder, *load_size, data.windows) for folder in (a, b))
        return Sides(a, b, paired=False, layout=f"{len(a):,} windows of A and {len(b):,} of B, not paired")
    if data.paired == "no":
        return _two_sides(data, a, b, None)
    names = [[folder.name(i) for i in range(len(folder))] for folder in (a, b)]
    return _two_sides(data, a, b, pairs.match(*names, (str(a.root), str(b.root))))


def _two_sides(data, a: Folder | Part, b: Folder | Part, pairing: pairs.Pairing | None) -> Sides:
    """Return the sides, paired as data.paired says; "auto" pairs them if their files match.

    Raises UserError if it is unclear whether they match.
    """
    shared = len(pairing.shared) if pairing else 0
    alike = pairing and (isinstance(a, Part) or {*map(pairs.stem, pairing.a)} & {*map(pairs.stem, pairing.b)})
    if data.paired == "no" or (data.paired == "auto" and not (alike or pairing.complete)):
        return Sides(a, b, paired=False, layout=f"{len(a):,} files of A and {len(b):,} of B, not paired")
    layout = f"{shared:,} pairs {pairing.how}"
    unmatched_a, unmatched_b = pairing.unmatched()
    if not pairing.complete and (data.paired == "auto" or not shared):
        first = pairs.stem(min([*unmatched_a, *unmatched_b]))
        raise UserError(
            f"are {a.root} and {b.root} pairs? {shared} names are in both, but {first!r} is in one; unmatched in A: "
            f"{len(unmatched_a):,} ({pairs.first_few(unmatched_a)}), in B: {len(unmatched_b):,} "
            f"({pairs.first_few(unmatched_b)}). The files of a pair have equal names without the file ending, equal "
            "numbers (001, 1), or names that differ only in a prefix or suffix that all names of a side share (1_A, "
            "1_B). Set --config.data.paired=no if they are not pairs, or =yes to use only the matched files"
        )
    for side, names in (("A", unmatched_a), ("B", unmatched_b)):
        if names:
            layout += f"; unmatched files of {side} are left out: {len(names):,} ({pairs.first_few(names)})"
    partner = {pairing.b[b.name(j)]: j for j in range(len(b))}
    keys = [pairing.a[a.name(i)] for i in range(len(a))]
    rows = [(i, partner[key]) for i, key in enumerate(keys) if key in partner]
    a, b = frames.align(a, b, rows, data.pairs_fit)
    return Sides(a, b, paired=True, layout=layout, pairing=pairing)


def _paired_rows(a: Table, b: Table, pairing: pairs.Pairing | None) -> tuple[Table, Table]:
    """Return the tables with only the rows that have a partner, in one order."""
    keys = (pairing.a, pairing.b) if pairing else ({}, {})
    rows = [
        {key.get(name, name): i for i, name in enumerate(table.names)} for table, key in zip((a, b), keys, strict=True)
    ]
    names = [name for name in rows[0] if name in rows[1]]
    if not names:
        raise UserError("no readable image of A has a readable partner in B")
    orders = [[row[name] for name in names] for row in rows]
    return tuple(
        table if order == list(range(len(table.names))) else table.take(order)
        for table, order in zip((a, b), orders, strict=True)
    )


def _sizes(folder: Folder) -> dict[str, tuple[int, int]]:
    """Return {name: (height, width)} of the readable images, from their headers. Raises UserError if none is."""
    sizes = {}
    for i in range(len(folder)):
        try:
            sizes[folder.name(i)] = folder.size(i)
        except (images.ImageError, OSError):
            continue  # `read` will raise the reason
    if not sizes:
        raise UserError(f"config.data.path: {folder.root} holds no image")
    return sizes
