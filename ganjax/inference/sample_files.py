"""`launch.py sample`: the images of a trained run, as files that never mix with those of another."""

import logging
import os
import re
from pathlib import Path

from ganjax.data import formats, metadata, writer
from ganjax.errors import UserError
from ganjax.inference import provenance
from ganjax.inference.model import Model
from ganjax.report import grid
from ganjax.system import atomic, names

SAME = ("run", "step", "seed", "label", "weights")
log = logging.getLogger(__name__)


def write(
    model: Model,
    workdir: str | Path,
    out: str | Path,
    num: int,
    seed: int = 0,
    label: str = "",
    as_grid: bool = False,
    overwrite: bool = False,
) -> list[Path]:
    """Draw `num` images into the folder `out` as <seed>-00000.png, ..., or with `as_grid` all in grid.png; return the
    paths. Where it is one picture, `out` may be its file, in the format that its ending says. Each holds its
    `provenance.record`.

    label: as `Model.sample` takes it; "all" draws `num` of each class, each into a folder of its own. UserError, before
    any work, where an image of another run, step, label or origin is in the way, unless `overwrite`; and where a file
    cannot be written.
    """
    out, labels, requests, folders = names.expanded(out, "--out"), [label], [label], [""]
    if label == "all":
        if model.labels is None:
            raise UserError("--label=all: this run is not conditional")
        labels, folders = list(model.labels.classes), names.safe_names(model.labels.classes)
        requests = list(model.labels.table)  # by rows: names of a foreign workdir may be equal
    picture = _picture(out, single=as_grid or num * len(labels) == 1)
    which = {**provenance.of_model(model, workdir), "seed": seed}
    records = [provenance.record(**which, label=one or None, method="sample") for one in labels]
    if as_grid:
        records, path = [provenance.record(**which, label=label or None, method="grid")], picture or out / "grid.png"
        _check(path, [path], records[0], overwrite)
    else:
        for folder, one in zip(folders, records, strict=True):
            there = [picture] if picture else _of_seed(out / folder, seed)
            _check(picture or _path(out / folder, seed, 0), there, one, overwrite)
    title = f"{which['run']}, {model.meta['images']:,} images seen"
    written, rows = [], []
    for i, one in enumerate(labels):
        if as_grid:
            images = model.sample(num, seed, progress=True, label=requests[i])
            rows.append((f"{names.printable(one)[:200] or title}, seed {seed}", images))
            continue
        paths, done = [picture] if picture else [_path(out / folders[i], seed, row) for row in range(num)], 0
        for images in model.chunks(num, seed, progress=True, label=requests[i]):
            grid.save_each(images, paths[done : done + len(images)], records[i])
            done += len(images)
        if not picture:
            _tell_others(set(_of_seed(out / folders[i], seed)) - set(paths), records[i])
        written += paths
    return written or [grid.save_sheet(rows, grid.columns(num), path, records[0])]


def _picture(out: Path, single: bool) -> Path | None:
    """Return `out` where it is the file of a single picture; None where it is a folder. Raises UserError if it is
    neither: a file, a place below one, or a picture's name for what is several or has a format that is only read.
    """
    place = names.printable(str(out))
    if os.path.isdir(out):
        return None
    picture = single and bool(writer.format_of(out.name))
    folder = out.parent if picture else out
    nearest = next((path for path in (folder, *folder.parents) if os.path.lexists(path)), Path())
    if not os.path.isdir(nearest):
        raise UserError(f"--out={place}: {names.printable(str(nearest))} is a file; give a folder")
    if not picture and formats.promises(out.name):
        way = "end in .png, .jpg, .webp, ..." if single else "set --grid or --num=1 for one picture"
        raise UserError(f"--out={place} is the name of a picture: give a folder, or {way}")
    return out if picture else None


def _path(folder: Path, seed: int, row: int) -> Path:
    return folder / f"{seed}-{row:05d}.png"


def _of_seed(folder: Path, seed: int) -> list[Path]:
    files = folder.glob(f"{seed}-*.png") if os.path.isdir(folder) else ()
    return sorted(file for file in files if re.fullmatch(r"\d+-\d{5,}\.png", file.name))


def _check(first: Path, there: list[Path], record: dict, overwrite: bool) -> None:
    atomic.check_writable(first, "--out")
    for path in there if not overwrite else ():
        old = metadata.record_in(path)
        if path.exists() and not _same(old, record):
            place = names.printable(str(path))
            raise UserError(f"{place} is there already, {_origin(old)}: --overwrite, or another --out")


def _tell_others(paths: set[Path], record: dict) -> None:
    others = sorted(path for path in paths if not _same(metadata.record_in(path), record))
    if others:
        log.warning("%d images of another origin stay beside the new ones, from %s on", len(others), others[0])


def _same(old: dict | None, record: dict) -> bool:
    return old is not None and all(old.get(name) == record.get(name) for name in SAME)


def _origin(old: dict | None) -> str:
    if not old or "run" not in old:
        return "and does not say what drew it"
    label = f", label {names.printable(str(old['label']))}" if "label" in old else ""
    return f"of run {names.printable(str(old['run']))}, step {old.get('step')}, seed {old.get('seed')}{label}"
