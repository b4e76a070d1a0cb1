"""The state of a run: one pytree with everything that a run needs to resume; and the outputs of networks."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from flax.training import train_state


class GOutput(NamedTuple):
    """The output of a generator: images (B, H, W, C), and further arrays for its losses.

    Real images are in [-1, 1]; a generator without tanh may pass these limits, to which samples are clipped.
    """

    image: jax.Array
    aux: dict[str, jax.Array] = {}


class DOutput(NamedTuple):
    """The output of a discriminator.

    logits: one array for each scale, (B,) or a map (B, H', W'). features: of its layers. classes: class logits
    (B, number of values of all attributes) of AC-GAN's head. aux: further arrays for its losses.
    """

    logits: tuple[jax.Array, ...]
    features: tuple[jax.Array, ...] = ()
    classes: jax.Array | None = None
    aux: dict[str, jax.Array] = {}


class TrainState(train_state.TrainState):
    """Flax's TrainState with `mutable`: all collections except the parameters (`batch_stats`, spectral vectors)."""

    mutable: Any

    @classmethod
    def from_variables(cls, apply_fn, variables: dict, tx: optax.GradientTransformation) -> "TrainState":
        """Return a state with the variables of `Module.init`. `tx` optimises the parameters only."""
        # Flax initialises batch statistics in float32; in float64 the first step would change their dtype.
        dtype = jnp.result_type(*jax.tree.leaves(variables["params"]))
        mutable = {name: value for name, value in variables.items() if name != "params"}
        mutable = jax.tree.map(
            lambda leaf: (
                leaf.astype(jnp.promote_types(leaf.dtype, dtype)) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf
            ),
            mutable,
        )
        state = cls.create(apply_fn=apply_fn, params=variables["params"], tx=tx, mutable=mutable)
        return state.replace(step=jnp.zeros((), jnp.int32))

    @property
    def variables(self) -> dict:
        return {"params": self.params, **self.mutable}


class State(struct.PyTreeNode):
    """One pytree for the loop and the checkpoint.

    step: int32 scalar, the number of updates of the generator's side.
    networks: {name: TrainState}: "generator", "discriminator", and any other trained network.
    ema: {name: full variables} of the averaged networks: parameters are averaged, other collections copied.
    extra: {name: arrays} of other state, replicated: the sums of LeCam, image pools.
    frozen: {name: arrays} that no update changes and no checkpoint holds: pretrained and random networks. `Recipe.init`
            leaves it empty; the loop fills it in from `Recipe.frozen`.
    """

    step: jax.Array
    networks: dict[str, TrainState]
    ema: dict[str, Any]
    extra: dict[str, Any]
    frozen: dict[str, Any] = struct.field(default_factory=dict)

    @classmethod
    def create(cls, networks: dict[str, TrainState], averaged: tuple[str, ...], extra: dict | None = None) -> "State":
        """Return the state at step 0. averaged: the names of the networks to average."""
        # Copies, because a donated state must not hold the same buffer twice.
        ema = {name: jax.tree.map(jnp.copy, networks[name].variables) for name in averaged}
        return cls(jnp.zeros((), jnp.int32), networks, ema, extra or {})

    def variables(self, names: Sequence[str]) -> dict[str, dict]:
        """Return {name: variables} of these networks, averaged if `ema` has them, else the newest."""
        return {name: self.ema[name] if name in self.ema else self.networks[name].variables for name in names}


def ema_decay(images: jax.Array, batch_size: int, half_life: float, ramp: float) -> jax.Array:
    """Return beta = 0.5^(batch / half-life), the half-life in images (Karras et al. 2020, arXiv 1912.04958).

    With `ramp` > 0 the half-life is at most `ramp * images` (seen so far), so that early weights soon fade.
    A half-life of 0 gives beta = 0: no averaging.
    """
    if ramp > 0:
        half_life = jnp.minimum(half_life, ramp * images)
    return jnp.where(half_life > 0, 0.5 ** (batch_size / jnp.maximum(half_life, 1e-8)), 0.0)


def update_ema(ema: dict, variables: dict, decay: jax.Array) -> dict:
    """Return the new average: `decay * ema + (1 - decay) * new` for parameters; other collections are copied."""
    params = optax.incremental_update(variables["params"], ema["params"], 1 - decay)
    params = jax.tree.map(lambda new, old: new.astype(old.dtype), params, ema["params"])
    return {**variables, "params": params}
