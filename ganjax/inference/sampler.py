"""Run a trained model's method: draw samples in chunks, and translate batches of images."""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from ganjax import rng
from ganjax.data import labels
from ganjax.ops.shard import everywhere
from ganjax.recipe import Method
from ganjax.system.progress import progress_bar

CHUNK = 64


def sampler(method: Method) -> Callable:
    """Return the function (variables, num, seed=0, progress=False, label_request=None) -> images.

    The images are one NumPy array (num, H, W, C) in [-1, 1]: the chunks of `chunk_sampler`.
    """
    chunks = chunk_sampler(method)

    def draw(
        variables, num: int, seed: int = 0, progress: bool = False, label_request: np.ndarray | None = None
    ) -> np.ndarray:
        return np.concatenate(list(chunks(variables, num, seed, progress, label_request)))

    return draw


def chunk_sampler(method: Method) -> Callable:
    """Return the function (variables, num, seed=0, progress=False, label_request=None) -> an iterator of images.

    It yields NumPy arrays (n, H, W, C) in [-1, 1] of CHUNK images, the last of fewer, `num` in all. Image i depends on
    (seed, i) and the label request only, so a larger `num` begins with the same images. The label request, int32 (A,),
    is for conditional generators: the value of each attribute, or OPEN to draw it as in the data.
    """
    label_spec = jax.eval_shape(lambda: method.inputs(rng.key(0, "inputs"), CHUNK)).get("label")

    @jax.jit
    def chunk(variables, input_key, key, label_request):
        inputs = method.inputs(input_key, CHUNK)
        if label_spec is not None:
            inputs["label"] = jnp.where(label_request == labels.OPEN, inputs["label"], label_request)
        return everywhere(method.apply(variables, key, inputs)["image"])

    def draw(
        variables, num: int, seed: int = 0, progress: bool = False, label_request: np.ndarray | None = None
    ) -> Iterator[np.ndarray]:
        if label_request is None and label_spec is not None:
            label_request = np.full(label_spec.shape[1], labels.OPEN, np.int32)
        chunks = range(-(-num // CHUNK))
        for i in progress_bar(chunks, shown=progress, desc="sampling", unit_scale=CHUNK, unit=" images"):
            keys = rng.key(seed, "inputs", i), rng.key(seed, "sample", i)
            yield jax.device_get(chunk(variables, *keys, label_request))[: num - i * CHUNK]

    return draw


def sampled_labels(method: Method, num: int, seed: int = 0) -> np.ndarray:
    """Return the labels, int32 (num, A), of the images that a conditional method's sampler draws with this seed."""
    chunks = [method.inputs(rng.key(seed, "inputs", i), CHUNK)["label"] for i in range(-(-num // CHUNK))]
    return np.concatenate(chunks)[:num]


def translation(method: Method) -> Callable:
    """Return the function (variables, images (n, H, W, C) in [-1, 1]) -> their translations, a NumPy array."""

    @jax.jit
    def translate(variables, key, image):
        return everywhere(method.apply(variables, key, {"image": image})["image"])

    def run(variables, image: np.ndarray) -> np.ndarray:
        return jax.device_get(translate(variables, rng.key(0, "translate"), image))

    return run
