"""Directions in which a latent space varies: found by PCA or from weights, kept in a file that people may edit."""

import itertools
import json
from pathlib import Path

import numpy as np
from flax.traverse_util import flatten_dict

from ganjax.errors import UserError, nearest
from ganjax.inference.latents import Direction, Space
from ganjax.system import atomic
from ganjax.system.names import printable

MANY = 10_000  # codes whose principal components are taken
SPREAD = 1_000  # codes whose deviation along a direction is taken
FILE = "directions.json"
CONSUMERS = ("style", "project", "stem")  # layers that a code enters first: of StyleGAN2, of DCGAN, of all others
LARGEST = 100.0  # move, in deviations


def principal(space: Space, count: int = 10) -> list[Direction]:
    """Return the principal components of 10,000 codes w (GANSpace: Harkonen et al. 2020, arXiv 2004.02546).

    Raises UserError for latents z, which vary equally in all directions: take `of_weights`.
    """
    if not space.styled:
        recipe = space.model.config.recipe
        raise UserError(f"--by=pca: latents of {recipe} vary equally in all directions: set --by=weights")
    codes = space.draw(MANY).values[:, 0]
    return _found(space, "pca", np.linalg.svd(codes - codes.mean(0), full_matrices=False)[2][:count])


def of_weights(space: Space, count: int = 10) -> list[Direction]:
    """Return the directions that the layers which a code enters amplify most (SeFa: Shen & Zhou 2021, arXiv
    2007.06600): the eigenvectors of A A^T, A (D, outputs) their kernels, side by side.
    """
    kernels = []
    for path, leaf in flatten_dict(space.model.variables["generator"]["params"]).items():
        layer, name = ("", *path)[-2:]
        if layer in CONSUMERS and name in ("kernel", "weights") and leaf.ndim == 2:
            kernels.append(_kernel(np.asarray(leaf), name, space.size))
    if not kernels:
        raise UserError(f"the layer that a latent of {space.model.config.recipe} enters is not known to --by=weights")
    vectors, gains, _ = np.linalg.svd(np.concatenate(kernels, 1), full_matrices=False)
    return _found(space, "weights", vectors.T[gains > 1e-6 * gains[0]][:count])


def _kernel(kernel: np.ndarray, name: str, size: int) -> np.ndarray:
    """Return the rows (size, outputs) of a kernel that a latent enters. The last rows may be of an embedded label; or
    the kernel may see the first part of the latent only.
    """
    if name == "weights":  # of r3gan2, used with norm 1 for each output
        kernel = kernel / np.linalg.norm(kernel, axis=0)
    return np.pad(kernel[:size], ((0, max(size - len(kernel), 0)), (0, 0)))


def _found(space: Space, name: str, vectors: np.ndarray) -> list[Direction]:
    deviations = (space.draw(SPREAD).values[:, 0] @ vectors.T).std(0)
    signs = np.sign(np.take_along_axis(vectors, np.argmax(np.abs(vectors), 1)[:, None], 1))  # free in eigenvectors
    rows = zip((signs * vectors).astype(np.float32), deviations, strict=True)
    return [Direction(f"{name}{i}", vector, float(x), (0, space.layers)) for i, (vector, x) in enumerate(rows)]


def keep(path: Path) -> Path:
    """Rename a file, whose directions people may have named, to the next free "directions-1.json"; return that path."""
    places = (path.with_stem(f"{path.stem}-{i}") for i in itertools.count(1))
    place = next(place for place in places if not place.exists())
    return path.rename(place)


def write(path: Path, found: list[Direction], weights: str | None, step: int) -> None:
    """Write directions, which `read` reads. weights: sha256 of the weights that they were found in, those of `step`."""
    rows = [
        {"name": d.name, "layers": list(d.layers), "deviation": d.deviation, "vector": [float(x) for x in d.vector]}
        for d in found
    ]
    lines = ",\n".join("  " + json.dumps(row) for row in rows)  # a line for each, so that a name is easily found
    head = f'"weights": {json.dumps(weights)}, "step": {step}'
    atomic.write_text(path, f'{{{head}, "directions": [\n{lines}\n]}}\n')


def read(path: Path, space: Space, weights: str | None) -> list[Direction]:
    """Return the directions of a file. Raises UserError, which names what is wrong in it, or if it is of other weights.

    Names and layers, first and last + 1, may have been edited.
    """
    place = printable(str(path))
    if not path.is_file():
        raise UserError(f"{place}: no such file; `sample --directions=10` makes it")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))  # Windows' editor begins a file by a mark
        of, rows, step = content["weights"], content["directions"], content.get("step")
        found = [_read_row(row, space) for row in rows]
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise UserError(f"{place} does not hold directions of this model: {printable(str(error))[:200]}") from error
    if weights and of != weights:
        raise UserError(
            f"{place} is of another checkpoint: set --step={printable(str(step))[:20]}, or find new directions by "
            "`sample --directions=10 --overwrite`, which keeps the old ones in directions-1.json"
        )
    names = [direction.name for direction in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"{place} has the name {printable(twice)} twice")
    return found


def _read_row(row: dict, space: Space) -> Direction:
    vector, name, deviation = np.asarray(row["vector"], np.float32), row["name"], float(row["deviation"])
    first, last = (int(layer) for layer in row["layers"])
    if not isinstance(name, str) or not name or set(name) & set(":,") or name.isdecimal():
        raise ValueError(f"the name {name!r} must be a text, no number, without ':' and ','")
    if not 0 <= deviation <= np.finfo(np.float32).max:
        raise ValueError(f"the deviation of {name!r} must be a finite number")
    if vector.shape != (space.size,) or not np.isfinite(vector).all():
        raise ValueError(f"the vector of {name!r} must have {space.size} finite numbers")
    if not 0 <= first < last <= space.layers:
        raise ValueError(f"the layers of {name!r}, [{first}, {last}], must lie in [0, {space.layers}]")
    return Direction(name, vector, deviation, (first, last))


def parse(text: str, known: list[Direction]) -> list[tuple[Direction, float]]:
    """Return the moves of a text such as "3:+2.0,sun:-1": directions by name or number, and deviations.

    Raises UserError for anything else.
    """
    moves, names = [], [direction.name for direction in known]
    for part in text.split(","):
        name, _, amount = part.rpartition(":")
        try:
            value = float(amount)
        except ValueError:
            value = float("nan")
        if not name or not abs(value) <= LARGEST:
            raise UserError(f"--move={text[:80]}: write DIRECTION:AMOUNT, such as 3:+2.0; at most {LARGEST:g}")
        if name in names:
            moves.append((known[names.index(name)], value))
        elif name.isdecimal() and int(name) < len(known):
            moves.append((known[int(name)], value))
        else:
            raise UserError(f"--move={text[:80]}: there is no direction {name[:40]!r}{nearest(name, names)}")
    return moves
