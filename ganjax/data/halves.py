"""Pictures that hold A, on the left, and B, on the right."""

from collections.abc import Sequence

import ml_collections
from PIL import Image

from ganjax.data.images import ImageError

MIDDLE = (0.0, 0.5)  # values of split_at
NEAR = 0.03  # by which the aspect of a picture may differ from the training's


class Half:
    """Source over one half, 0 the left and 1 the right, of the pictures of another source, cut at `split_at`."""

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
        """Return where the half begins and ends. Of an odd width, cut in the middle, the last column is dropped."""
        middle = cut(width, self.split_at)
        end = 2 * middle if self.split_at in MIDDLE else width
        return ((0, middle), (middle, end))[self.half]

    def size(self, index: int) -> tuple[int, int]:
        """Return the (height, width) by the header. Raises ImageError."""
        height, width = self.both.size(index)
        left, right = self._columns(width)
        return height, right - left

    def read(self, index: int) -> tuple[Image.Image, int]:
        """Return (PIL image, -1). Raises ImageError."""
        image, _ = self.both.read(index)
        left, right = self._columns(image.width)
        return image.crop((left, 0, right, image.height)), -1


def cut(width: int, split_at: float) -> int:
    """Return the column at which B begins: split_at is in pixels, or below 1 a share of the width; 0: the middle.

    Raises ImageError if either part is empty.
    """
    middle = int(split_at) if split_at >= 1 else int(width * (split_at or 0.5) + 1e-9)
    if not 0 < middle < width:
        raise ImageError(f"too narrow to hold two images: {width} pixels, cut at {middle}")
    return middle


def aspect(sizes: Sequence[tuple[int, int]]) -> float:
    """Return the median width / height."""
    return sorted(width / height for height, width in sizes)[len(sizes) // 2]


def is_side_by_side(config: ml_collections.ConfigDict, size: tuple[int, int]) -> bool:
    """Return whether a picture of (height, width) is like those that a run was trained on, which held A and B.

    Always False for runs that were trained on two folders, or before this was kept.
    """
    trained = config.data.get("side_by_side", 0.0)
    return bool(trained) and abs(size[1] / size[0] / trained - 1) < NEAR


def left_half(image: Image.Image, config: ml_collections.ConfigDict) -> Image.Image:
    """Return A of a picture that holds A and B. Raises ImageError if it is too narrow."""
    return image.crop((0, 0, cut(image.width, config.data.get("split_at", 0.0)), image.height))
