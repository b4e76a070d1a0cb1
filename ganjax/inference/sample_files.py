"""Write the images of `launch.py sample`; files of another run, step, seed or label are not overwritten unasked."""

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

# Fields of a record that identify an image's origin:
ORIGIN = ("run", "step", "ema", "seed", "label", "size", "weights", "truncation", "move")
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
    size: tuple[int, int] | None = None,
    edits: dict | None = None,
) -> list[Path]:
    """Draw `num` images into the folder `out` as <seed>-00000.png, ..., or with `as_grid` all in grid.png; return the
    paths. A single picture may also be written to the file `out`, in the format of its ending. Each file contains its
    `provenance.record`.

    label, size: as for `Model.sample`; "all" draws `num` images of each class, each class into its own folder. edits:
    {"truncation", "move"} of the model's codes, for the record. Raises UserError before any work if an image of another
    run, step, seed, label or unknown origin would be overwritten, unless `overwrite`, or if a file cannot be written.
    """
    out, labels, requests, folders = names.expanded(out, "--out"), [label], [label], [""]
    if label == "all":
        if model.labels is None:
            raise UserError("--label=all: this run is not conditional")
        labels, folders = list(model.labels.classes), names.safe_names(model.labels.classes)
        requests = list(model.labels.table)  # rows and not names, since two classes of a foreign workdir may share one
    picture = _picture(out, single=as_grid or num * len(labels) == 1)
    fields = {**provenance.of_model(model, workdir), "seed": seed, "size": f"{size[0]}x{size[1]}" if size else None}
    fields |= edits or {}
    records = [provenance.record(**fields, label=name or None, method="sample") for name in labels]
    if as_grid:
        records, path = [provenance.record(**fields, label=label or None, method="grid")], picture or out / "grid.png"
        _check(path, [path], records[0], overwrite)
    else:
        for folder, record in zip(folders, records, strict=True):
            existing = [picture] if picture else _files_of_seed(out / folder, seed)
            _check(picture or _path(out / folder, seed, 0), existing, record, overwrite)
    title = f"{fields['run']}, {model.meta['images']:,} images seen"
    all_paths, rows = [], []
    for i, name in enumerate(labels):
        if as_grid:
            images = model.sample(num, seed, progress=True, label=requests[i], size=size)
            rows.append((f"{names.printable(name)[:200] or title}, seed {seed}", images))
            continue
        paths, count = [picture] if picture else [_path(out / folders[i], seed, row) for row in range(num)], 0
        for images in model.chunks(num, seed, progress=True, label=requests[i], size=size):
            grid.save_each(images, paths[count : count + len(images)], records[i])
            count += len(images)
        if not picture:
            _warn_of_others(set(_files_of_seed(out / folders[i], seed)) - set(paths), records[i])
        all_paths += paths
    return all_paths or [grid.save_sheet(rows, grid.columns(num), path, records[0])]


def _picture(out: Path, single: bool) -> Path | None:
    """Return `out` if it is the file name of the `single` picture, None if it is a folder.

    Raises UserError if `out` is a file without an image's ending, is below a file, or has an image's ending although
    there are several pictures or the format cannot be written.
    """
    place = names.printable(str(out))
    if os.path.isdir(out):
        return None
    is_picture = single and bool(writer.format_of(out.name))
    folder = out.parent if is_picture else out
    nearest = next((path for path in (folder, *folder.parents) if os.path.lexists(path)), Path())
    if not os.path.isdir(nearest):
        raise UserError(f"--out={place}: {names.printable(str(nearest))} is a file; give a folder")
    if not is_picture and formats.promises(out.name):
        way = "end in .png, .jpg, .webp, ..." if single else "set --grid or --num=1 for one picture"
        raise UserError(f"--out={place} is the name of a picture: give a folder, or {way}")
    return out if is_picture else None


def _path(folder: Path, seed: int, row: int) -> Path:
    return folder / f"{seed}-{row:05d}.png"


def _files_of_seed(folder: Path, seed: int) -> list[Path]:
    files = folder.glob(f"{seed}-*.png") if os.path.isdir(folder) else ()
    return sorted(file for file in files if re.fullmatch(r"\d+-\d{5,}\.png", file.name))


def _check(first: Path, existing: list[Path], record: dict, overwrite: bool) -> None:
    atomic.check_writable(first, "--out")
    if overwrite:
        return
    for path in existing:
        old = metadata.record_in(path)
        if path.exists() and not _same_origin(old, record):
            place = names.printable(str(path))
            raise UserError(f"{place} exists already, {_origin(old)}: set --overwrite or choose another --out")


def _warn_of_others(paths: set[Path], record: dict) -> None:
    others = sorted(path for path in paths if not _same_origin(metadata.record_in(path), record))
    if others:
        log.warning("%d images of another origin are beside the new ones, the first is %s", len(others), others[0])


def _same_origin(old: dict | None, record: dict) -> bool:
    return old is not None and all(old.get(name) == record.get(name) for name in ORIGIN)


def _origin(old: dict | None) -> str:
    if not old or "run" not in old:
        return "of unknown origin"
    label = f", label {names.printable(str(old['label']))}" if "label" in old else ""
    return f"of run {names.printable(str(old['run']))}, step {old.get('step')}, seed {old.get('seed')}{label}"
