"""Layers whose kernel is divided or scaled at run time: spectral normalisation, equalised learning rate."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

COLLECTION = "spectral"


class SpectralNorm(nn.Module):
    """Run `layer` with its kernel W divided by an estimate of its largest singular value, sigma = u^T W v (Miyato et
    al. 2018, arXiv 1802.05957).

    W is the kernel as a matrix (inputs, features). With train=True each call does one step of the power iteration,
    v = W u / |W u|, u = W^T v / |W^T v|, and keeps both in the collection "spectral" where that is mutable; else sigma
    follows from the vectors kept. Gradients flow through W in sigma, not through u and v. Biases are left alone.
    """

    layer: nn.Module

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        return _run(self, lambda kernel: kernel / self._sigma(kernel, train), x)

    def _sigma(self, kernel: jax.Array, train: bool) -> jax.Array:
        matrix = kernel.reshape(-1, kernel.shape[-1])

        def start(size):
            return _unit(jax.random.normal(self.make_rng("params"), (size,), kernel.dtype))

        u = self.variable(COLLECTION, "u", lambda: start(matrix.shape[1]))
        v = self.variable(COLLECTION, "v", lambda: _unit(matrix @ u.value))
        new_u, new_v = u.value, v.value
        if train:
            fixed = jax.lax.stop_gradient(matrix)
            new_v = _unit(fixed @ new_u)
            new_u = _unit(fixed.T @ new_v)
            if self.is_mutable_collection(COLLECTION) and not self.is_initializing():
                u.value, v.value = new_u, new_v
        return new_v @ matrix @ new_u


class Equalized(nn.Module):
    """Run `layer` with its kernel, drawn from N(0, 1), times gain / sqrt(inputs) (Karras et al. 2018, arXiv
    1710.10196, section 4.1). Adam, whose steps do not depend on a gradient's scale, then changes all layers at one
    relative rate.
    """

    layer: nn.Module
    gain: float = 1.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return _run(self, lambda kernel: kernel * (self.gain / (kernel.size // kernel.shape[-1]) ** 0.5), x)


WEIGHTS = ("none", "spectral", "equalized")


def weighted(kind: str, train: bool, layer: type[nn.Module], *args, **fields) -> Callable:
    """Return x -> layer(*args, **fields)(x) with its kernel as `kind` says, within a parent's compact method.

    "equalized" draws the kernel from N(0, 1), whatever `kernel_init`, with the gain sqrt(2) that keeps a ReLU's
    variance. Raises ValueError for an unknown kind.
    """
    if kind == "none":
        return layer(*args, **fields)
    if kind == "spectral":
        wrapper = SpectralNorm(layer(*args, **fields), name=f"sn_{fields['name']}")
        return lambda x: wrapper(x, train=train)
    if kind == "equalized":
        normal = layer(*args, **{**fields, "kernel_init": nn.initializers.normal(1.0)})
        return Equalized(normal, 2**0.5, name=f"eq_{fields['name']}")
    raise ValueError(f"weight {kind!r} is not one of {', '.join(WEIGHTS)}")


def _run(wrapper: nn.Module, change: Callable, x: jax.Array) -> jax.Array:
    """Run wrapper.layer on x with its kernel changed; the kernel itself stays as it was drawn."""
    if wrapper.is_initializing():
        wrapper.layer(x)

    def changed(variables):
        params = dict(variables["params"])
        return {**variables, "params": {**params, "kernel": change(params["kernel"])}}

    return nn.map_variables(lambda layer, x: layer(x), "params", trans_in_fn=changed)(wrapper.layer, x)


def _unit(x: jax.Array) -> jax.Array:
    return x / jnp.maximum(jnp.linalg.norm(x), 1e-12)
