"""Bring the images of a pair to one aspect ratio, so that they overlay."""

import math

from PIL import Image

from ganjax.data.images import ImageError
from ganjax.errors import UserError

ROUNDING = 0.005  # tolerance between two aspect ratios, as a share of a side; at least one pixel


class Reframed:
    """Source over another source's images, some of them resized ("stretch") or cropped to the centre ("crop").

    frames: {index: (width, height)} of the images to change.
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


def align(a, b, rows: list[tuple[int, int]], how: str) -> tuple:
    """Return the sources of A and B, with equal aspect ratios in each of the pairs `rows` (index in A, index in B).

    how: "stretch" resizes B to the aspect ratio of A; "crop" crops both to their common size in pixels, around the
    centre; "ask" raises UserError if a pair differs. Pairs of one aspect ratio are unchanged: both images are resized
    alike later. Only the files' headers are read.
    """
    differing = {}
    for i, j in rows:
        try:
            sizes = a.size(i)[::-1], b.size(j)[::-1]
        except (ImageError, OSError):
            continue  # `read` will raise the reason
        if not _same_aspect(*sizes):
            differing[i, j] = sizes
    if not differing:
        return a, b
    if how == "ask":
        (i, j), ((aw, ah), (bw, bh)) = next(iter(differing.items()))
        raise UserError(
            f"{len(differing):,} of {len(rows):,} pairs differ in shape and would not overlay, such as {a.name(i)} "
            f"({aw}x{ah}) and {b.name(j)} ({bw}x{bh}): set --config.data.pairs_fit=stretch to resize B to the shape of "
            "A, or =crop to crop both to their common size in pixels, around the centre; or give images of one shape"
        )
    if how == "stretch":
        return a, Reframed(b, {j: _stretched_size(*sizes) for (_, j), sizes in differing.items()}, how)
    common = {pair: tuple(map(min, *sizes)) for pair, sizes in differing.items()}
    frames_a, frames_b = ({pair[side]: size for pair, size in common.items()} for side in (0, 1))
    return Reframed(a, frames_a, how), Reframed(b, frames_b, how)


def _same_aspect(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Return whether two (width, height) have one aspect ratio, up to rounding of the smaller one's sides."""
    (width, height), (large_width, large_height) = sorted((a, b), key=math.prod)
    return abs(large_width * height / large_height - width) <= max(1, ROUNDING * width) or abs(
        large_height * width / large_width - height
    ) <= max(1, ROUNDING * height)


def _stretched_size(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    """Return the (width, height) of B, enlarged on one side to the aspect ratio of A."""
    width = round(b[1] * a[0] / a[1])
    return (width, b[1]) if width >= b[0] else (b[0], max(1, round(b[0] * a[1] / a[0])))
