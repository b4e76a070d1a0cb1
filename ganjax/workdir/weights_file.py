"""The weights of a trained model as one safetensors file, with its config: to share it, and to train on from it.

Arrays have dotted names, "generator.params.conv_1.kernel". The metadata "ganjax" is JSON: the run's config, its step,
and the number of images that it has seen.
"""

import json
from pathlib import Path

import jax
import numpy as np
import safetensors
import safetensors.numpy
from flax.traverse_util import flatten_dict, unflatten_dict

from ganjax.errors import UserError
from ganjax.system import array_files, atomic
from ganjax.system.names import printable

SUFFIX = ".safetensors"
PARTS = 3  # of a name, at least: the network, the collection, the array


def write(path: Path, networks: dict[str, dict], about: dict) -> None:
    """Write {network: variables}, and `about` as JSON, whole or not at all. Raises UserError if that fails."""
    arrays = {name: np.asarray(leaf) for name, leaf in flatten_dict(jax.device_get(networks), sep=".").items()}
    try:
        with atomic.replacing(path) as temporary:
            safetensors.numpy.save_file(arrays, temporary, {"ganjax": json.dumps(about, sort_keys=True)})
    except (OSError, safetensors.SafetensorError) as error:  # the latter for a full disk, too
        raise UserError(f"{printable(str(path))} cannot be written: {printable(str(error))[:200]}") from error


def read(path: Path) -> tuple[dict[str, dict], dict]:
    """Return ({network: variables}, about). Raises UserError if the file is missing, damaged or not one of `write`."""
    arrays, metadata = array_files.read_safetensors(path)
    try:
        about = json.loads(metadata["ganjax"])
        if not isinstance(about, dict):
            raise TypeError
    except (KeyError, ValueError, TypeError, RecursionError):
        raise UserError(f"{printable(str(path))} was not written by `ganjax export`: it has no config") from None
    names = {tuple(name.split(".")): array for name, array in arrays.items()}
    if not names or any(len(name) < PARTS for name in names):
        raise UserError(f"{printable(str(path))} was not written by `ganjax export`: its arrays have other names")
    try:
        return unflatten_dict(names), about
    except (TypeError, KeyError, ValueError) as error:  # a name that is also the beginning of another
        raise UserError(f"{printable(str(path))}: two arrays have one name") from error
