"""What the latent directions of a run on the atelier move: the sun, the horizon, or all at once.

python launch.py train --config=stylegan2 --config.data.atelier.styles=ukiyo_e --config.data.resolution=32 --workdir=RUN
python benchmarks/directions.py --workdir=RUN [--count=10] [--latents=200]

A small network learns to read a scene's attributes from its image, of true scenes that no run sees; its R2 on others of
them is printed first. It then reads images of latents moved along each direction. A slope is the change of an attribute
for a move by one deviation of the latents, in deviations of the attribute over true scenes. The last column is the
largest slope over the next one.
"""

import argparse

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

import ganjax
from ganjax.augment import transforms
from ganjax.config.derived import size
from ganjax.data import atelier
from ganjax.inference import directions
from ganjax.inference.latents import Space, moved
from ganjax.system.progress import progress_bar

ATTRIBUTES = ("sun from the left", "sun's height", "horizon's height", "water")
MOVES = (-2.0, -1.0, 0.0, 1.0, 2.0)
UNSEEN, BATCH, RATE = 2000, 128, 2e-3


class Reader(nn.Module):
    """Four convolutions with stride 2, then two dense layers, which see where each feature is."""

    @nn.compact
    def __call__(self, x):
        for width in (32, 64, 96, 96):
            x = nn.relu(nn.Conv(width, (3, 3), 2)(x))
        x = nn.relu(nn.Dense(256)(x.reshape(len(x), -1)))
        return nn.Dense(len(ATTRIBUTES))(x)


def scenes(count: int, shape: tuple[int, int], style: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images (N, H, W, 3) in [-1, 1] of scenes of the test split, and their attributes (N, A)."""
    pictures, truth = [], []
    for index in progress_bar(range(count), desc="painting", unit=" scenes"):
        pictures.append(np.asarray(atelier.paint(index, shape, style, "test")))
        scene = atelier.scene_of(index, "test")
        truth.append([scene.sun[0], 1 - scene.sun[1], 1 - scene.horizon, scene.water])
    return np.asarray(transforms.normalise(np.stack(pictures))), np.array(truth, np.float32)


def trained(images: np.ndarray, truth: np.ndarray, epochs: int):
    """Return a function from images to attributes, fitted by least squares."""
    net = Reader()
    params = net.init(jax.random.key(0), images[:1])
    steps = len(images) // BATCH
    adam = optax.adamw(optax.cosine_decay_schedule(RATE, epochs * steps), weight_decay=1e-2)
    state = adam.init(params)

    @jax.jit
    def step(params, state, x, y):
        grads = jax.grad(lambda params: jnp.mean((net.apply(params, x) - y) ** 2))(params)
        updates, state = adam.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    rng = np.random.default_rng(0)
    for _ in progress_bar(range(epochs), desc="learning to read", unit=" epochs"):
        for rows in rng.permutation(len(images))[: steps * BATCH].reshape(steps, BATCH):
            params, state = step(params, state, images[rows], truth[rows])
    apply = jax.jit(net.apply)
    return lambda images: np.concatenate([apply(params, images[i : i + 500]) for i in range(0, len(images), 500)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", required=True)
    parser.add_argument("--count", type=int, default=10, help="of directions")
    parser.add_argument("--latents", type=int, default=200)
    parser.add_argument("--scenes", type=int, default=12_000)
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()

    space = Space(ganjax.load(options.workdir))
    config = space.model.config
    (style,) = config.data.atelier.styles
    images, truth = scenes(options.scenes + UNSEEN, size(config), style)
    mean, deviation = truth.mean(0), truth.std(0)
    truth = (truth - mean) / deviation
    read = trained(images[UNSEEN:], truth[UNSEEN:], options.epochs)
    r2 = 1 - ((read(images[:UNSEEN]) - truth[:UNSEEN]) ** 2).mean(0) / truth[:UNSEEN].var(0)
    print(f"R2 on {UNSEEN} unseen scenes: " + ", ".join(f"{a} {x:.3f}" for a, x in zip(ATTRIBUTES, r2, strict=True)))

    codes = space.draw(options.latents, 7)
    print("direction".ljust(12), *(name.rjust(18) for name in ATTRIBUTES), "largest to next")
    for find in (directions.principal, directions.of_weights):
        for direction in find(space, options.count):
            read_at = [read(space.render(moved(codes, direction, move))).mean(0) for move in MOVES]
            slopes = np.polyfit(MOVES, np.stack(read_at), 1)[0]
            first, second = np.sort(np.abs(slopes))[::-1][:2]
            print(direction.name.ljust(12), *(f"{slope:+18.3f}" for slope in slopes), f"{first / second:15.1f}")


if __name__ == "__main__":
    main()
