"""AlexNet (Krizhevsky 2014, arXiv 1404.5997), the ImageNet classifier of torchvision, up to its last convolution."""

from collections.abc import Mapping

import flax.linen as nn
import jax
import numpy as np

from ganjax.nets.layers import Conv
from ganjax.nets.pretrained import vgg

SMALLEST = 31  # pixels per side: relu5 then has one pixel
LAYERS = (  # features, side of the kernel, stride, padding, index in torchvision's `features`, max pool before
    (64, 11, 4, 2, 0, False),
    (192, 5, 1, 2, 3, True),
    (384, 3, 1, 1, 6, True),
    (256, 3, 1, 1, 8, False),
    (256, 3, 1, 1, 10, False),
)


normalise = vgg.normalise


class AlexNet(nn.Module):
    """Images (B, H, W, 3), as `normalise` returns them -> {tap: float32 features (B, H', W', C)}.

    Taps: "relu1" to "relu5"; layers after the last tap are not run. Raises ValueError if a tap is unknown or a side has
    fewer than 31 pixels.
    """

    taps: tuple[str, ...] = ("relu1", "relu2", "relu3", "relu4", "relu5")

    @nn.compact
    def __call__(self, images: jax.Array) -> dict[str, jax.Array]:
        names = [f"relu{i}" for i in range(1, 6)]
        unknown = [tap for tap in self.taps if tap not in names]
        if unknown or not self.taps:
            raise ValueError(f"AlexNet has no tap {unknown}; its taps are {', '.join(names)}")
        if min(images.shape[1:3]) < SMALLEST:
            raise ValueError(f"images {images.shape} are too small for AlexNet: it needs sides of {SMALLEST} pixels")
        last = max(names.index(tap) for tap in self.taps)
        layers, x = {}, images
        for i, (features, side, stride, pad, _, pool) in enumerate(LAYERS[: last + 1], 1):
            x = nn.max_pool(x, (3, 3), (2, 2)) if pool else x
            layer = Conv(features, (side, side), (stride, stride), ((pad, pad), (pad, pad)), name=f"conv{i}")
            x = layers[f"relu{i}"] = nn.relu(layer(x))
        return {tap: layers[tap] for tap in self.taps}


def variables(arrays: Mapping[str, np.ndarray]) -> dict:
    """Return the variables of `AlexNet` from torchvision's state dict.

    Raises UserError if an array is missing or has another shape; other arrays are ignored.
    """
    params, inputs = {}, 3
    for i, (features, side, _, _, index, _) in enumerate(LAYERS, 1):
        params[f"conv{i}"] = vgg.conv(arrays, f"features.{index}", (features, inputs, side, side), "AlexNet")
        inputs = features
    return {"params": params}
