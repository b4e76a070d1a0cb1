"""A run's folder: its config, checked against its checkpoints, and the places where it may lie."""

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
    """Return the config of the run that `workdir` holds, locked; keys that it did not know yet are at their defaults.

    Raises UserError, in one sentence, if there is none, and for one whose keys or values cannot be right.
    """
    path = expanded(workdir, "--workdir") / "config.json"
    check_utf8(path.parent)
    saved = config_file.read(path)
    try:
        check_types(saved, groups.settings(saved))
        whole = groups.completed(saved)
        return check(whole.lock())
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: {' '.join(str(error).split())[:300]}; restore it, or start a new workdir") from error


def agree(config: ConfigDict, meta: dict | None, workdir: str | Path) -> None:
    """Raises UserError, which names the first key, if the config that a workdir holds is not the one of its checkpoint.

    meta: of the checkpoint; None, or one from before it held the config, says nothing. What may change in a run may.
    """
    saved = (meta or {}).get("config")
    if not isinstance(saved, dict):
        return
    path, now = Path(workdir) / "config.json", json.loads(json.dumps(derived.flatten(config)))
    declared, defaults = groups.keys_of(config), flat(groups.settings(config))
    for key in sorted(now.keys() - saved.keys() - defaults.keys()):
        raise UserError(f"{path}: there is no key {printable(key)!r}{nearest(key, saved)}")
    for key in sorted(saved.keys() - now.keys() - defaults.keys()):
        raise UserError(f"{path}: {key!r} is missing; the checkpoint was saved with {saved[key]!r}: put it back")
    for key in sorted(saved.keys() & now.keys()):
        if saved[key] != now[key] and not config_file.may_change(key, declared):
            raise UserError(
                f"{path} says config.{key} = {printable(repr(now[key]))}, and its checkpoint was saved with "
                f"{saved[key]!r}: set it back in that file"
            )


def renamed(before: Iterable[str], now: Iterable[str]) -> str:
    """Return in words how class names differ, or ""; one name in two normal forms of Unicode is one."""
    before, now = ([unicodedata.normalize("NFC", str(name)) for name in names] for names in (before, now))
    if before == now:
        return ""
    pairs = zip(before, now, strict=True) if len(before) == len(now) else ()
    changed = [f"{old!r} is now {new!r}" for old, new in pairs if old != new]
    lost, new = ([name for name in one if name not in other] for one, other in ((before, now), (now, before)))
    words = [f"{what} {', '.join(map(repr, names[:3]))}{', ...' if len(names) > 3 else ''}"
             for what, names in (("missing:", lost), ("new:", new)) if names]  # fmt: skip
    return printable(changed[0] if len(changed) == 1 else "; ".join(words) or "their order differs")


def check_data(data: ConfigDict, dataset: Dataset, meta: dict) -> None:
    """Raises UserError if the images, or the names of their classes, are not those of a checkpoint's run."""
    names = renamed(meta.get("classes", dataset.target.classes), dataset.target.classes) if data.labels else ""
    if meta["data"] != dataset.content:
        raise UserError(
            f"the images are not those that this run began with (their contents differ{names and '; classes: '}{names})"
            ": bring them back, or start anew in another --workdir"
        )
    if names:
        raise UserError(
            f"the class folders of {data.path} are not named as when this run began: {names}. The labels of the run "
            "would be renamed: name the folders as they were, or go on in another --workdir as a branch of this one, "
            "--config.branch.workdir=DIR"
        )


# Places.


def roots(data: ConfigDict) -> dict[str, Path]:
    """Return {"config.data.KEY": the absolute folder or file} of a data set whose images are all that lie below."""
    if data.name.startswith("tfds:") or data.name in ("mnist", "stacked_mnist"):
        return {}
    return {f"config.data.{key}": Path(os.path.abspath(expanded(data[key]))) for key in PLACES if data[key]}


def moved(data: ConfigDict, places: dict[str, str]) -> ConfigDict:
    """Return `config.data` with the folders, {"path" | "a" | "b": place}, at which its images lie now.

    Raises UserError for a key that the run's data does not have.
    """
    data = data.copy_and_resolve_references()
    own = [key for key in PLACES if data[key]]
    for key in places:
        flag = "--data" if key == "path" else f"--data_{key}"
        if own and key not in own:
            flags = " and ".join("--data" if name == "path" else f"--data_{name}" for name in own)
            raise UserError(f"{flag}: this run has no config.data.{key}; give {flags}")
        if data.name == "atelier" and not own:
            raise UserError(f"{flag}: this run's images are the atelier's, which has no folder")
    data.update({key: os.path.abspath(place) for key, place in places.items()})
    return data


def make_absolute(data: ConfigDict) -> None:
    """Make the places in `config.data` absolute, so that they mean the same from every folder."""
    for key in PLACES if not data.name.startswith("tfds:") else ("path",):  # a and b name features or splits there
        if data[key]:
            data[key] = os.path.abspath(expanded(data[key], f"--config.data.{key}"))


def check_apart(place: str | Path, folders: dict[str, Path], flag: str) -> None:
    """Raises UserError if images written to `place` would lie among those of a folder; or, for a workdir, where the
    folder is one that the run writes to.

    folders: {their name in the message: path}. Links are followed, those within the folders too.
    """
    real = Path(os.path.realpath(place))
    for name, folder in folders.items():
        for inner in _folders_below(folder):
            if real.is_relative_to(inner):
                raise UserError(
                    f"{flag}={place} lies in {folder} ({name}): what is written there would be taken for images of it; "
                    "choose another place"
                )
        inner = Path(os.path.realpath(folder))
        written = next((real / part for part in PARTS if inner.is_relative_to(real / part)), None)
        if written and flag == "--workdir":
            raise UserError(
                f"{folder} ({name}) lies in {written}, which the run itself writes to; choose another place"
            )


def _folders_below(root: Path) -> Iterable[Path]:
    """Yield the real path of a folder, and of those outside it that links below it lead to."""
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
