"""Layers that rescale their kernel in each forward pass: spectral normalisation, equalised learning rate."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

COLLECTION = "spectral"


class SpectralNorm(nn.Module):
    """Run `layer` with its kernel W divided by an estimate of its largest singular value, sigma = u^T W v (Miyato et
    al. 2018, arXiv 1802.05957).

    W is the kernel as a matrix (inputs, features). With train=True each call does one step of the power iteration,
    v = W u / |W u|, u = W^T v / |W^T v|, and stores both in the collection "spectral" if it is mutable; with
    train=False sigma comes from the stored u and v. Gradients flow through W in sigma, not through u and v. Biases are
    not changed.
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
    """Run `layer` with its kernel, initialised from N(0, 1), times gain / sqrt(fan-in) (Karras et al. 2018, arXiv
    1710.10196, section 4.1). Adam, whose steps do not depend on the gradient's scale, then changes all layers at the
    same relative rate.
    """

    layer: nn.Module
    gain: float = 1.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return _run(self, lambda kernel: kernel * (self.gain / (kernel.size // kernel.shape[-1]) ** 0.5), x)


WEIGHTS = ("none", "spectral", "equalized")


def weighted(kind: str, train: bool, layer: type[nn.Module], *args, **fields) -> Callable:
    """Return the function x -> layer(*args, **fields)(x) with its kernel rescaled as `kind` of WEIGHTS says.

    Call it in the compact method of a parent module. "equalized" initialises the kernel from N(0, 1), whatever
    `kernel_init` is; its gain sqrt(2) keeps the variance after a ReLU. Raises ValueError if `kind` is not in WEIGHTS.
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
    """Return wrapper.layer(x) computed with the kernel change(kernel); the parameter itself does not change."""
    if wrapper.is_initializing():
        wrapper.layer(x)

    def with_changed_kernel(variables):
        params = dict(variables["params"])
        return {**variables, "params": {**params, "kernel": change(params["kernel"])}}

    return nn.map_variables(lambda layer, x: layer(x), "params", trans_in_fn=with_changed_kernel)(wrapper.layer, x)


def _unit(x: jax.Array) -> jax.Array:
    return x / jnp.maximum(jnp.linalg.norm(x), 1e-12)
