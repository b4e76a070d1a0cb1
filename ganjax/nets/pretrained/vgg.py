"""VGG-16 and -19 (Simonyan and Zisserman 2015, arXiv 1409.1556), the ImageNet classifiers of torchvision."""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ganjax.nets.layers import Conv
from ganjax.system import pth

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels in [0, 1], for (x - MEAN) / STD
WIDTHS = (64, 128, 256, 512, 512)
DEPTHS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
HEAD = (512 * 7 * 7, 4096)  # inputs and features of fc1
FC2_SIDE = 224


def convolutions(layers: int) -> list[tuple[str, int, int]]:
    """Return (name, features, index in torchvision's `features`) of every convolution.

    Raises ValueError unless `layers` is 16 or 19.
    """
    if layers not in DEPTHS:
        raise ValueError(f"VGG has 16 or 19 layers, not {layers}")
    specs, index = [], 0
    for stage, (width, depth) in enumerate(zip(WIDTHS, DEPTHS[layers], strict=True), 1):
        for i in range(1, depth + 1):
            specs.append((f"{stage}_{i}", width, index))
            index += 2  # in torchvision the ReLU is a layer
        index += 1  # and so is the pool
    return specs


def normalise(images: jax.Array) -> jax.Array:
    """Return the input of `VGG`, and of `alexnet.AlexNet`, for images (B, H, W, 3) in [-1, 1]."""
    return ((images + 1) / 2 - jnp.asarray(MEAN, images.dtype)) / jnp.asarray(STD, images.dtype)


class VGG(nn.Module):
    """Images (B, H, W, 3), as `normalise` returns them -> {tap: float32 features}.

    Taps: "relu1_1" to "relu5_3" (19: "relu5_4"), (B, H / 2^(stage - 1), W / .., C), and "fc2" after its ReLU, (B, 4096)
    for images of 224x224 pixels; layers after the last tap are not run. Raises ValueError for another tap or size.
    """

    layers: int = 16
    taps: tuple[str, ...] = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")

    @nn.compact
    def __call__(self, images: jax.Array) -> dict[str, jax.Array]:
        names = [f"relu{name}" for name, _, _ in convolutions(self.layers)] + ["fc2"]
        unknown = [tap for tap in self.taps if tap not in names]
        if unknown or not self.taps:
            raise ValueError(f"VGG-{self.layers} has no tap {unknown}; its taps are {', '.join(names)}")
        if "fc2" in self.taps and images.shape[1:3] != (FC2_SIDE, FC2_SIDE):
            raise ValueError(f"the tap fc2 needs images of {FC2_SIDE}x{FC2_SIDE} pixels, not {images.shape}")
        last = max(names.index(tap) for tap in self.taps)
        activations, x = {}, images
        for name, features, _ in convolutions(self.layers)[: last + 1]:
            if name.endswith("_1") and name != "1_1":
                x = nn.max_pool(x, (2, 2), (2, 2))
            x = nn.relu(Conv(features, (3, 3), padding=((1, 1), (1, 1)), name=f"conv{name}")(x))
            activations[f"relu{name}"] = x
        if "fc2" in self.taps:
            x = nn.max_pool(x, (2, 2), (2, 2)).reshape(len(x), -1)
            for name in ("fc1", "fc2"):
                x = nn.relu(nn.Dense(HEAD[1], name=name)(x))
            activations["fc2"] = x
        return {tap: activations[tap] for tap in self.taps}


def variables(arrays: Mapping[str, np.ndarray], layers: int = 16, fc2: bool = False) -> dict:
    """Return the variables of `VGG` from torchvision's state dict; with `fc2` also those of the tap "fc2" (477 MB).

    Raises UserError if an array is missing or has another shape; other arrays are ignored.
    """
    params, inputs = {}, 3
    for name, features, index in convolutions(layers):
        params[f"conv{name}"] = conv(arrays, f"features.{index}", (features, inputs, 3, 3), f"VGG-{layers}")
        inputs = features
    if fc2:
        weight = pth.take(arrays, "classifier.0.weight", HEAD[::-1], f"VGG-{layers}")
        # The inputs of fc1 are ordered (channel, row, column) in torchvision, (row, column, channel) here.
        weight = weight.reshape(-1, 512, 7, 7).transpose(2, 3, 1, 0).reshape(HEAD)
        bias = pth.take(arrays, "classifier.0.bias", HEAD[1:], f"VGG-{layers}")
        params["fc1"] = {"kernel": weight, "bias": bias}
        weight = pth.take(arrays, "classifier.3.weight", (HEAD[1], HEAD[1]), f"VGG-{layers}")
        bias = pth.take(arrays, "classifier.3.bias", HEAD[1:], f"VGG-{layers}")
        params["fc2"] = {"kernel": np.ascontiguousarray(weight.T), "bias": bias}
    return {"params": params}


def conv(arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...], net: str) -> dict:
    """Return {"kernel" (kh, kw, I, O), "bias" (O,)} of PyTorch's layer `name`, whose weight is `shape` (O, I, kh, kw).

    Raises UserError, which names the net `net`, if an array is missing or has another shape.
    """
    weight = pth.take(arrays, f"{name}.weight", shape, net)
    kernel = np.ascontiguousarray(weight.transpose(2, 3, 1, 0))
    return {"kernel": kernel, "bias": pth.take(arrays, f"{name}.bias", shape[:1], net)}
