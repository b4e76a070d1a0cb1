"""Distributions of latents, and the uses of a trained generator of them."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from ganjax.adversarial.image_keys import LABEL
from ganjax.adversarial.players import GENERATOR
from ganjax.config.derived import dtypes
from ganjax.data import labels
from ganjax.recipe import Method


def normal_latents(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Return vectors (B, D) from N(0, 1)."""
    return jax.random.normal(key, shape, dtype)


def uniform_latents(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Return vectors (B, D) from U(-1, 1)."""
    return jax.random.uniform(key, shape, dtype, -1, 1)


def sphere_latents(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Return vectors (B, D) uniform on the sphere of radius sqrt(D): their components have the mean square 1."""
    z = jax.random.normal(key, shape, dtype)
    return z * jax.lax.rsqrt(jnp.mean(z * z, -1, keepdims=True))


LATENTS = {"normal": normal_latents, "uniform": uniform_latents, "sphere": sphere_latents}


def methods(
    config: ConfigDict, generator: nn.Module, latents: Callable, label_sets: labels.Labels | None, styled: bool
) -> dict[str, Method]:
    """Return the uses of a trained generator: `sample`, and its two halves, `map` from latents to codes, `synthesize`
    from codes to images. latents: (key, count) -> z (count, z_dim).
    """
    dtype = dtypes(config.precision)[1]

    def inputs(key: jax.Array, count: int, batch: dict | None = None) -> dict[str, jax.Array]:
        noise = {"z": latents(key, count)}
        return {**noise, "label": label_sets.draw(jax.random.fold_in(key, LABEL), count)} if label_sets else noise

    def image_of(variables: dict, key: jax.Array, z: jax.Array, label: jax.Array | None) -> jax.Array:
        return generator.apply(variables[GENERATOR], z, label, train=False, rngs={"noise": key}).image

    def sample(variables: dict, key: jax.Array, inputs: dict) -> dict[str, jax.Array]:
        image = image_of(variables, key, inputs["z"], inputs.get("label"))
        return {"image": jnp.clip(image, -1, 1)}  # some generators have no tanh

    def mapped(variables: dict, key: jax.Array, inputs: dict) -> dict[str, jax.Array]:
        if not styled:
            return {"codes": inputs["z"][:, None]}
        arguments = inputs["z"], inputs.get("label")
        return {"codes": generator.apply(variables[GENERATOR], *arguments, train=False, method="map")}

    def codes(key: jax.Array, count: int, batch: dict | None = None) -> dict[str, jax.Array]:
        shape = (count, generator.layers, generator.w_dim) if styled else (count, 1, config.model.z_dim)
        drawn = {name: array for name, array in inputs(key, count).items() if name == "label"}
        return {"codes": jnp.zeros(shape, dtype), **drawn}

    def synthesize(variables: dict, key: jax.Array, inputs: dict) -> dict[str, jax.Array]:
        if not styled:
            return {"image": image_of(variables, key, inputs["codes"][:, 0], inputs.get("label"))}
        return {"image": generator.apply(variables[GENERATOR], inputs["codes"], method="synthesize")}

    uses = {"sample": (inputs, sample), "map": (inputs, mapped), "synthesize": (codes, synthesize)}
    return {name: Method((GENERATOR,), *use) for name, use in uses.items()}
