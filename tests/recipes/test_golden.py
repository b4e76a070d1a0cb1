"""Two steps of every recipe from seed 0 against saved numbers: all logged terms, and the distance that weights moved.

`python tests/recipes/test_golden.py` writes tests/fixtures/golden.json again.
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import LABELLED, small

from ganjax import recipe, task
from ganjax.config.check import check

PATH = Path(__file__).parents[1] / "fixtures" / "golden.json"
ADVICE = (
    "the golden numbers may change only with a change that is meant to alter training (a default, an initialiser, the "
    "order of random draws): then run this file as a program, and mention it in the commit"
)
EVERYTHING = {
    "penalty.r1": 0.5, "penalty.r2": 0.3, "penalty.wgan_gp": 1.0, "penalty.dragan": 0.7, "penalty.every": 2,
    "penalty.lecam": 0.3, "penalty.cr": 1.0, "penalty.bcr": 2.0, "penalty.zcr_d": 1.0, "penalty.zcr_g": 0.5,
    "penalty.orthogonal": 1e-3, "diffaugment": "full", "loss.instance_noise": 0.1, "loss.kind": "non_saturating",
    "loss.label_smoothing": 0.1, "optimizer.clip_norm": 1.0, "optimizer.schedule": "linear", "ema.start_images": 4,
}  # fmt: skip
CASES = {
    "dcgan": {},
    "dcgan of batch norm": {"model.discriminator.norm": "batch", "model.discriminator.dropout": 0.2, "penalty.r1": 0.0,
                            "loss.kind": "non_saturating", "loss.feature_matching": 1.0},
    "dcgan, everything": EVERYTHING | {"model.generator.norm": "layer", "accumulate": 2},
    "dcgan, everything twice": EVERYTHING | {"d_steps": 2},
    "sngan": {}, "wgan_gp": {"penalty.every": 1}, "sagan": {}, "biggan": {},
    "cyclegan": {"loss.content": 0.5}, "cyclegan in parts": {"accumulate": 2, "pool": 0},
    "pix2pix": {"loss.feature_matching": 10.0, "loss.content": 0.5},
    "pix2pix of one": {"accumulate": 1, "batch_size": 1, "model.discriminator.scales": 2},
    "cut": {}, "cut in parts": {"accumulate": 2, "loss.nce_identity": False, "loss.content": 0.5},
    "sincut": {}, "fastgan": {}, "singan": {}, "r3gan": {}, "r3gan by class": LABELLED, "r3gan2": {},
    # In float32 batch norms of few values would amplify rounding, and averages of the last weights be noise.
    "projected": {"precision": "float64"}, "stylegan2": {"precision": "float64"},
    "stylegan2 by class": {**LABELLED, "ada.p": 0.8, "ada.paired": True, "precision": "float64"},
}  # fmt: skip
QUICK = ("dcgan", "sngan", "cut")  # test_zoo.py compares the others with PyTorch


def run_case(case: str) -> dict[str, float]:
    """Return the terms that two steps log, as "0.d_loss" and "1.d_loss", and the RMS distances that weights moved."""
    with jax.enable_x64(CASES[case].get("precision") == "float64"):
        return _run(small(case.split(" ")[0].rstrip(","), **CASES[case]))


def _run(config) -> dict[str, float]:
    config.data.classes, config.data.class_counts = ("ukiyo_e", "de_stijl"), (1, 2)
    gan = recipe.build(check(config))
    batch = batch_of(task.of(config).spec(config, gan.parts))
    first, step, rows = jax.jit(gan.init)(jax.random.key(0), batch), jax.jit(gan.step), {}
    state = first = first.replace(frozen=gan.frozen())
    for i in range(2):
        state, metrics = step(state, batch, jax.random.key(i + 1))
        rows |= {f"{i}.{name}": float(value) for name, value in metrics.items()}
    for side in ("generator", "discriminator"):
        rows[side] = distance(*(params_of(one, side) for one in (state, first)))
    averages = {name: variables["params"] for name, variables in state.ema.items()}
    if averages:
        rows["ema"] = distance(averages, {name: state.networks[name].params for name in averages})
    return rows


def params_of(state, side: str) -> dict:
    """Return the parameters of the networks of a side; CUT's heads belong to the generator's side."""
    names = [name for name in state.networks if name.startswith(side) or (name == "heads" and side == "generator")]
    return {name: state.networks[name].params for name in names}


def batch_of(shapes: dict) -> dict[str, jax.Array]:
    """Return smooth images, different for each row and name, and labels 0, 1, 0, ..."""
    batch = {}
    for i, (name, like) in enumerate(shapes.items()):
        if name == "label":
            batch[name] = jnp.arange(len(like), dtype=like.dtype) % 2
            continue
        n, h, w, c = np.indices(like.shape)
        batch[name] = jnp.asarray(np.sin(0.3 * h + 0.5 * i * w + 0.9 * n + 1.7 * c), like.dtype)
    return batch


def distance(a, b) -> float:
    """Return the root mean square difference of two trees of the same structure."""
    squares = jax.tree.map(lambda x, y: np.square(np.asarray(x, np.float64) - y), a, b)
    return float(np.sqrt(np.mean(np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(squares)]))))


@pytest.mark.parametrize(
    "case", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in CASES if name not in QUICK)]
)
def test_two_steps_are_those_of_before(case):
    now, golden = run_case(case), json.loads(PATH.read_text())[case]
    assert golden.keys() <= now.keys(), ADVICE
    for name, value in golden.items():
        rtol = 1e-4 if name.startswith("0.") else 2e-3
        np.testing.assert_allclose(now[name], value, rtol, 1e-5 if "." in name else 2e-9, err_msg=f"{name}: {ADVICE}")


if __name__ == "__main__":
    PATH.write_text(json.dumps({case: run_case(case) for case in CASES}, indent=1) + "\n")
