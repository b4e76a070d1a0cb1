"""Spectral normalisation (Miyato et al. 2018, arXiv 1802.05957)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

COLLECTION = "spectral"


class SpectralNorm(nn.Module):
    """Run `layer` with its kernel W divided by an estimate of its largest singular value, sigma = u^T W v.

    W is the kernel as a matrix (inputs, features). With train=True each call does one step of the power iteration,
    v = W u / |W u|, u = W^T v / |W^T v|, and keeps both in the collection "spectral" where that is mutable; else sigma
    follows from the vectors kept. Gradients flow through W in sigma, not through u and v. Biases are left alone.
    """

    layer: nn.Module

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        def divide(variables):
            params = dict(variables["params"])
            params["kernel"] = params["kernel"] / self._sigma(params["kernel"], train)
            return {**variables, "params": params}

        run = nn.map_variables(
            lambda layer, x: layer(x), "params", trans_in_fn=divide, init=self.is_initializing(), mutable=True
        )
        return run(self.layer, x)

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


def _unit(x: jax.Array) -> jax.Array:
    return x / jnp.maximum(jnp.linalg.norm(x), 1e-12)
