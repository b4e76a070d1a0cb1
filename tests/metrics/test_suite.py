"""What the table of metrics itself decides."""

import numpy as np

from ganjax import evaluate
from ganjax.metrics.sets import Side


def test_the_larger_side_is_sampled_whatever_its_order():
    """A folder comes in the order of its labels: its first images would stand for one of them only."""
    rng = np.random.default_rng(0)
    labels = np.arange(400) // 200
    images = rng.integers(0, 80, (400, 16, 16, 3)) + 150 * labels[:, None, None, None]
    real, few = Side(images.astype(np.uint8)), Side(images[::4].astype(np.uint8))
    for name in ("colour", "patch_fd", "swd"):
        result = evaluate.score((name,), real, few)[name]
        one = evaluate.score((name,), real, Side(images[:100].astype(np.uint8)))[name]
        assert result["value"] < one["value"] / 2, name
