"""Optimisers and learning rate schedules. Schedules count images, so that they do not depend on the batch size."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from flax.traverse_util import flatten_dict, unflatten_dict
from ml_collections import ConfigDict

from ganjax.config.derived import horizon
from ganjax.config.schedule import is_schedule, value_at
from ganjax.errors import UserError, nearest

SCHEDULES = ("constant", "cosine", "linear")
Value = float | ConfigDict  # a number, or a schedule of `config.schedule`
Beta = float | Callable[[jax.Array], jax.Array]  # a number, or a function of the number of updates


def rate(config: ConfigDict, value: Value) -> Callable:
    """Return step of G -> learning rate: `value` times the config's schedule."""
    opt = config.optimizer
    return schedule(opt.schedule, value, horizon(config), config.batch_size, opt.decay_start, opt.warmup_images)


def for_side(config: ConfigDict, rate: Callable, steps: int = 1, every: int = 0) -> optax.GradientTransformation:
    """Return Adam for the networks of a side that makes `steps` updates per update of G, at G's `rate`.

    every: if > 0, lazy regularisers add a separate update after every `every` updates. Learning rate and betas are
    corrected for the every + 1 updates in place of every: Karras et al. 2020 (arXiv 1912.04958), appendix B.
    """
    opt = config.optimizer
    if steps == 1 and not every:
        b1, b2 = (_beta(beta, config.batch_size) for beta in (opt.b1, opt.b2))
        return adam(rate, b1, b2, opt.clip_norm, opt.eps)
    share = every / (every + 1) if every else 1.0
    updates = steps * (1 + 1 / every) if every else steps
    b1, b2 = (_beta(beta, config.batch_size / updates, share) for beta in (opt.b1, opt.b2))
    return adam(lambda count: share * rate(count / updates), b1, b2, opt.clip_norm, opt.eps)


def _beta(value: Value, images_per_update: float, share: float = 1.0) -> Beta:
    """Return value ** share: a number or, for a schedule, a function of the number of updates."""
    if not is_schedule(value):
        return value**share
    return lambda count: value_at(value, count * images_per_update) ** share


def schedule(
    kind: str, value: Value, total_images: int, images_per_step: int, start: float = 0.0, warmup_images: int = 0
) -> Callable:
    """Return step -> learning rate, float32.

    With t = step * images_per_step / total_images, clipped to [0, 1]: "constant" is `value`; "linear" is constant
    until t = `start`, then falls linearly to 0 at t = 1; "cosine" likewise with (1 + cos(pi u)) / 2, where u is the
    share of [`start`, 1] that has passed. If `value` is a schedule, its value at the images of the step is used.
    Over the first `warmup_images` the rate also rises linearly from 0 (at the first step, one step's share).
    Raises UserError for an unknown kind, or a `start` outside [0, 1).
    """
    if kind not in SCHEDULES:
        raise UserError(f"config.optimizer.schedule = {kind!r} is not known{nearest(kind, SCHEDULES)}")
    if not 0 <= start < 1:
        raise UserError(f"config.optimizer.decay_start = {start} must lie in [0, 1): a share of the schedule")

    def rate(step):
        t = jnp.clip(step * (images_per_step / max(total_images, 1)), 0.0, 1.0)
        u = jnp.clip((t - start) / (1 - start), 0.0, 1.0)
        factor = {"constant": 1.0, "linear": 1 - u, "cosine": (1 + jnp.cos(jnp.pi * u)) / 2}[kind]
        if warmup_images:
            factor *= jnp.minimum((step + 1) * (images_per_step / warmup_images), 1.0)
        return jnp.asarray(value_at(value, step * images_per_step) * factor, jnp.float32)

    return rate


def adam(
    learning_rate: Callable | float, b1: Beta, b2: Beta, clip_norm: float = 0.0, eps: float = 1e-8
) -> optax.GradientTransformation:
    """Return Adam. If `clip_norm` is above 0, the gradient's global norm is first clipped to it."""
    if callable(b1) or callable(b2):
        moments = scale_by_scheduled_adam(b1, b2, eps)
        tx = optax.chain(moments, optax.scale_by_learning_rate(learning_rate))
    else:
        tx = optax.adam(learning_rate, b1=b1, b2=b2, eps=eps)
    return optax.chain(optax.clip_by_global_norm(clip_norm), tx) if clip_norm > 0 else tx


def freeze(tx: optax.GradientTransformation, network: str, prefixes: tuple[str, ...]) -> optax.GradientTransformation:
    """Return the optimiser, which leaves the arrays of a network whose names begin with a prefix as they are.

    prefixes: of dotted names, "discriminator.conv_0" (FreezeD: Mo et al. 2020, arXiv 2002.10964). Batch statistics and
    spectral vectors still follow what the network sees.
    """
    whole = f"{network}."
    if not any(prefix.startswith(whole) or whole.startswith(prefix) for prefix in prefixes):
        return tx

    def frozen(params):
        names = flatten_dict(params, sep=".")
        return unflatten_dict({tuple(name.split(".")): f"{network}.{name}".startswith(prefixes) for name in names})

    return optax.chain(tx, optax.masked(optax.set_to_zero(), frozen))


def constrain(tx: optax.GradientTransformation, constraint: Callable | None) -> optax.GradientTransformation:
    """Return the optimiser, whose updates end at `constraint(params)` of the params to which the given one's lead; with
    None the optimiser itself.
    """
    if constraint is None:
        return tx

    def move(updates, params):
        ends = constraint(optax.apply_updates(params, updates))
        return jax.tree.map(lambda end, start: end - start, ends, params)

    return optax.chain(tx, optax.stateless(move))


def scale_by_scheduled_adam(b1: Beta, b2: Beta, eps: float) -> optax.GradientTransformation:
    """Return Adam's scaling with betas that depend on the number of updates.

    This number is stored apart from Adam's own count: a branch of a run changes the former, as the counts of all
    schedules, and keeps the latter. The bias correction assumes that the betas always had their present values, as in
    PyTorch if they are set again at each step.
    """

    def adam_at(count: jax.Array) -> optax.GradientTransformation:
        betas = (beta(count) if callable(beta) else beta for beta in (b1, b2))
        return optax.scale_by_adam(*betas, eps=eps)

    def init(params):
        count = jnp.zeros((), jnp.int32)
        return adam_at(count).init(params), optax.ScaleByScheduleState(count)

    def update(updates, state, params=None):
        moments, clock = state
        updates, moments = adam_at(clock.count).update(updates, moments, params)
        return updates, (moments, optax.ScaleByScheduleState(optax.safe_increment(clock.count)))

    return optax.GradientTransformation(init, update)
