"""Networks conditioned on labels, int32 (B, A): the value of each of A attributes, -1 if unknown."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ganjax.nets.spectral import weighted
from ganjax.state import DOutput, GOutput

Dtype = Any


def multi_hot(label: jax.Array, sizes: Sequence[int], dtype: Dtype = jnp.float32) -> jax.Array:
    """Return (B, sum of sizes): the one-hot vectors of all attributes, concatenated; zeros for unknown values.

    A label of floats is one already, perhaps between two classes.
    """
    if jnp.issubdtype(label.dtype, jnp.floating):
        return label.astype(dtype)
    return jnp.concatenate([jax.nn.one_hot(label[:, a], size, dtype=dtype) for a, size in enumerate(sizes)], -1)


class ConditionalNorm(nn.Module):
    """x (B, H, W, C), condition (B, F) -> batch_norm(x) * (1 + gain) + bias, gain and bias linear in the condition.

    de Vries et al. 2017 (arXiv 1707.00683). By default gain and bias are 0 at initialisation: a plain batch norm.
    """

    weight: str = "none"
    kernel_init: Callable = nn.initializers.zeros_init()
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, condition: jax.Array, *, train: bool) -> jax.Array:
        dtypes = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        plain = nn.BatchNorm(
            use_running_average=not train, momentum=0.9, use_scale=False, use_bias=False, name="norm", **dtypes
        )

        def linear(name):
            fields = {"use_bias": False, "kernel_init": self.kernel_init, **dtypes}
            layer = weighted(self.weight, train, nn.Dense, x.shape[-1], name=name, **fields)
            return layer(condition)[:, None, None]

        return plain(x) * (1 + linear("gain")) + linear("bias")


class Concatenated(nn.Module):
    """An unconditional generator, whose input is z concatenated with an embedding of the label (arXiv 1411.1784)."""

    net: nn.Module
    sizes: Sequence[int]
    features: int = 64

    @nn.compact
    def __call__(self, z: jax.Array, label: jax.Array, *, train: bool) -> GOutput:
        embed = nn.Dense(self.features, use_bias=False, param_dtype=z.dtype, name="embed")
        return self.net(jnp.concatenate([z, embed(multi_hot(label, self.sizes, z.dtype))], -1), train=train)


class Projected(nn.Module):
    """A discriminator to whose logits <embedding of the label, features> is added (Miyato & Koyama 2018, arXiv
    1802.05637, eq. 3). Feature maps are summed over their pixels first; all logits of an image get the same term.
    """

    net: nn.Module
    sizes: Sequence[int]
    weight: str = "spectral"
    kernel_init: Callable = nn.initializers.xavier_uniform()

    @nn.compact
    def __call__(self, x: Any, label: jax.Array, *, train: bool, **inputs) -> DOutput:
        out = self.net(x, train=train, **inputs)
        flat = _sum_over_pixels(out.features[-1])
        fields = {"use_bias": False, "kernel_init": self.kernel_init, "param_dtype": flat.dtype}
        embed = weighted(self.weight, train, nn.Dense, flat.shape[-1], name="embed", **fields)
        embedding = embed(multi_hot(label, self.sizes, flat.dtype))
        product = jnp.sum(embedding * flat, -1)
        logits = out.logits[0]
        return out._replace(logits=(logits + product.reshape(-1, *(1,) * (logits.ndim - 1)),))


class Classified(nn.Module):
    """A discriminator with AC-GAN's class head, whose logits (B, sum of sizes) it returns as `classes`.

    The head is linear in the features summed over their pixels (Odena et al. 2017, arXiv 1610.09585).
    """

    net: nn.Module
    sizes: Sequence[int]
    weight: str = "spectral"
    kernel_init: Callable = nn.initializers.xavier_uniform()

    @nn.compact
    def __call__(self, x: Any, label: jax.Array | None = None, *, train: bool, **inputs) -> DOutput:
        out = self.net(x, train=train, **inputs)
        flat = _sum_over_pixels(out.features[-1])
        fields = {"kernel_init": self.kernel_init, "param_dtype": flat.dtype}
        head = weighted(self.weight, train, nn.Dense, sum(self.sizes), name="classes", **fields)
        return out._replace(classes=head(flat))


def _sum_over_pixels(features: jax.Array) -> jax.Array:
    wide = features.astype(jnp.promote_types(features.dtype, jnp.float32))
    return wide if wide.ndim == 2 else wide.reshape(len(wide), -1, wide.shape[-1]).sum(1)
