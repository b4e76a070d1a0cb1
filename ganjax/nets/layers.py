"""Flax layers computed by `ganjax.ops`; their fields and parameters are those of Flax's own layers."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ganjax.ops import conv as ops
from ganjax.ops.norm import instance_norm, moments, normalised, pixel_norm

Dtype = Any


class Conv(nn.Module):
    """`flax.linen.Conv` by `ops.conv`: (B, H, W, I) -> (B, H', W', features); kernel (kh, kw, I / groups, O)."""

    features: int
    kernel_size: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    padding: ops.Padding = "SAME"
    kernel_dilation: tuple[int, int] = (1, 1)
    feature_group_count: int = 1
    use_bias: bool = True
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32
    kernel_init: Callable = nn.initializers.lecun_normal()
    bias_init: Callable = nn.initializers.zeros_init()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x, kernel, bias = _parameters(self, x, x.shape[-1] // self.feature_group_count)
        y = ops.conv(x, kernel, self.strides, self.padding, self.kernel_dilation, self.feature_group_count)
        return y if bias is None else y + bias


class ConvTranspose(nn.Module):
    """`flax.linen.ConvTranspose` by `ops.conv_transpose`: (B, H, W, I) -> (B, H', W', features); SAME: H' = H s."""

    features: int
    kernel_size: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    padding: ops.Padding = "SAME"
    kernel_dilation: tuple[int, int] = (1, 1)
    use_bias: bool = True
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32
    kernel_init: Callable = nn.initializers.lecun_normal()
    bias_init: Callable = nn.initializers.zeros_init()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x, kernel, bias = _parameters(self, x, x.shape[-1])
        y = ops.conv_transpose(x, kernel, self.strides, self.padding, self.kernel_dilation)
        return y if bias is None else y + bias


class DoublingConv(nn.Module):
    """A 3x3 convolution after nearest upsampling, by `ops.conv_doubled`: (B, H, W, I) -> (B, 2 H, 2 W, features)."""

    features: int
    use_bias: bool = True
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32
    kernel_init: Callable = nn.initializers.lecun_normal()
    bias_init: Callable = nn.initializers.zeros_init()
    kernel_size: tuple[int, int] = (3, 3)

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x, kernel, bias = _parameters(self, x, x.shape[-1])
        y = ops.conv_doubled(x, kernel)
        return y if bias is None else y + bias


def _parameters(layer: nn.Module, x: jax.Array, inputs: int):
    """Return x, the kernel (kh, kw, inputs, features) and the bias or None, in the layer's dtype."""
    shape = (*layer.kernel_size, inputs, layer.features)
    kernel = layer.param("kernel", layer.kernel_init, shape, layer.param_dtype)
    bias = layer.param("bias", layer.bias_init, (layer.features,), layer.param_dtype) if layer.use_bias else None
    return nn.dtypes.promote_dtype(x, kernel, bias, dtype=layer.dtype)


class InstanceNorm(nn.Module):
    """`ops.norm.instance_norm`, whose statistics the collection "norms" can store and replace.

    If "norms" is mutable, the mean and variance of x are stored in it. Else, if the variables contain "norms", its mean
    and variance replace those of x, so that a tile is normalised by the statistics of the whole image.
    """

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        if self.is_initializing():
            return instance_norm(x)
        if self.is_mutable_collection("norms"):
            mean, variance = moments(x)
            self.put_variable("norms", "mean", mean)
            self.put_variable("norms", "variance", variance)
        elif self.has_variable("norms", "mean"):
            mean, variance = self.get_variable("norms", "mean"), self.get_variable("norms", "variance")
        else:
            mean, variance = moments(x)
        return normalised(x, mean, variance)


NORMS = ("batch", "layer", "instance", "pixel", "none")


def norm(kind: str, train: bool, dtype: Dtype | None, param_dtype: Dtype, name: str, scale_std: float = 0.02):
    """Return the normalisation layer `kind` of NORMS, a function of x (B, H, W, C); "none" is the identity.

    Batch norm has PyTorch's momentum 0.1 and eps 1e-5, and a scale from N(1, scale_std), 0.02 in DCGAN. Instance and
    pixel norm have no parameters. Raises ValueError if `kind` is not in NORMS.
    """
    dtypes = {"dtype": dtype, "param_dtype": param_dtype, "name": name}
    scale = nn.initializers.normal(scale_std)
    if kind == "batch":
        return nn.BatchNorm(
            use_running_average=not train,
            momentum=0.9,
            scale_init=lambda key, shape, dtype: 1 + scale(key, shape, dtype),
            **dtypes,
        )
    if kind == "layer":
        return nn.LayerNorm(reduction_axes=(1, 2, 3), epsilon=1e-5, **dtypes)
    if kind == "instance":
        return InstanceNorm(name=name)
    if kind == "pixel":
        return pixel_norm
    if kind == "none":
        return lambda x: x
    raise ValueError(f"norm {kind!r} is not one of {', '.join(NORMS)}")
