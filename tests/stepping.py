"""A tiny run of a recipe from noise: its config, a batch, some steps; or its shapes alone."""

import jax
import jax.numpy as jnp
from tiny import config_of

from ganjax import recipe
from ganjax.config import derived
from ganjax.config.check import check


def tiny(name, batch=4, **changes):
    """Return the smallest config of a recipe, 16 px."""
    config = config_of(f"{name}:debug")
    config.batch_size, config.total_images, config.data.resolution, config.d_steps = batch, 400, 16, 1
    config.data.labels, config.data.classes, config.data.class_counts = False, ("a", "b", "c"), (4, 2, 1)
    config.condition.kind = "none"
    if name in ("r3gan", "r3gan2", "stylegan2"):
        config.update_from_flattened_dict(changes)
        return check(config)
    config.loss.kind, config.penalty.wgan_gp = "non_saturating", 0.0
    if name == "dcgan":
        config.model.generator.width = config.model.discriminator.width = 4
        config.model.generator.norm = config.model.discriminator.norm = "layer"
    else:
        config.model.width, config.model.discriminator.downs = 1.0, 2
        config.model.generator.widths, config.model.discriminator.widths = (4, 4, 4), (4, 4)
        config.model.z_dim = 6
        if name in ("sagan", "biggan"):
            config.model.generator.attention = config.model.discriminator.attention = (0,)
    config.update_from_flattened_dict(changes)
    return check(config)


def batch_of(config, gan, dtype=jnp.float32):
    count, (h, w) = config.batch_size * gan.parts, derived.size(config)
    image = jax.random.uniform(jax.random.key(5), (count, h, w, 3), dtype, -1, 1)
    return {"image": image, "label": jnp.arange(count) % 3}


def started(config, dtype=jnp.float32):
    """Return (recipe, state, batch) of a run."""
    gan = recipe.build(config)
    batch = batch_of(config, gan, dtype)
    return gan, jax.jit(gan.init)(jax.random.key(0), batch).replace(frozen=gan.frozen()), batch


def stepped(config, steps=1, dtype=jnp.float32):
    gan, state, batch = started(config, dtype)
    step = jax.jit(gan.step)
    for i in range(steps):
        state, metrics = step(state, batch, jax.random.key(i + 1))
    return state, metrics


def shapes(config):
    """Return (recipe, state, batch), the state as shapes: whatever the networks forbid is raised, nothing compiled."""
    gan = recipe.build(config)
    batch = batch_of(config, gan)
    return gan, jax.eval_shape(gan.init, jax.random.key(0), batch).replace(frozen=gan.frozen()), batch


def params(state):
    """Return {network: parameters}."""
    return {name: network.params for name, network in state.networks.items()}


def assert_traced(config):
    """Return the shapes of a step's results: whatever cannot be computed fails here too, and nothing is compiled."""
    gan, state, batch = shapes(config)
    after, metrics = jax.eval_shape(gan.step, state, batch, jax.random.key(1))
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(lambda x: (x.shape, x.dtype), state)
    assert {"d_loss", "g_loss", "d_real", "d_fake"} <= set(metrics)
    return metrics
