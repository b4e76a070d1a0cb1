"""Averages of a run's weights over another time than in training (Karras et al. 2024, arXiv 2312.02696, section 3).

The average in a checkpoint is a weighted sum of the weights after each step. Such sums of several checkpoints, combined
by least squares, come near to the one that is wanted: a power function of time, whose deviation is a share of the
training.
"""

import logging
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ganjax.config.schedule import value_at
from ganjax.errors import UserError
from ganjax.state import ema_decay
from ganjax.workdir.checkpoint import load_ema, steps

PREFIX = "ema:"  # of a step that asks for such an average, as in "ema:0.1"
WIDEST = 0.28  # the power function of exponent 0 has a deviation of 0.289
TOLERANCE = 0.2  # relative error of the weighted sum, above which a warning says so
log = logging.getLogger(__name__)


def load(workdir: Path, config: ConfigDict, request: str) -> tuple[dict, dict]:
    """Return ({network: variables}, meta of the newest checkpoint), averaged anew: "ema:0.1" for a deviation of 0.1.

    Raises UserError if the request or the run does not allow that.
    """
    width, directory = width_of(request), workdir / "checkpoints"
    if config.get("branch", {}).get("workdir"):
        raise UserError(f"--step={request}: the first part of this run lies in another workdir; give a step")
    kept = [step for step in steps(directory) if step]
    if len(kept) < 2:
        raise UserError(
            f"--step={request} combines several checkpoints, and {directory} has {len(kept)}: train with "
            "--config.checkpoint.keep_every_images=N"
        )
    factors, error = combination(np.stack([_padded(profile(config, step), kept[-1]) for step in kept]), width)
    log.info(
        "averaged over %.3g of the training, from %d checkpoints, to within %.1f %%", width, len(kept), 100 * error
    )
    if error > TOLERANCE:
        log.warning("these checkpoints do not allow this average: keep more of them, or ask for another width")
    total, meta = None, None
    for step, factor in zip(kept, factors, strict=True):
        variables, meta = load_ema(directory, step)
        share = {name: jax.tree.map(lambda leaf: factor * leaf.astype(np.float64), part["params"])  # noqa: B023
                 for name, part in variables.items()}  # fmt: skip
        total = share if total is None else jax.tree.map(np.add, total, share)
    averaged = {
        name: {**part, "params": jax.tree.map(lambda new, old: new.astype(old.dtype), total[name], part["params"])}
        for name, part in variables.items()
    }
    return averaged, {**meta, "ema": width}


def width_of(request: str) -> float:
    """Return the width that a step such as "ema:0.1" asks for. Raises UserError for any other."""
    try:
        width = float(request.removeprefix(PREFIX))
    except ValueError:
        width = 0.0
    if not 0.001 <= width <= WIDEST:
        raise UserError(f"--step={request[:40]}: write {PREFIX}WIDTH, a share of the training from 0.001 to {WIDEST}")
    return width


def exponent(width: float) -> float:
    """Return gamma of the power function t^gamma on [0, 1] with this deviation (equation 6 and appendix C)."""
    return float(np.roots([1, 7, 16 - width**-2, 12 - width**-2]).real.max())


def profile(config: ConfigDict, count: int) -> np.ndarray:
    """Return the share (count,) of the weights after each step in the average after `count` steps; the sum is 1, less
    the share of the initial weights.
    """
    with jax.enable_x64(True):
        images = jnp.arange(1, count + 1) * config.batch_size
        half_life = value_at(config.ema.half_life_images, images)
        decay = np.array(ema_decay(images, config.batch_size, half_life, config.ema.ramp) * jnp.ones(count), np.float64)
    decay[np.arange(count) * config.batch_size < config.ema.start_images] = 0
    logs = np.cumsum(np.log(np.maximum(decay, 1e-300)))
    return (1 - decay) * np.exp(logs[-1] - logs)


def combination(profiles: np.ndarray, width: float) -> tuple[np.ndarray, float]:
    """Return the factors (K,) of averages with these profiles (K, T) whose sum is nearest to the power function of this
    width, and its relative error. The factors add up to 1.
    """
    times = (np.arange(profiles.shape[1]) + 0.5) / profiles.shape[1]
    wanted = times ** exponent(width)
    wanted /= wanted.sum()
    factors = np.linalg.lstsq(profiles @ profiles.T, profiles @ wanted, rcond=1e-12)[0]
    factors /= factors.sum()
    return factors, float(np.linalg.norm(factors @ profiles - wanted) / np.linalg.norm(wanted))


def _padded(profile: np.ndarray, count: int) -> np.ndarray:
    return np.pad(profile, (0, count - len(profile)))
