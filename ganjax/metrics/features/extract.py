"""Features of images by a frozen network: of every image, in order, for any batch size, devices and hosts."""

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np

from ganjax.ops.shard import everywhere
from ganjax.system import devices
from ganjax.system.progress import progress_bar

VERSION = 1  # of the preprocessing and the networks: raise it with any change that alters the features


class Extractor(NamedTuple):
    """A frozen network with everything that its features depend on.

    apply: (variables, uint8 images (B, H, W, C)) -> {tap: float32 (B, D)}, pure. sha256: of the weights.
    """

    name: str
    sha256: str
    resizer: str
    apply: Callable
    variables: dict

    @property
    def identity(self) -> dict[str, str]:
        """The extractor and resizer, with which a metric's value must be published."""
        return {"extractor": f"{self.name}@sha256:{self.sha256[:16]}", "resizer": self.resizer}


def batches(extractor: Extractor, images: np.ndarray, batch: int = 64, progress: bool = False) -> Iterator[dict]:
    """Yield {tap: float32 (b, D)} of the uint8 images (N, H, W, C), batch by batch; only the last may be smaller.

    Under `jax.set_mesh` each batch is split over the devices of all hosts; each host has all images and gets all
    features. The last batch is padded with repeats, whose features are dropped. Convolutions and products are computed
    in full float32, even if the backend by default rounds their operands (TF32, bfloat16).
    """
    mesh = jax.sharding.get_mesh()
    count = 1 if mesh.empty else mesh.size
    batch = -(-min(batch, max(len(images), 1)) // count) * count
    put = functools.partial(_put, mesh=None if mesh.empty else mesh)
    variables = jax.device_put(extractor.variables, None if mesh.empty else devices.replicated(mesh))
    starts = range(0, len(images), batch)
    settings = {"desc": extractor.name, "unit": " images", "total": len(images)}
    program = _compiled(extractor.apply)
    with progress_bar(shown=progress, leave=False, **settings) as bar:
        pending = None  # features are read one batch late, so that the device never waits for the host
        for start in [*starts, None]:
            if start is not None:
                rows = np.minimum(np.arange(start, start + batch), len(images) - 1)
                with jax.default_matmul_precision("highest"):
                    features = program(variables, put(images[rows]))
            if pending is not None:
                count = min(batch, len(images) - pending[0])
                yield {tap: np.asarray(jax.device_get(value))[:count] for tap, value in pending[1].items()}
                bar.update(count)
            pending = None if start is None else (start, features)


@functools.lru_cache(maxsize=16)
def _compiled(apply: Callable) -> Callable:
    return jax.jit(lambda variables, images: jax.tree.map(everywhere, apply(variables, images)))


def _put(images: np.ndarray, mesh) -> jax.Array:
    if mesh is None:
        return jax.device_put(images)
    share = len(images) // jax.process_count()
    mine = images[jax.process_index() * share : (jax.process_index() + 1) * share]
    return devices.put({"images": mine}, mesh)["images"]


def features(
    extractor: Extractor, images: np.ndarray, batch: int = 64, progress: bool = False
) -> dict[str, np.ndarray]:
    """Return {tap: float32 (N, D)} of all images, in their order, as `batches` computes them."""
    parts = list(batches(extractor, images, batch, progress))
    return {tap: np.concatenate([part[tap] for part in parts]) for tap in parts[0]}
