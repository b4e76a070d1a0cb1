"""What a checkpoint says of itself: JSON with a checksum of its own, and scores that rank only among their like."""

import json
import math
import zlib
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ganjax.errors import UserError

FORMAT = 3  # of checkpoints; 3: networks by name
UNREADABLE = (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError)  # what foreign JSON may raise


def seal(meta: dict) -> dict:
    """Return the meta as JSON gives it back, with "checksum", the crc32 of its canonical JSON."""
    plain = json.loads(json.dumps(meta))
    return {**plain, "checksum": _checksum(plain)}


def read(folder: Path) -> dict:
    """Return the meta of the checkpoint in `folder`, which bears the name of its step.

    Raises OSError if there is none; ValueError for one that is damaged, or that lies in a folder of another name.
    Raises UserError if it is whole and of another format.
    """
    try:
        meta = json.loads((folder / "meta" / "metadata").read_text())
        if not isinstance(meta, dict):
            raise ValueError("its meta is no JSON object")
        checksum = meta.pop("checksum", None)
        matches = checksum == _checksum(meta)
    except RecursionError:
        raise ValueError("its meta is nested too deep") from None
    if isinstance(saved := meta.get("format"), int) and saved != FORMAT and (matches or checksum is None):
        raise UserError(
            f"{folder} has checkpoint format {saved}, and this version of ganjax reads {FORMAT}: use the version that "
            "wrote it, or start a new workdir"
        )
    if not matches:
        raise ValueError("its meta does not match its checksum")
    if not all(type(meta.get(key)) is int for key in ("step", "images")):
        raise ValueError("its meta does not say of which step and how many images it is")
    if not _resumable(meta.get("attempt", 0), meta.get("interval", {"sums": {}, "count": 0})):
        raise ValueError("its meta does not say what was summed since the last log")
    if str(meta["step"]) != folder.name:
        raise ValueError(f"its folder is named {folder.name} and it holds step {meta['step']}: rename it back")
    return meta


def _resumable(attempt: Any, interval: Any) -> bool:
    """Return whether a run can count and sum on from these."""
    if not isinstance(interval, dict) or not isinstance(sums := interval.get("sums"), dict):
        return False
    counts = all(type(number) is int and 0 <= number < 2**31 for number in (attempt, interval.get("count")))
    return counts and all(type(total) in (int, float) for total in sums.values())


def _checksum(meta: dict) -> int:
    return zlib.crc32(json.dumps(meta, sort_keys=True, separators=(",", ":")).encode())


def score(request: str, value: float, protocol: dict | None = None) -> dict:
    """Return the score of a checkpoint for `keep_best` = "min:name" or "max:name".

    protocol: what two values of that name must share to be compared, such as the number of samples and the seed.
    """
    mode, _, name = request.partition(":")
    return {"name": name, "mode": mode, "protocol": protocol or {}, "value": float(value)}


def score_in(folder: Path) -> dict | None:
    """Return the score of the checkpoint in `folder`; None where it has none that can be read."""
    try:
        own = read(folder)["score"]
        if own is None:
            return None
        return score(f"{own['mode']}:{own['name']}", own["value"], dict(own["protocol"]))
    except UNREADABLE:
        return None


def bests(scores: dict[int, dict | None]) -> dict[str, int]:
    """Return {what is compared: the step of its best score}, in the order of each one's newest score.

    Values that are not finite are the worst; of equal ones the newest is the best.
    """
    groups: dict[str, dict[int, float]] = {}
    for step in sorted(scores):
        if (own := scores[step]) is None:
            continue
        kind = json.dumps([own["name"], own["mode"], own["protocol"]], sort_keys=True)
        value = own["value"] if own["mode"] == "min" else -own["value"]
        groups[kind] = {**groups.pop(kind, {}), step: value if math.isfinite(value) else math.inf}
    return {kind: min(values, key=lambda step: (values[step], -step)) for kind, values in groups.items()}


def digest(tree: Any) -> dict[str, int]:
    """Return {leaf path: crc32 of its bytes} of a tree of replicated or host arrays."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): zlib.crc32(np.ascontiguousarray(leaf)) for path, leaf in leaves}


def verify(tree: Any, expected: dict[str, int]) -> None:
    """Raises ValueError, which names the leaf, unless the tree has the `digest` that is expected."""
    own = digest(jax.device_get(tree))
    wrong = [name for name in expected if own.get(name) != expected[name]]
    if wrong:
        raise ValueError(f"the bytes of {wrong[0]} do not match their checksum")


def shapes(tree: Any) -> dict[str, list]:
    """Return {"generator.params.head.kernel": [shape, dtype], ...} of a tree of arrays, or of what has their shapes."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {_dotted(path): [list(leaf.shape), str(leaf.dtype)] for path, leaf in leaves}


def _dotted(path: tuple) -> str:
    """Return one name for a leaf, whether its parents are attributes, keys or places in a tuple."""
    return ".".join(str(getattr(key, "name", getattr(key, "key", getattr(key, "idx", key)))) for key in path)


def misfit(saved: dict[str, list], expected: dict[str, list]) -> str:
    """Return in words the first leaf that differs between two `shapes`, or ""."""
    for name in [*expected, *saved]:
        there, here = (side.get(name) for side in (saved, expected))
        if there != here:
            return f"{name} is {_words(there)} in the checkpoint, and {_words(here)} by the config"
    return ""


def _words(leaf: list | None) -> str:
    return "missing" if leaf is None else f"{leaf[1]}{tuple(leaf[0])}"
