"""Directions in which a latent space varies: found by PCA or from weights, kept in a file that people may edit."""

import json
from pathlib import Path

import numpy as np
from flax.traverse_util import flatten_dict

from ganjax.errors import UserError, nearest
from ganjax.inference.latents import Direction, Space
from ganjax.system import atomic
from ganjax.system.names import printable

MANY = 10_000  # codes whose principal components are taken
FILE = "directions.json"
CONSUMERS = ("style", "project")  # layers that a code enters first
LARGEST = 100.0  # move, in deviations


def principal(space: Space, count: int = 10) -> list[Direction]:
    """Return the principal components of 10,000 codes w (GANSpace: Harkonen et al. 2020, arXiv 2004.02546).

    Raises UserError for latents z, which vary equally in all directions: take `of_weights`.
    """
    if not space.styled:
        recipe = space.model.config.recipe
        raise UserError(f"{recipe} has no mapping network: its latents vary equally in all directions; use weights")
    codes = space.draw(MANY).values[:, 0]
    _, deviations, vectors = np.linalg.svd(codes - codes.mean(0), full_matrices=False)
    deviations = deviations[:count] / np.sqrt(len(codes) - 1)
    return [_direction(space, f"pca{i}", vectors[i], float(deviation)) for i, deviation in enumerate(deviations)]


def of_weights(space: Space, count: int = 10) -> list[Direction]:
    """Return the directions that the layers which a code enters amplify most (SeFa: Shen & Zhou 2021, arXiv
    2007.06600): the eigenvectors of A A^T, A (D, outputs) their kernels, side by side.
    """
    params = flatten_dict(space.model.variables["generator"]["params"])
    kernels = [np.asarray(leaf)[: space.size] for path, leaf in params.items()
               if path[-1] == "kernel" and path[-2] in CONSUMERS]  # fmt: skip
    if not kernels:
        raise UserError(f"the layer that a latent of {space.model.config.recipe} enters is not known")
    spread = space.draw(1_000).values[:, 0].std(0) if space.styled else 1.0
    matrix = np.concatenate([kernel.reshape(space.size, -1) for kernel in kernels], 1)
    vectors = np.linalg.svd(matrix, full_matrices=False)[0].T[:count]
    deviations = [float(np.linalg.norm(spread * vector)) for vector in vectors]
    return [_direction(space, f"weights{i}", *found) for i, found in enumerate(zip(vectors, deviations, strict=True))]


def _direction(space: Space, name: str, vector: np.ndarray, deviation: float) -> Direction:
    sign = np.sign(vector[np.argmax(np.abs(vector))])  # of an eigenvector the sign is free
    return Direction(name, (sign * vector).astype(np.float32), deviation, (0, space.layers))


def write(path: Path, found: list[Direction], weights: str | None) -> None:
    """Write directions, which `read` reads. weights: sha256 of the weights that they were found in."""
    rows = [
        {"name": d.name, "layers": list(d.layers), "deviation": d.deviation, "vector": [float(x) for x in d.vector]}
        for d in found
    ]
    lines = ",\n".join("  " + json.dumps(row) for row in rows)  # a line for each, so that a name is easily found
    atomic.write_text(path, f'{{"weights": {json.dumps(weights)}, "directions": [\n{lines}\n]}}\n')


def read(path: Path, space: Space, weights: str | None) -> list[Direction]:
    """Return the directions of a file. Raises UserError, which names what is wrong in it, or if it is of other weights.

    Names and layers, first and last + 1, may have been edited.
    """
    place = printable(str(path))
    if not path.is_file():
        raise UserError(f"{place}: no such file; `sample --directions=10` makes it")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        of, rows = content["weights"], content["directions"]
        found = [_read_row(row, space) for row in rows]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{place} does not hold directions of this model: {printable(str(error))[:200]}") from error
    if weights and of != weights:
        raise UserError(f"{place} was made from another checkpoint: delete it, and run `sample --directions=10` again")
    names = [direction.name for direction in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"{place} has the name {printable(twice)} twice")
    return found


def _read_row(row: dict, space: Space) -> Direction:
    vector, name = np.asarray(row["vector"], np.float32), row["name"]
    first, last = (int(layer) for layer in row["layers"])
    if not isinstance(name, str) or not name or set(name) & set(":,"):
        raise ValueError(f"the name {name!r} must be a text without ':' and ','")
    if vector.shape != (space.size,) or not np.isfinite(vector).all():
        raise ValueError(f"the vector of {name!r} must have {space.size} finite numbers")
    if not 0 <= first < last <= space.layers:
        raise ValueError(f"the layers of {name!r}, [{first}, {last}], must lie in [0, {space.layers}]")
    return Direction(name, vector, float(row["deviation"]), (first, last))


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
