"""A latent code as a safetensors file: `values` (1, L, D), perhaps `label`; the metadata "ganjax" is its record."""

import json
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from ganjax.errors import UserError
from ganjax.inference.latents import Codes, Space
from ganjax.system import array_files, atomic
from ganjax.system.names import printable

SUFFIX = ".safetensors"


def write(path: Path, codes: Codes, record: dict) -> None:
    """Write codes with their `provenance.record`, whole or not at all. Raises UserError if that fails."""
    arrays = {"values": codes.values} | ({} if codes.label is None else {"label": codes.label})
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    try:
        with atomic.replacing(path) as temporary:
            safetensors.numpy.save_file(arrays, temporary, {"ganjax": json.dumps(record, sort_keys=True)})
    except (OSError, safetensors.SafetensorError) as error:  # the latter for a full disk, too
        raise UserError(f"{printable(str(path))} cannot be written: {printable(str(error))[:200]}") from error


def read(path: Path, space: Space) -> Codes:
    """Return the code of a file. Raises UserError if it is missing or damaged, or if its code is not of this space.

    A code of another checkpoint of the run can be read: it gives another image.
    """
    arrays, _ = array_files.read_safetensors(path)
    values, label, place = arrays.get("values"), arrays.get("label"), printable(str(path))
    if values is None or values.dtype.kind != "f" or values.ndim != 3 or len(values) != 1:
        raise UserError(f"{place} was not written by `ganjax project`: it holds no code")
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise UserError(f"{place} holds numbers that are not finite")
    if values.shape[1:] != (space.layers, space.size):
        wanted = f"{space.layers} x {space.size}"
        raise UserError(f"{place} has codes of {values.shape[1]} x {values.shape[2]} numbers, and this run {wanted}")
    conditional = space.model.labels is not None
    if conditional != (label is not None) or (conditional and not _fits(label, values, space.model.labels.sizes)):
        raise UserError(f"{place} is not of this run: its labels differ")
    return Codes(values, label)


def record_in(path: Path) -> dict:
    """Return the record of a file that `write` wrote; {} if it has none, or cannot be read."""
    try:
        record = json.loads(array_files.read_safetensors(path)[1]["ganjax"])
    except (UserError, KeyError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _fits(label: np.ndarray, values: np.ndarray, sizes: tuple[int, ...]) -> bool:
    return (
        label.shape == (len(values), len(sizes))
        and label.dtype.kind == "i"
        and bool((label >= -1).all() and (label < np.asarray(sizes)).all())
    )
