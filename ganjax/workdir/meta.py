"""A checkpoint's meta: JSON with its own checksum, and a score, which is compared only with scores of its kind."""

import json
import math
import zlib
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ganjax.errors import UserError

FORMAT = 3  # of checkpoints; 3 stores networks by name
# Errors that reading foreign JSON may raise.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError)


def seal(meta: dict) -> dict:
    """Return the meta, converted as by saving and loading JSON, with "checksum", the crc32 of its canonical JSON."""
    plain = json.loads(json.dumps(meta))
    return {**plain, "checksum": _checksum(plain)}


def read(folder: Path) -> dict:
    """Return the meta of the checkpoint in `folder`, whose name is the step.

    Raises OSError if there is no meta; ValueError if it is damaged, or of another step than the folder's name; and
    UserError if it is intact but of another format.
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
        raise ValueError("its meta lacks the step or the number of images")
    if not _resumable(meta.get("attempt", 0), meta.get("interval", {"sums": {}, "count": 0})):
        raise ValueError("its meta lacks valid sums since the last log")
    if str(meta["step"]) != folder.name:
        raise ValueError(f"its folder is named {folder.name} and it holds step {meta['step']}: rename it back")
    return meta


def _resumable(attempt: Any, interval: Any) -> bool:
    """Return whether a resumed run can continue from this attempt and these sums."""
    if not isinstance(interval, dict) or not isinstance(sums := interval.get("sums"), dict):
        return False
    counts = all(type(number) is int and 0 <= number < 2**31 for number in (attempt, interval.get("count")))
    return counts and all(type(total) in (int, float) for total in sums.values())


def _checksum(meta: dict) -> int:
    return zlib.crc32(json.dumps(meta, sort_keys=True, separators=(",", ":")).encode())


def score(request: str, value: float, protocol: dict | None = None) -> dict:
    """Return the score of a checkpoint for `keep_best` = `request`, "min:name" or "max:name".

    protocol: what two values must have in common to be compared, such as the number of samples and the seed.
    """
    mode, _, name = request.partition(":")
    return {"name": name, "mode": mode, "protocol": protocol or {}, "value": float(value)}


def score_in(folder: Path) -> dict | None:
    """Return the score of the checkpoint in `folder`; None if it has none, or an unreadable one."""
    try:
        saved = read(folder)["score"]
        if saved is None:
            return None
        return score(f"{saved['mode']}:{saved['name']}", saved["value"], dict(saved["protocol"]))
    except UNREADABLE:
        return None


def best_steps(scores: dict[int, dict | None]) -> dict[str, int]:
    """Return {kind of score: step of the best one}; kinds are ordered by the step of their newest score.

    scores: {step: score}. A kind is a metric, mode and protocol. Values that are not finite are the worst; of equal
    values the newest is the best.
    """
    groups: dict[str, dict[int, float]] = {}
    for step in sorted(scores):
        entry = scores[step]
        if entry is None:
            continue
        kind = json.dumps([entry["name"], entry["mode"], entry["protocol"]], sort_keys=True)
        value = entry["value"] if entry["mode"] == "min" else -entry["value"]
        groups[kind] = {**groups.pop(kind, {}), step: value if math.isfinite(value) else math.inf}
    return {kind: min(values, key=lambda step: (values[step], -step)) for kind, values in groups.items()}


def digest(tree: Any) -> dict[str, int]:
    """Return {leaf path: crc32 of its bytes} of a tree of replicated or host arrays."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): zlib.crc32(np.ascontiguousarray(leaf)) for path, leaf in leaves}


def verify(tree: Any, expected: dict[str, int]) -> None:
    """Raise ValueError, which names the leaf, if the tree's `digest` differs from the expected one."""
    actual = digest(jax.device_get(tree))
    wrong = [name for name in expected if actual.get(name) != expected[name]]
    if wrong:
        raise ValueError(f"the bytes of {wrong[0]} do not match their checksum")


def shapes(tree: Any) -> dict[str, list]:
    """Return {"generator.params.head.kernel": [shape, dtype], ...} of a tree of arrays or ShapeDtypeStructs."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {_dotted(path): [list(leaf.shape), str(leaf.dtype)] for path, leaf in leaves}


def _dotted(path: tuple) -> str:
    """Return a leaf's path with dots, in which attributes, keys and tuple indices look alike."""
    return ".".join(str(getattr(key, "name", getattr(key, "key", getattr(key, "idx", key)))) for key in path)


def misfit(saved: dict[str, list], expected: dict[str, list]) -> str:
    """Return a description of the first leaf that differs between two `shapes`, or ""."""
    for name in [*expected, *saved]:
        in_checkpoint, in_config = saved.get(name), expected.get(name)
        if in_checkpoint != in_config:
            return f"{name} is {_describe(in_checkpoint)} in the checkpoint, and {_describe(in_config)} by the config"
    return ""


def _describe(leaf: list | None) -> str:
    return "missing" if leaf is None else f"{leaf[1]}{tuple(leaf[0])}"
