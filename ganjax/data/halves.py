"""Images that hold a pair side by side: A on the left, B on the right."""

from collections.abc import Sequence

import ml_collections
from PIL import Image

from ganjax.data.images import ImageError

MIDDLE = (0.0, 0.5)  # values of split_at that cut in the middle
NEAR = 0.03  # relative tolerance between the aspect ratios of an image and of the training images


class Half:
    """Source over one half (0: left, 1: right) of each image of another source, cut at `split_at`."""

    classes = ()

    def __init__(self, both, half: int, split_at: float = 0.0):
        self.both, self.half, self.split_at = both, half, split_at
        self.identity = {**both.identity, "half": half}
        if split_at not in MIDDLE:
            self.identity["split_at"] = split_at
        self.name, self.is_image = both.name, both.is_image

    def __len__(self) -> int:
        return len(self.both)

    def _columns(self, width: int) -> tuple[int, int]:
        """Return the (first, end) columns of this half. If the middle cuts an odd width, the last column is dropped."""
        middle = cut(width, self.split_at)
        end = 2 * middle if self.split_at in MIDDLE else width
        return ((0, middle), (middle, end))[self.half]

    def size(self, index: int) -> tuple[int, int]:
        """Return the (height, width) of the half, from the file's header. Raises ImageError."""
        height, width = self.both.size(index)
        left, right = self._columns(width)
        return height, right - left

    def read(self, index: int) -> tuple[Image.Image, int]:
        """Return (PIL image, -1). Raises ImageError."""
        image, _ = self.both.read(index)
        left, right = self._columns(image.width)
        return image.crop((left, 0, right, image.height)), -1


def cut(width: int, split_at: float) -> int:
    """Return the column at which B begins. split_at: in pixels, or below 1 a share of the width; 0 for the middle.

    Raises ImageError if either part is empty.
    """
    middle = int(split_at) if split_at >= 1 else int(width * (split_at or 0.5) + 1e-9)
    if not 0 < middle < width:
        raise ImageError(f"too narrow to hold two images: {width} pixels, cut at {middle}")
    return middle


def aspect(sizes: Sequence[tuple[int, int]]) -> float:
    """Return the median of width / height over sizes (height, width)."""
    return sorted(width / height for height, width in sizes)[len(sizes) // 2]


def is_side_by_side(config: ml_collections.ConfigDict, size: tuple[int, int]) -> bool:
    """Return whether an image of (height, width) has the aspect ratio of the side-by-side pairs of a run's training.

    Always False if the run was trained on two folders, or by an older version, which did not record the aspect ratio.
    """
    training_aspect = config.data.get("side_by_side", 0.0)
    return bool(training_aspect) and abs(size[1] / size[0] / training_aspect - 1) < NEAR


def left_half(image: Image.Image, config: ml_collections.ConfigDict) -> Image.Image:
    """Return the A half of an image that holds A and B. Raises ImageError if the image is too narrow."""
    return image.crop((0, 0, cut(image.width, config.data.get("split_at", 0.0)), image.height))
