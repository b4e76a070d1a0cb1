"""The extractor that needs no download: a frozen random convolutional network.

Random networks rank generators much as trained ones do (Naeem et al. 2020, arXiv 2002.09797; Lee et al. 2022, arXiv
2208.09218), but on another scale: a distance between these features is not comparable with FID.
"""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np

from ganjax.metrics.features.extract import Extractor
from ganjax.ops.conv import conv

NAME = "randconv-v1"
# Hash of the kernels' bytes: other kernels would give other features under the same name.
SHA256 = "c7122fc753b8b597a0476ff71ae8d0cf227de15320e55a08af325d29f79e78f5"
WIDTHS, SEED = (32, 64, 128, 256), 1
TAP = "mean"


def kernels() -> list[np.ndarray]:
    """Return four kernels (3, 3, I, O), float32: uniform with He's variance, from the raw bits of NumPy's Philox.

    The arithmetic is in integers up to the last division, so that every version of NumPy and every processor gives the
    same bits. Half of the first layer's kernels have zero mean over space: they respond to edges and grain, the others
    mostly to colour.
    """
    bits, layers, inputs = np.random.Philox(SEED), [], 3
    for width in WIDTHS:
        raw = bits.random_raw(9 * inputs * width) >> np.uint64(33)
        kernel = 9 * (raw.astype(np.int64) - 2**30).reshape(3, 3, inputs, width)
        if not layers:
            kernel[..., : width // 2] -= kernel[..., : width // 2].sum((0, 1)) // 9
        layers.append((kernel / (9 * 2**30) * np.sqrt(3 * 2 / (9 * inputs))).astype(np.float32))
        inputs = width
    return layers


def digest(kernels: list[np.ndarray]) -> str:
    return hashlib.sha256(b"".join(kernel.tobytes() for kernel in kernels)).hexdigest()


def layers(kernels: list[jax.Array], images: jax.Array) -> list[jax.Array]:
    """Return each layer's outputs (B, H', W', C), ReLU after a convolution of stride 2.

    images: uint8 (B, H, W, 1 or 3) of any size; grey images are repeated to RGB, and nothing is resized.
    """
    x = jnp.broadcast_to(images.astype(jnp.float32) / 127.5 - 1, (*images.shape[:3], 3))
    maps = []
    for kernel in kernels:
        x = jax.nn.relu(conv(x, kernel, (2, 2)))
        maps.append(x)
    return maps


def apply(kernels: list[jax.Array], images: jax.Array) -> dict[str, jax.Array]:
    """Return {"mean": (B, 480)}: each of the `layers` averaged over space."""
    return {TAP: jnp.concatenate([x.mean((1, 2)) for x in layers(kernels, images)], 1)}


def distance(kernels: list[jax.Array], a: jax.Array, b: jax.Array) -> jax.Array:
    """Return the mean over pixels and layers, (B,), of 1 - the cosine of the features; 0 where both are zero.

    a, b: uint8 (B, H, W, C), of one shape.
    """
    total = 0.0
    for x, y in zip(layers(kernels, a), layers(kernels, b), strict=True):
        x, y = (z / jnp.maximum(jnp.linalg.norm(z, axis=-1, keepdims=True), 1e-10) for z in (x, y))
        total += jnp.mean(jnp.sum((x - y) ** 2, -1), (1, 2)) / 2
    return total / len(kernels)


def load() -> Extractor:
    """Return the extractor. Raises RuntimeError if the hash of the kernels is not SHA256."""
    layers = kernels()
    if digest(layers) != SHA256:
        raise RuntimeError(f"{NAME}: NumPy {np.__version__} gives other kernels: sha256 {digest(layers)}, not {SHA256}")
    return Extractor(NAME, SHA256, "none", apply, layers)
