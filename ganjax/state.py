"""The state of a run: one pytree that holds everything a run needs to go on."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from flax.training import train_state


class TrainState(train_state.TrainState):
    """Flax's TrainState and `mutable`: every collection that is not parameters (`batch_stats`, spectral vectors)."""

    mutable: Any

    @classmethod
    def from_variables(cls, apply_fn, variables: dict, tx: optax.GradientTransformation) -> "TrainState":
        """Split what `Module.init` returned into parameters and mutable collections; `tx` optimises the former."""
        # Flax makes batch statistics float32; in float64 the first step would change their type.
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


class GANState(struct.PyTreeNode):
    """One pytree for the loop and the checkpoint.

    step: int32 scalar, the G updates done.
    ema: the generator's full variables, parameters averaged, other collections copied.
    extra: a dict of arrays that the recipe's `init` fixes; replicated unless the recipe says otherwise.
    """

    step: jax.Array
    generator: TrainState
    discriminator: TrainState
    ema: Any
    extra: dict

    @classmethod
    def create(cls, generator: TrainState, discriminator: TrainState, extra: dict | None = None) -> "GANState":
        # A copy: the donated step must not be given the same buffer twice.
        ema = jax.tree.map(jnp.copy, generator.variables)
        return cls(jnp.zeros((), jnp.int32), generator, discriminator, ema, extra or {})


def ema_decay(images: jax.Array, batch_size: int, half_life: float, ramp: float) -> jax.Array:
    """Return beta = 0.5^(batch / half-life), the half-life in images (Karras et al. 2020, arXiv 1912.04958).

    With `ramp` > 0 the half-life is at most `ramp * images` seen, so that early weights are soon forgotten.
    A half-life of 0 gives beta = 0: no averaging.
    """
    if ramp > 0:
        half_life = jnp.minimum(half_life, ramp * images)
    return jnp.where(half_life > 0, 0.5 ** (batch_size / jnp.maximum(half_life, 1e-8)), 0.0)


def update_ema(ema: dict, variables: dict, decay: jax.Array) -> dict:
    """Average the parameters, `ema = decay * ema + (1 - decay) * new`; copy every other collection."""
    params = optax.incremental_update(variables["params"], ema["params"], 1 - decay)
    params = jax.tree.map(lambda new, old: new.astype(old.dtype), params, ema["params"])
    return {**variables, "params": params}
