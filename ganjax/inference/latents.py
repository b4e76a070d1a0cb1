"""The latent codes of a trained generator: draw, truncate, interpolate, mix and move them, and render them.

A code is an array (L, D): for generators with a mapping network a w for each layer, else the latent z itself, L = 1.
Code i of a seed is that of image i of `Model.sample` with this seed. Where a generator draws noise, all images of codes
have the noise of the first 64 samples of seed 0.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ganjax import rng
from ganjax.data import labels
from ganjax.errors import UserError
from ganjax.inference.model import Model
from ganjax.inference.sampler import CHUNK
from ganjax.ops.shard import everywhere
from ganjax.system.progress import progress_bar

MANY = 10_000  # codes whose mean is taken


@dataclasses.dataclass(frozen=True)
class Codes:
    """values: float32 (N, L, D). label: of each code, int32 (N, A), or multi-hot float32; None without labels."""

    values: np.ndarray
    label: np.ndarray | None = None

    def __getitem__(self, rows) -> "Codes":
        return Codes(self.values[rows], None if self.label is None else self.label[rows])

    def __len__(self) -> int:
        return len(self.values)

    def at(self, values: np.ndarray) -> "Codes":
        """Return other values with the same labels."""
        return dataclasses.replace(self, values=values)


class Direction(NamedTuple):
    """vector: (D,), of unit length. deviation: of the codes along it: a move by 1 is as far. layers: [first, last)."""

    name: str
    vector: np.ndarray
    deviation: float
    layers: tuple[int, int]


class Space:
    """The codes of a model, and their images.

    psi: drawn codes are `truncated` by it towards the mean of their class, if one is asked for, else of all. moves:
    directions and amounts by which they are `moved`.
    """

    def __init__(self, model: Model, psi: float = 1.0, moves: Sequence[tuple["Direction", float]] = ()):
        """Raises UserError if the model does not draw samples from latents."""
        if not {"map", "synthesize"} <= set(model.methods):
            raise UserError(f"this run ({model.config.recipe}) has no latent codes to look into")
        self.model, self.map, self.synthesize = model, model.methods["map"], model.methods["synthesize"]
        shape = jax.eval_shape(lambda: self.synthesize.inputs(rng.key(0, "inputs"), 1))["codes"].shape
        self.layers, self.size = shape[1:]
        self.psi, self.moves = psi, tuple(moves)
        self._means: dict[str, np.ndarray | float] = {}

    @property
    def styled(self) -> bool:
        """Whether codes are w, one for each layer; else they are z."""
        return self.layers > 1

    def draw(self, num: int, seed: int = 0, label: str | np.ndarray = "") -> Codes:
        """Return the codes of the first `num` samples of a seed. Raises UserError for an unknown label."""
        chunks = itertools.islice(self.chunks(seed, label), -(-num // CHUNK))
        return joined(list(chunks))[:num]

    def chunks(self, seed: int = 0, label: str | np.ndarray = "", first: int = 0) -> Iterator[Codes]:
        """Yield the codes of a seed, without end, CHUNK at a time, from the chunk `first` on.

        label: a class or attributes (`Labels.parse`), or a row of `Labels.table`; "" draws them as in the data.
        """
        for codes in self._drawn(seed, label, first):
            yield self.edited(codes, label)

    def at(self, row: int, seed: int = 0, label: str | np.ndarray = "") -> Codes:
        """Return the code of sample `row` of a seed."""
        return next(self.chunks(seed, label, row // CHUNK))[row % CHUNK : row % CHUNK + 1]

    def edited(self, codes: Codes, label: str | np.ndarray = "") -> Codes:
        """Return codes after the truncation and the moves of this space."""
        if self.psi != 1:
            codes = truncated(codes, self.psi, self.mean(label))
        for direction, amount in self.moves:
            codes = moved(codes, direction, amount)
        return codes

    def _drawn(self, seed: int, label: str | np.ndarray, first: int = 0) -> Iterator[Codes]:
        request, names = None, self.model.labels
        if not isinstance(label, str) or label:
            if names is None:
                raise UserError(f"label {label!r}: this run is not conditional (config.condition.kind = 'none')")
            request = names.parse(label) if isinstance(label, str) else label
        for i in itertools.count(first):
            inputs = self.map.inputs(rng.key(seed, "inputs", i), CHUNK)
            if request is not None:
                inputs["label"] = jnp.where(request == labels.OPEN, inputs["label"], request)
            values = jax.device_get(self._mapped(self.model.variables, inputs))
            yield Codes(values, jax.device_get(inputs.get("label")))

    def render(self, codes: Codes, progress: bool = False) -> np.ndarray:
        """Return the images (N, H, W, C) in [-1, 1] of codes."""
        return np.concatenate(list(self.rendered(codes, progress)))

    def rendered(self, codes: Codes, progress: bool = False) -> Iterator[np.ndarray]:
        """Yield the images of codes, in chunks."""
        starts = range(0, len(codes), CHUNK)
        for start in progress_bar(starts, shown=progress, desc="drawing", unit_scale=CHUNK, unit=" images"):
            part = codes[start : start + CHUNK]
            rows = np.arange(CHUNK) % len(part)  # one compiled program for all parts
            inputs = {"codes": part.values[rows]} | ({} if part.label is None else {"label": part.label[rows]})
            yield np.clip(jax.device_get(self._images(self.model.variables, inputs))[: len(part)], -1, 1)

    def mean(self, label: str | np.ndarray = "") -> np.ndarray | float:
        """Return the mean code (L, D), of all or of a class, before truncation and moves; of latents z it is 0."""
        if not self.styled:
            return 0.0
        if (key := str(label)) not in self._means:
            parts = itertools.islice(self._drawn(1, label), -(-MANY // CHUNK))
            self._means[key] = joined(list(parts)).values[:MANY].mean(0)
        return self._means[key]

    def sees_length(self) -> bool:
        """Return whether a code and half of it give other images; not if the generator rescales its latent."""
        codes = next(self._drawn(0, ""))[:1]
        whole, half = self.render(codes), self.render(codes.at(codes.values / 2))
        return bool(np.abs(whole - half).max() > 1e-4)

    def between(self, codes: Codes, frames: int, closed: bool = True) -> Codes:
        """Return a path through codes, of `frames` from each one to the next; a closed one returns to before the first.

        Latents z move on great circles, on which their length stays; w moves on straight lines, and so do labels.
        """
        path, last = lerp if self.styled else slerp, len(codes) - 1
        pairs = itertools.pairwise([*range(len(codes)), *[0] * closed])
        steps = [(a, b, t / frames) for a, b in pairs for t in range(frames)] + [(last, last, 0.0)] * (not closed)
        values = np.stack([path(codes.values[a], codes.values[b], t) for a, b, t in steps])
        if codes.label is None:
            return Codes(values)
        soft = self.soft(codes).label
        return Codes(values, np.stack([lerp(soft[a], soft[b], t) for a, b, t in steps]))

    def soft(self, codes: Codes) -> Codes:
        """Return codes whose labels, if they have any, are multi-hot: float32 (N, sum of the attributes' sizes)."""
        if codes.label is None or np.issubdtype(codes.label.dtype, np.floating):
            return codes
        rows = [np.eye(size + 1, dtype=np.float32)[codes.label[:, a], :size]
                for a, size in enumerate(self.model.labels.sizes)]  # fmt: skip
        return Codes(codes.values, np.concatenate(rows, 1))  # of -1, unknown, the row is 0

    def mixed(self, coarse: Codes, fine: Codes, first: int) -> Codes:
        """Return for each of `coarse` and each of `fine` the code with the layers from `first` on of the latter."""
        if not self.styled:
            raise UserError(f"styles cannot be mixed: {self.model.config.recipe} gives all its layers one latent")
        pairs = list(itertools.product(range(len(coarse)), range(len(fine))))
        values = [np.concatenate([coarse.values[a, :first], fine.values[b, first:]]) for a, b in pairs]
        return Codes(np.stack(values), None if coarse.label is None else coarse.label[[a for a, _ in pairs]])

    def drawn(self) -> Model:
        """Return the model with `sample` and `chunks` of these codes' images."""

        def chunks(num: int, seed: int = 0, progress: bool = False, label: str | np.ndarray = "", size=None):
            if size:
                raise UserError(f"size {size[0]}x{size[1]}: images of codes have the size of the run")
            starts = progress_bar(
                range(0, num, CHUNK), shown=progress, desc="sampling", unit_scale=CHUNK, unit=" images"
            )
            for start, codes in zip(starts, self.chunks(seed, label), strict=False):
                yield self.render(codes[: num - start])

        def sample(*args, **options) -> np.ndarray:
            return np.concatenate(list(chunks(*args, **options)))

        return self.model._replace(sample=sample, chunks=chunks)

    @functools.cached_property
    def _mapped(self):
        return jax.jit(
            lambda variables, inputs: everywhere(self.map.apply(variables, rng.key(0, "map"), inputs)["codes"])
        )

    @functools.cached_property
    def _images(self):
        key = rng.key(0, "sample", 0)
        return jax.jit(lambda variables, inputs: everywhere(self.synthesize.apply(variables, key, inputs)["image"]))


def truncated(codes: Codes, psi: float, mean: np.ndarray | float) -> Codes:
    """Return codes moved towards `Space.mean`, where a `psi` of 0 ends: less variety, fewer failures (Karras et al.
    2019, arXiv 1812.04948, appendix B).
    """
    return codes.at((mean + psi * (codes.values - mean)).astype(np.float32)) if psi != 1 else codes


def moved(codes: Codes, direction: Direction, amount: float) -> Codes:
    """Return codes moved along a direction, by `amount` deviations of the codes along it."""
    values, (first, last) = codes.values.copy(), direction.layers
    values[:, first:last] += amount * direction.deviation * direction.vector
    return codes.at(values)


def joined(parts: Sequence[Codes]) -> Codes:
    """Return the codes of all parts."""
    label = None if parts[0].label is None else np.concatenate([part.label for part in parts])
    return Codes(np.concatenate([part.values for part in parts]), label)


def lerp(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """Return the point at t on the line from a to b."""
    return (1 - t) * a + t * b


def slerp(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """Return the point at t on the arc from a to b, with a length between theirs (White 2016, arXiv 1609.04468)."""
    norms = np.linalg.norm(a), np.linalg.norm(b)
    if min(norms) == 0:
        return lerp(a, b, t)
    u, v = a / norms[0], b / norms[1]
    angle = np.arccos(np.clip(np.sum(u * v), -1, 1))
    if np.sin(angle) < 1e-6:
        return lerp(a, b, t)
    unit = (np.sin((1 - t) * angle) * u + np.sin(t * angle) * v) / np.sin(angle)
    return (lerp(*norms, t) * unit).astype(a.dtype)
