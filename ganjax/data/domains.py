"""Two domains, A and B: two folders, pairs of one name, pictures that hold both, a set of TFDS, or the atelier."""

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
    """The sources of A and B. pairing: of files by name; None where pairs are rows of one number. layout: in words."""

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
        """Return the (height, width) by the header. Raises ImageError."""
        return self.folder.size(self.rows[index])


def open_domains(data: ml_collections.ConfigDict) -> Dataset:
    """Return both domains of `config.data`, decoded, as the tables "a" and "b". UserError, as a question, where the
    layout is not clear.
    """
    sides = _sources(data, load_size(data))
    log.info("%s", sides.layout)
    a, b = _load(data, sides.a), _load(data, sides.b)
    if sides.paired:
        a, b = _matched(a, b, sides.pairing)
    return Dataset({"a": a, "b": b}, sides.paired, sides.side_by_side)


def open_whole(data: ml_collections.ConfigDict) -> Dataset:
    """Return the images of data.path, or the atelier's, as the table "b", for a task that makes A of them."""
    source = _whole(data, load_size(data))
    log.info("%s", f"{len(source):,} images, damaged on the fly")
    return Dataset({"b": _load(data, source)}, aligned=True)


def _load(data: ml_collections.ConfigDict, source) -> Table:
    """Return the source's images, decoded, as a table of nothing else."""
    table = cache.load(source, *load_size(data), data.channels, data.fit, data.threads, data.max_damaged)
    return table._replace(columns={"image": table.images}, classes=())


def _sources(data: ml_collections.ConfigDict, load_size: tuple[int, int]) -> Sides:
    """Return both sources, and how they belong together. UserError, as a question, where that is not clear."""
    if bool(data.a) != bool(data.b):
        raise UserError(f"config.data.{'b' if data.a else 'a'} is empty: both domains are needed, data.a and data.b")
    if data.name.startswith("tfds:"):
        return _prepared(data)
    read = functools.partial(Folder, channels=data.channels, max_pixels=data.max_pixels)
    if data.a:
        return _two_folders(data, load_size, read(data.a, key="a"), read(data.b, key="b"))
    if data.path:
        root = Path(data.path).expanduser()
        whole = read(data.path) if not root.is_dir() else None  # an archive is indexed once
        for names in SUBFOLDERS:
            if all(_holds(root, whole, name) for name in names):
                return _two_folders(data, load_size, *(read(str(root / name)) for name in names))
        if data.windows:
            raise UserError("config.data.windows: give both domains, --config.data.a and --config.data.b")
        return _one_folder(data, whole or read(data.path))
    if data.name != "atelier":
        raise UserError(f"config.data.name = {data.name!r} has no two domains: give --config.data.a=DIR and .b=DIR")
    from ganjax.data.atelier import Atelier, Photographs

    settings = data.atelier.num_images, load_size, data.atelier.styles, data.split, data.channels
    paired = data.paired != "no"
    layout = "the atelier's photographs and paintings" + (", in pairs" if paired else "")
    return Sides(Photographs(*settings), Atelier(*settings), paired, layout)


def _holds(root: Path, archive: Folder | None, name: str) -> bool:
    if archive is None:
        return (root / name).is_dir()
    return any(file.startswith(f"{name}/") for file in archive.files)


def _one_folder(data, folder: Folder) -> Sides:
    """Return the sides of a folder of pictures that hold both, or of files of which each name says its side."""
    names = [folder.name(i) for i in range(len(folder))]
    pairing = None if data.split_at else pairs.sides_of(names)
    if pairing:
        place = {name: i for i, name in enumerate(names)}
        a, b = (Part(folder, [place[name] for name in side]) for side in (pairing.a, pairing.b))
        return _two_sides(data, a, b, pairing)
    sizes = _sizes(folder)
    odd = [f"{name} ({w}x{h})" for name, (h, w) in sizes.items() if w != 2 * h]
    if data.paired == "no" or (odd and not data.split_at):
        raise UserError(
            f"config.data.path: how does {data.path} hold two domains? Give --config.data.a=DIR and "
            "--config.data.b=DIR; or sub-folders trainA and trainB; or pairs side by side, all twice as wide as high "
            f"({len(sizes) - len(odd)} of {len(sizes)} are), or else with --config.data.split_at=0.5 or where B "
            f"begins; or names that end in _A and _B. Not twice as wide: {', '.join(odd[:5]) or 'none'}"
        )
    a, b = (Half(folder, half, data.split_at) for half in (0, 1))
    if data.split_at not in MIDDLE:
        a, b = frames.aligned(a, b, [(i, i) for i in range(len(folder))], data.pairs_fit)
    layout = f"{len(folder):,} pairs side by side, A on the left"
    uneven = sum(w % 2 for _, w in sizes.values()) if data.split_at == 0.5 else 0
    layout += f"; of an odd width, so that the last column is dropped: {uneven}" if uneven else ""
    return Sides(a, b, True, layout, side_by_side=aspect([*sizes.values()]))


def _prepared(data: ml_collections.ConfigDict) -> Sides:
    """`_sources` of a set that TFDS has prepared; data.a and data.b may name image features or splits of it."""
    from ganjax.data.prepared import Prepared, catalogue

    name = data.name.partition(":")[2]
    splits, pictures = catalogue(name, data.path)

    def read(split: str, key: str = "") -> Prepared:
        return Prepared(name, split, data.path, data.channels, data.max_pixels, key)

    keys = [key for key in pictures if key != "image"] + ["image"]
    wanted = [data.a, data.b] if data.a else keys if sorted(pictures) == sorted(keys) and len(keys) == 2 else []
    if wanted and set(wanted) <= set(pictures):
        a, b = (read(data.split, key) for key in wanted)
        return Sides(a, b, data.paired != "no", f"{data.name}, {len(a):,} pairs: A is {wanted[0]!r}, B {wanted[1]!r}")
    for side, value in (("a", data.a), ("b", data.b)):
        if value and not all(part.partition("[")[0].strip() in splits for part in value.split("+")):
            raise UserError(
                f"config.data.{side} = {value!r} is no image feature of {data.name} ({', '.join(pictures)}) and no "
                f"split ({', '.join(splits)}); both sides must be of one kind"
            )
    split, bracket, part = data.split.partition("[")
    if data.a or {f"{split}A", f"{split}B"} <= set(splits):
        wanted = wanted or [f"{split}{side}{bracket}{part}" for side in "AB"]
        if data.paired == "yes":
            raise UserError(f"config.data.paired: the splits {' and '.join(wanted)} of {data.name} are no pairs")
        a, b = map(read, wanted)
        layout = f"{data.name}, {len(a):,} images of {wanted[0]} and {len(b):,} of {wanted[1]}, not paired"
        return Sides(a, b, False, layout)
    both = read(data.split)
    shapes = [both.read(i)[0].size for i in range(min(len(both), 16))]
    if not (data.split_at or all(width == 2 * height for width, height in shapes)):
        raise UserError(
            f"how does {data.name} hold two domains? Give --config.data.a and --config.data.b, each an image feature "
            f"({', '.join(pictures)}) or a split ({', '.join(splits)})"
        )
    a, b = (Half(both, half, data.split_at) for half in (0, 1))
    layout = f"{len(both):,} pairs side by side, A on the left"
    return Sides(a, b, data.paired != "no", layout, side_by_side=aspect([shape[::-1] for shape in shapes]))


def _whole(data: ml_collections.ConfigDict, load_size: tuple[int, int]):
    """Return the source of whole images."""
    from ganjax.data.atelier import Atelier

    if data.name.startswith("tfds:"):
        from ganjax.data.prepared import Prepared

        one = Prepared(data.name.partition(":")[2], data.split, data.path, data.channels, data.max_pixels)
    elif data.path:
        one = Folder(data.path, channels=data.channels, max_pixels=data.max_pixels)
        one = Windows(one, *load_size, data.windows) if data.windows else one
    else:
        one = Atelier(data.atelier.num_images, load_size, data.atelier.styles, data.split, data.channels)
    return one


def _two_folders(data, load_size, a: Folder, b: Folder) -> Sides:
    if data.windows:
        if data.paired == "yes":
            raise UserError("config.data.windows: windows are no pairs; set it to 0, or config.data.paired=no")
        a, b = (Windows(folder, *load_size, data.windows) for folder in (a, b))
        return Sides(a, b, False, f"{len(a):,} windows of A and {len(b):,} of B, not paired")
    if data.paired == "no":
        return _two_sides(data, a, b, None)
    names = [[folder.name(i) for i in range(len(folder))] for folder in (a, b)]
    return _two_sides(data, a, b, pairs.match(*names, (str(a.root), str(b.root))))


def _two_sides(data, a: Folder | Part, b: Folder | Part, pairing: pairs.Pairing | None) -> Sides:
    """Return the sides, paired as data.paired says, for "auto" if the files meet.

    Raises UserError if that is not clear.
    """
    shared = len(pairing.shared) if pairing else 0
    alike = pairing and (isinstance(a, Part) or {*map(pairs.stem, pairing.a)} & {*map(pairs.stem, pairing.b)})
    if data.paired == "no" or (data.paired == "auto" and not (alike or pairing.complete)):
        return Sides(a, b, False, f"{len(a):,} files of A and {len(b):,} of B, not paired")
    layout = f"{shared:,} pairs {pairing.how}"
    if not pairing.complete and (data.paired == "auto" or not shared):
        alone = pairing.alone()
        first = pairs.stem(sorted([*alone[0], *alone[1]])[0])
        raise UserError(
            f"are {a.root} and {b.root} pairs? {shared} names are in both, and {first!r} in one alone; of A "
            f"{len(alone[0]):,} ({pairs.listed(alone[0])}), of B {len(alone[1]):,} ({pairs.listed(alone[1])}). Pairs "
            "are files of one name but for the ending, of one number (001, 1), or of one name but for what a side's "
            "all begin or end with (1_A, 1_B). Set --config.data.paired=no if they are none, or yes to take those that "
            "are"
        )
    for side, names in zip("AB", pairing.alone(), strict=True):
        if names:
            layout += f"; left out of {side}, without a partner: {len(names):,} ({pairs.listed(names)})"
    partner = {key: j for j in range(len(b)) if (key := pairing.b[b.name(j)]) in pairing.shared}
    rows = [(i, partner[key]) for i in range(len(a)) if (key := pairing.a[a.name(i)]) in partner]
    return Sides(*frames.aligned(a, b, rows, data.pairs_fit), True, layout, pairing)


def _matched(a: Table, b: Table, pairing: pairs.Pairing | None) -> tuple[Table, Table]:
    """Return the rows of both that have a partner, in one order."""
    keys = (pairing.a, pairing.b) if pairing else ({}, {})
    rows = [
        {key.get(name, name): i for i, name in enumerate(table.names)} for table, key in zip((a, b), keys, strict=True)
    ]
    names = [name for name in rows[0] if name in rows[1]]
    if not names:
        raise UserError("no image of A has a partner in B that can be read")
    orders = [[row[name] for name in names] for row in rows]
    return tuple(
        table if order == list(range(len(table.names))) else table.take(order)
        for table, order in zip((a, b), orders, strict=True)
    )


def _sizes(folder: Folder) -> dict[str, tuple[int, int]]:
    """Return {name: (height, width)} of what can be read, by the headers. Raises UserError if nothing can."""
    sizes = {}
    for i in range(len(folder)):
        try:
            sizes[folder.name(i)] = folder.size(i)
        except (images.ImageError, OSError):
            continue  # reading will say why
    if not sizes:
        raise UserError(f"config.data.path: {folder.root} holds no image")
    return sizes
