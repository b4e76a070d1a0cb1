"""Find the latent code of a given picture (Karras et al. 2020, arXiv 1912.04958, section 5), by gradient descent.

The distance is that of EfficientNet-Lite0's features, or LPIPS (VGG) if asked for, plus the mean square of pixels. The
generators here draw their noise by a fixed key, so that there are no noise maps to optimise, nor to regularise.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ganjax import rng
from ganjax.inference.latents import Codes, Space
from ganjax.nets.pretrained import lite0, lpips, weights
from ganjax.ops import resample
from ganjax.ops.alpha import on_board
from ganjax.system.progress import progress_bar

MARKS = 10  # places on the way at which the distance is kept
LEAST = 64  # pixels of the shorter side of images whose features are compared
RAMP_UP, RAMP_DOWN = 0.05, 0.25  # shares of the steps in which the learning rate rises, and falls
NOISE, QUIET = 0.05, 0.75  # of the codes, over their deviation, at the start; share of the steps until it is 0
MANY, AT_ONCE = 256, 8  # samples, of which the nearest are the starts; those that are compared at once
PERCEPTUAL = ("lite0", "lpips")


class Projection(NamedTuple):
    """What a search ends with.

    code: the best of the starts'. image (H, W, C): of it. distances (MARKS + 1,) and way (MARKS + 1, H, W, C): of the
    best start, without noise, at equal marks.
    """

    code: Codes
    image: np.ndarray
    distances: np.ndarray
    way: np.ndarray


class Projector:
    """Finds codes in a space; one compiled program serves all pictures."""

    def __init__(
        self,
        space: Space,
        steps: int = 200,
        plus: bool = False,
        pixels: float = 1.0,
        perceptual: str = "lite0",
        rate: float = 0.2,
    ):
        """plus: whether each layer gets a w of its own (W+: Abdal et al. 2019, arXiv 1904.03189). pixels: weight of
        the mean square of pixels. rate: largest step of Adam, in deviations of the codes.
        """
        self.space, self.steps, self.tied = space, steps, space.styled and not plus
        self.distance = _distance(perceptual, pixels)
        self.deviation = np.sqrt(np.mean(space.draw(1_000, 1).values[:, 0].var(0)))
        rise, fall = (max(round(share * steps), 1) for share in (RAMP_UP, RAMP_DOWN))
        schedules = (
            optax.linear_schedule(0, rate, rise),
            optax.constant_schedule(rate),
            optax.cosine_decay_schedule(rate, fall),
        )
        self.adam = optax.adam(optax.join_schedules(schedules, (rise, steps - fall)))
        self.step, self.measure = jax.jit(self._step), jax.jit(self._measure)

    @functools.cached_property
    def samples(self) -> tuple[Codes, np.ndarray]:
        """Codes of samples, and their images."""
        codes = self.space.draw(MANY)
        return codes, self.space.render(codes)

    def __call__(self, target: np.ndarray, starts: int = 2, seed: int = 0, progress: bool = False) -> Projection:
        """Return the code whose image is nearest to the target (H, W, C) in [-1, 1], of the model's size.

        The search begins at the nearest of many samples, `starts` of them, at once.
        """
        first, goal = self._starts(target, starts), jnp.broadcast_to(target, (starts, *target.shape))
        codes, marks, way = jnp.asarray(first.values[:, :1] if self.tied else first.values), [], []
        state = self.adam.init(codes)
        for i in progress_bar(range(self.steps + 1), shown=progress, desc="projecting", unit=" steps"):
            if i * MARKS // self.steps >= len(marks):
                distances, images = jax.device_get(self.measure(self.space.model.variables, codes, first.label, goal))
                marks.append(distances)
                way.append(images)
            if i < self.steps:
                key = jax.random.fold_in(rng.key(seed, "project"), i)
                codes, state = self.step(self.space.model.variables, codes, state, first.label, goal, i, key)
        best = int(np.argmin(np.nan_to_num(marks[-1], nan=np.inf)))
        code = first[best : best + 1].at(np.array(self._wide(codes)[best : best + 1]))
        images = np.clip(np.stack(way)[:, best], -1, 1)
        return Projection(code, images[-1], np.stack(marks)[:, best], images)

    def _wide(self, codes: jax.Array) -> jax.Array:
        return jnp.broadcast_to(codes, (len(codes), self.space.layers, self.space.size))

    def _image(self, variables: dict, codes: jax.Array, label) -> jax.Array:
        inputs = {"codes": self._wide(codes)} | ({} if label is None else {"label": label})
        return self.space.synthesize.apply(variables, rng.key(0, "sample", 0), inputs)["image"]

    def _measure(self, variables, codes, label, goal):
        images = self._image(variables, codes, label)
        return self.distance(images, goal), images

    def _step(self, variables, codes, state, label, goal, i, key):
        share = jnp.maximum(1 - i / (QUIET * self.steps), 0) ** 2
        noise = NOISE * self.deviation * share * jax.random.normal(key, codes.shape)

        def loss(codes):
            return jnp.sum(self.distance(self._image(variables, codes + noise, label), goal))

        updates, state = self.adam.update(jax.grad(loss)(codes), state)
        return codes + self.deviation * updates, state

    def _starts(self, target: np.ndarray, starts: int) -> Codes:
        codes, images = self.samples
        goal, distance = jnp.broadcast_to(target, (AT_ONCE, *target.shape)), _distances(self.distance)
        distances = np.concatenate([distance(images[i : i + AT_ONCE], goal) for i in range(0, MANY, AT_ONCE)])
        return codes[np.argsort(distances, kind="stable")[:starts]]


@functools.cache
def _distances(distance: Callable) -> Callable:
    return jax.jit(distance)


@functools.cache
def _distance(perceptual: str, pixels: float) -> Callable:
    """Return (images, targets) -> distances (B,)."""
    if perceptual == "lite0":
        variables, net = lite0.variables(weights.load("lite0").arrays), lite0.distance
    else:
        variables, net = lpips.load("vgg"), functools.partial(lpips.distance, net="vgg")

    def distance(images: jax.Array, targets: jax.Array) -> jax.Array:
        square = jnp.mean((images - targets) ** 2, (1, 2, 3))
        a, b = on_board(images), on_board(targets)
        if (least := LEAST / min(a.shape[1:3])) > 1:
            a, b = (resample.resize(x, tuple(round(least * side) for side in x.shape[1:3])) for x in (a, b))
        return net(variables, a, b) + pixels * square

    return distance
