"""A run's folder: its config, compared with that of its checkpoints, and where it and its images may lie."""

import json
import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from ml_collections import ConfigDict

from ganjax.config import derived, groups
from ganjax.config import file as config_file
from ganjax.config.check import check
from ganjax.config.key import check_types, flat
from ganjax.data.table import Dataset
from ganjax.errors import UserError, nearest
from ganjax.system.names import check_utf8, expanded, printable

PARTS = ("samples", "checkpoints", "damaged", "tensorboard")  # of a workdir
PLACES = ("path", "a", "b")  # keys of config.data that may name folders


def read_config(workdir: str | Path) -> ConfigDict:
    """Return the config of the run in `workdir`, locked; keys that are missing, as from an older run, have defaults.

    Raises UserError, in one sentence, if there is no config, or if a key or value is invalid.
    """
    path = expanded(workdir, "--workdir") / "config.json"
    check_utf8(path.parent)
    saved = config_file.read(path)
    try:
        check_types(saved, groups.settings(saved))
        return check(groups.whole(saved).lock())
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: {' '.join(str(error).split())[:300]}; restore it, or start a new workdir") from error


def agree(config: ConfigDict, meta: dict | None, workdir: str | Path) -> None:
    """Raise UserError, which names the first key, if a workdir's config differs from that of its checkpoint.

    meta: of the checkpoint; nothing is compared if it is None, or an older one without the config. Keys that may change
    during a run may differ.
    """
    saved = (meta or {}).get("config")
    if not isinstance(saved, dict):
        return
    path, current = Path(workdir) / "config.json", json.loads(json.dumps(derived.flatten(config)))
    declared, defaults = groups.keys_of(config), flat(groups.settings(config))
    for key in sorted(current.keys() - saved.keys() - defaults.keys()):
        raise UserError(f"{path}: there is no key {printable(key)!r}{nearest(key, saved)}")
    for key in sorted(saved.keys() - current.keys() - defaults.keys()):
        raise UserError(f"{path}: {key!r} is missing; the checkpoint was saved with {saved[key]!r}: put it back")
    for key in sorted(saved.keys() & current.keys()):
        if saved[key] != current[key] and not config_file.may_change(key, declared):
            raise UserError(
                f"{path} says config.{key} = {printable(repr(current[key]))}, and its checkpoint was saved with "
                f"{saved[key]!r}: set it back in that file"
            )


def class_changes(before: Iterable[str], now: Iterable[str]) -> str:
    """Return a description of how class names differ, or ""; Unicode normal forms of one name count as equal."""
    before, now = ([unicodedata.normalize("NFC", str(name)) for name in names] for names in (before, now))
    if before == now:
        return ""
    pairs = zip(before, now, strict=True) if len(before) == len(now) else ()
    renames = [f"{old!r} is now {new!r}" for old, new in pairs if old != new]
    if len(renames) == 1:
        return printable(renames[0])
    missing, new = [name for name in before if name not in now], [name for name in now if name not in before]
    parts = [f"{label} {', '.join(map(repr, names[:3]))}{', ...' if len(names) > 3 else ''}"
             for label, names in (("missing:", missing), ("new:", new)) if names]  # fmt: skip
    return printable("; ".join(parts) or "their order differs")


def check_data(data: ConfigDict, dataset: Dataset, meta: dict) -> None:
    """Raise UserError if the images, or the names of their classes, differ from those in the checkpoint's meta."""
    changes = ""
    if data.labels:
        changes = class_changes(meta.get("classes", dataset.target.classes), dataset.target.classes)
    if meta["data"] != dataset.content:
        details = f"; classes: {changes}" if changes else ""
        raise UserError(
            f"the images are not those that this run began with (their contents differ{details}): restore them, or "
            "start anew in another --workdir"
        )
    if changes:
        raise UserError(
            f"the class folders of {data.path} are not named as when this run began: {changes}. The labels of the run "
            "would be renamed: restore the folders' names, or go on in another --workdir as a branch of this one, "
            "--config.branch.workdir=DIR"
        )


# Places.


def roots(data: ConfigDict) -> dict[str, Path]:
    """Return {"config.data.KEY": absolute path} of the folders and files below which all images of a dataset lie."""
    if data.name.startswith("tfds:") or data.name in ("mnist", "stacked_mnist"):
        return {}
    return {f"config.data.{key}": Path(os.path.abspath(expanded(data[key]))) for key in PLACES if data[key]}


def moved(data: ConfigDict, places: dict[str, str]) -> ConfigDict:
    """Return `config.data` with the present folders of its images, places: {"path" | "a" | "b": folder}.

    Raises UserError for a key that the run's data does not have.
    """
    data = data.copy_and_resolve_references()
    keys = [key for key in PLACES if data[key]]
    for key in places:
        flag = "--data" if key == "path" else f"--data_{key}"
        if keys and key not in keys:
            flags = " and ".join("--data" if name == "path" else f"--data_{name}" for name in keys)
            raise UserError(f"{flag}: this run has no config.data.{key}; give {flags}")
        if data.name == "atelier" and not keys:
            raise UserError(f"{flag}: this run's images are the atelier's, which has no folder; leave out {flag}")
    data.update({key: os.path.abspath(place) for key, place in places.items()})
    return data


def make_absolute(data: ConfigDict) -> None:
    """Make the paths in `config.data` absolute, so that they mean the same in every working directory."""
    keys = ("path",) if data.name.startswith("tfds:") else PLACES  # for TFDS, a and b name features or splits
    for key in keys:
        if data[key]:
            data[key] = os.path.abspath(expanded(data[key], f"--config.data.{key}"))


def check_apart(place: str | Path, folders: dict[str, Path], flag: str) -> None:
    """Raise UserError if images written to `place` would lie among a folder's images; or, if `place` is a workdir, if
    the folder lies where the run writes.

    folders: {name for the message: path}. Links are followed, also those within the folders.
    """
    real = Path(os.path.realpath(place))
    for name, folder in folders.items():
        for inner in _folders_below(folder):
            if real.is_relative_to(inner):
                raise UserError(
                    f"{flag}={place} lies in {folder} ({name}): files written there would be taken for images of it; "
                    "choose another place"
                )
        inner = Path(os.path.realpath(folder))
        output = next((real / part for part in PARTS if inner.is_relative_to(real / part)), None)
        if output and flag == "--workdir":
            raise UserError(
                f"{folder} ({name}) lies in {output}, which the run itself writes to; choose another --workdir"
            )


def _folders_below(root: Path) -> Iterable[Path]:
    """Yield the real path of a folder, and those of the folders to which links below it lead."""
    top = os.path.realpath(root)
    if not os.path.isdir(top):
        return
    yield Path(top)
    visited, todo = {top}, [top]
    while todo:
        for folder, children, _ in os.walk(todo.pop()):
            for child in children:
                path = os.path.join(folder, child)
                if not os.path.islink(path):
                    continue
                real = os.path.realpath(path)
                if real not in visited and os.path.isdir(real):
                    visited.add(real)
                    todo.append(real)
                    yield Path(real)
