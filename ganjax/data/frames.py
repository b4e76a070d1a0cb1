"""Pairs must overlay: the one frame of a pair whose images are of different shapes."""

import math

from PIL import Image

from ganjax.data.images import ImageError
from ganjax.errors import UserError

ROUNDING = 0.005  # share of a side by which shapes may differ, at least a pixel


class Reframed:
    """Source over another's images, those that `frames` names by index (width, height) resized ("stretch") to that or
    cut ("crop") to it around the centre.
    """

    def __init__(self, source, frames: dict[int, tuple[int, int]], how: str):
        self.source, self.frames, self.how = source, frames, how
        self.classes, self.name, self.is_image = source.classes, source.name, source.is_image
        self.identity = {**source.identity, "reframed": [how, sorted(frames.items())]}

    def __len__(self) -> int:
        return len(self.source)

    def read(self, index: int) -> tuple[Image.Image, int]:
        """Return (PIL image, label). Raises ImageError."""
        image, label = self.source.read(index)
        frame = self.frames.get(index)
        if frame is None:
            return image, label
        if self.how == "stretch":
            return image.resize(frame, Image.Resampling.LANCZOS), label
        left, top = (image.width - frame[0]) // 2, (image.height - frame[1]) // 2
        return image.crop((left, top, left + frame[0], top + frame[1])), label


def aligned(a, b, rows: list[tuple[int, int]], how: str) -> tuple:
    """Return both sources, with the pairs `rows` (index in A, in B) of which the shapes differ brought to one.

    how: "stretch" gives B the shape of A; "crop" cuts from the centre of both what they have in common, in pixels;
    "ask" raises UserError. Equal shapes of other sizes need nothing: both are resized alike. By the files' headers.
    """
    differing = {}
    for i, j in rows:
        try:
            sizes = a.size(i)[::-1], b.size(j)[::-1]
        except (ImageError, OSError):
            continue  # reading will say why
        if not _alike(*sizes):
            differing[i, j] = sizes
    if not differing:
        return a, b
    if how == "ask":
        (i, j), ((aw, ah), (bw, bh)) = next(iter(differing.items()))
        raise UserError(
            f"{len(differing):,} of {len(rows):,} pairs differ in shape and would not overlay, as {a.name(i)} "
            f"({aw}x{ah}) and {b.name(j)} ({bw}x{bh}): --config.data.pairs_fit=stretch gives B the shape of A, crop "
            "cuts the common size from the centre of both, pixel on pixel; otherwise give images of one shape"
        )
    if how == "stretch":
        return a, Reframed(b, {j: _stretched(*sizes) for (_, j), sizes in differing.items()}, how)
    common = {ij: tuple(map(min, *sizes)) for ij, sizes in differing.items()}
    return tuple(Reframed(s, {ij[k]: frame for ij, frame in common.items()}, how) for k, s in enumerate((a, b)))


def _alike(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Return whether (width, height) are of one shape, but for rounding of the smaller's sides."""
    (width, height), (large_width, large_height) = sorted((a, b), key=math.prod)
    return abs(large_width * height / large_height - width) <= max(1, ROUNDING * width) or abs(
        large_height * width / large_width - height
    ) <= max(1, ROUNDING * height)


def _stretched(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    """Return the (width, height) of B enlarged on one side, to the shape of A."""
    width = round(b[1] * a[0] / a[1])
    return (width, b[1]) if width >= b[0] else (b[0], max(1, round(b[0] * a[1] / a[0])))
