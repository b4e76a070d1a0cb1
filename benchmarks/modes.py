"""Mode coverage with exact ground truth: 25 Gaussians on a grid and 8 on a ring, for pairs of a loss and a penalty.

python benchmarks/modes.py [--out=DIR] [--steps=10000] [--seeds=3] [--only=relativistic+r1+r2,...]

Every method has the same networks, optimiser and budget, the published weights of its penalties, and two learning
rates: the one with the lower mean KL over the seeds is reported; both are in modes.csv. A sample is of high quality if
it is within 3 sigma of a mode; a mode is covered if one of 2,500 samples is of high quality and nearest to it
(Srivastava et al. 2017, arXiv 1705.07761). KL is the divergence of the histogram over modes from the true one, in which
samples of low quality count as one more mode. Samples come from the moving average of the generator. Results of runs
are stored in DIR and not computed again.
"""

import argparse
import csv
import json
import time
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ganjax.adversarial import from_noise
from ganjax.config import groups
from ganjax.losses.logits import adversarial
from ganjax.recipe import Recipe
from ganjax.state import DOutput, GOutput

TASKS = {
    "grid": (np.array([(x, y) for x in range(-4, 5, 2) for y in range(-4, 5, 2)], np.float32), 0.05),
    "ring": (2 * np.array([(np.cos(t), np.sin(t)) for t in np.arange(8) * np.pi / 4], np.float32), 0.02),
}
METHODS = [
    ("saturating", {}),
    ("non_saturating", {}),
    ("non_saturating", {"r1": 1.0}),
    ("non_saturating", {"r1": 1.0, "r2": 1.0}),
    ("non_saturating", {"dragan": 10.0}),
    ("non_saturating", {"lecam": 0.3}),
    ("least_squares", {}),
    ("least_squares", {"r1": 1.0, "r2": 1.0}),
    ("hinge", {}),
    ("hinge", {"r1": 1.0, "r2": 1.0}),
    ("wasserstein", {"wgan_gp": 10.0}),
    ("wasserstein", {"wgan_gp_one_sided": 10.0}),
    ("relativistic", {}),
    ("relativistic", {"r1": 1.0}),
    ("relativistic", {"r1": 1.0, "r2": 1.0}),
]
RATES = (2e-3, 5e-4)
SAMPLES, WIDTH, Z = 2500, 64, 16


class Mlp(nn.Module):
    """Three hidden layers of 64, ReLU."""

    out: int

    @nn.compact
    def __call__(self, x):
        for _ in range(3):
            x = nn.relu(nn.Dense(WIDTH)(x))
        return x, nn.Dense(self.out)(x)


class Generator(nn.Module):
    @nn.compact
    def __call__(self, z, label=None, *, train):
        return GOutput(Mlp(2)(z)[1][:, None, None])  # a point is an image of one pixel


class Discriminator(nn.Module):
    @nn.compact
    def __call__(self, x, label=None, *, train):
        features, logits = Mlp(1)(x[:, 0, 0])
        return DOutput((logits[:, 0],), (features,))


def make_config(loss: str, penalty: dict, rate: float, steps: int) -> ConfigDict:
    config = groups.noise_defaults(groups.base())
    config.batch_size, config.model = 256, ConfigDict({"z_dim": Z})
    config.total_images = steps * config.batch_size
    config.loss.kind = loss
    config.penalty.update(penalty)
    config.optimizer.update({"g_lr": rate, "d_lr": rate, "b1": 0.0, "b2": 0.99, "schedule": "constant"})
    return config


def build(config: ConfigDict) -> Recipe:
    """Return the GAN of the networks above with the config's loss and penalties."""
    loss, judge = adversarial(config.loss.kind), from_noise.Judge(config)

    def d_loss(players, part, fakes):
        real, fake = judge.real(players, part), judge.fake(players, part, fakes)
        return judge.d_total(loss.d(real.logits, fake.logits), real, fake, part)

    def g_loss(players, part, fakes):
        real, fake = judge.real_if_paired(players, part), judge.fake(players, part, fakes)
        return judge.g_total(loss.g(real.logits, fake.logits), real, fake, part)

    return from_noise.build(config, Generator(), Discriminator(), judge, d_loss, g_loss)


def run(loss: str, penalty: dict, rate: float, task: str, steps: int, seeds: int) -> list[dict]:
    """Train `seeds` runs in one program; return the `coverage` of each."""
    centres, sigma = TASKS[task]
    config = make_config(loss, penalty, rate, steps)
    gan = build(config)
    sample = gan.methods["sample"]

    def draw(key):
        mode_key, noise_key = jax.random.split(key)
        points = jnp.asarray(centres)[jax.random.randint(mode_key, (config.batch_size,), 0, len(centres))]
        points += sigma * jax.random.normal(noise_key, points.shape)
        return {"image": points[:, None, None], "label": jnp.full(config.batch_size, -1)}

    def train(key):
        init_key, data_key, step_key, sample_key = jax.random.split(key, 4)
        state = gan.init(init_key, draw(data_key))

        def body(state, i):
            state, _ = gan.step(state, draw(jax.random.fold_in(data_key, i)), jax.random.fold_in(step_key, i))
            return state, None

        state, _ = jax.lax.scan(body, state, jnp.arange(steps))
        variables, inputs = state.variables(sample.networks), sample.inputs(sample_key, SAMPLES)
        return sample.apply(variables, sample_key, inputs)["image"][:, 0, 0]

    keys = jax.vmap(jax.random.key)(jnp.arange(seeds))
    return [coverage(samples, centres, sigma) for samples in np.asarray(jax.jit(jax.vmap(train))(keys))]


def coverage(samples: np.ndarray, centres: np.ndarray, sigma: float) -> dict:
    """Return {"modes": number of covered modes, "quality": share of samples within 3 sigma, "kl": in nats}.

    Samples that are not finite count as samples of low quality.
    """
    samples = np.nan_to_num(samples, nan=1e6, posinf=1e6, neginf=-1e6)
    distances = np.linalg.norm(samples[:, None] - centres, axis=-1)
    nearest, good = distances.argmin(1), distances.min(1) <= 3 * sigma
    share = np.bincount(np.where(good, nearest, len(centres)), minlength=len(centres) + 1) / len(samples)
    expected = np.append(np.full(len(centres), 0.9889 / len(centres)), 0.0111)  # P(|x| > 3 sigma) in the plane
    kl = float(np.sum(share[share > 0] * np.log(share[share > 0] / expected[share > 0])))
    return {"modes": len(set(nearest[good].tolist())), "quality": float(good.mean()), "kl": kl}


def name_of(loss: str, penalty: dict) -> str:
    return "+".join([loss, *penalty])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/modes"))
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", help="methods, separated by commas")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for loss, penalty in METHODS:
        name = name_of(loss, penalty)
        if options.only and name not in options.only.split(","):
            continue
        for task in TASKS:
            for rate in RATES:
                file = options.out / f"{name}-{task}-{rate:g}-{options.steps}-{options.seeds}.json"
                if not file.exists():
                    start = time.monotonic()
                    results = run(loss, penalty, rate, task, options.steps, options.seeds)
                    file.write_text(json.dumps({"results": results, "seconds": time.monotonic() - start}))
                results = json.loads(file.read_text())["results"]
                setting = {"method": name, "task": task, "rate": rate}
                rows += [{**setting, "seed": i, **result} for i, result in enumerate(results)]
                print(*setting.values(), results, flush=True)
    with (options.out / "modes.csv").open("w") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    print(table(rows))


def table(rows: list[dict]) -> str:
    """Return a Markdown table of each method at its better learning rate, with the modes of every seed."""
    lines = [
        "| loss + penalties | modes of 25 | high quality | KL | modes of 8 | high quality | KL |",
        "|---|" + "---|" * 6,
    ]
    for name in dict.fromkeys(row["method"] for row in rows):
        cells = []
        for task in TASKS:
            runs = {}
            for row in rows:
                if (row["method"], row["task"]) == (name, task):
                    runs.setdefault(row["rate"], []).append(row)
            best = min(runs.values(), key=lambda seeds: np.mean([row["kl"] for row in seeds]))
            modes = ", ".join(str(row["modes"]) for row in best)
            quality, kl = (np.mean([row[key] for row in best]) for key in ("quality", "kl"))
            cells += [modes, f"{quality:.0%}", f"{kl:.3f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
