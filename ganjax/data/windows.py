"""Few large images as many small ones: windows at several scales, half of each over the next."""

import functools
import math

from PIL import Image

from ganjax.data.folder import Folder
from ganjax.errors import ImageError

SCALES = (1.0, 0.8, 0.64, 0.5, 0.4)  # of the image, so that strokes come in several sizes
ENLARGED = 4  # times the square of the larger of `side` and a window: more pixels nobody makes of a thin strip


class Windows:
    """Source over the windows (height, width) of a folder's images, each first reduced to at most `side` pixels on its
    longer side, or enlarged until a window fits.

    An image that cannot be read is one window too, whose reading says why.
    """

    def __init__(self, folder: Folder, height: int, width: int, side: int):
        self.folder, self.size, self.side = folder, (height, width), side
        self.classes = folder.classes
        self.identity = {**folder.identity, "windows": [height, width, side, *SCALES]}
        self._scaled = functools.lru_cache(maxsize=4)(self._scaled)  # windows of an image follow each other
        self.places = [(i, *place) for i in range(len(folder)) for place in self._places(i)]

    def __len__(self) -> int:
        return len(self.places)

    def name(self, index: int) -> str:
        i, scale, top, left = self.places[index]
        return f"{self.folder.name(i)} {scale:g} {left},{top}"

    def is_image(self, index: int) -> bool:
        """As for its image, by its first window alone: one damaged file is one."""
        first = index == 0 or self.places[index - 1][0] != self.places[index][0]
        return first and self.folder.is_image(self.places[index][0])

    def read(self, index: int) -> tuple[Image.Image, int]:
        """Return (PIL image, label of its image). Raises ImageError."""
        i, scale, top, left = self.places[index]
        found = self._scaled(i, scale)
        if isinstance(found, Exception):
            raise found
        image, label = found
        return image.crop((left, top, left + self.size[1], top + self.size[0])), label

    def _scaled(self, i: int, scale: float) -> tuple[Image.Image, int] | Exception:
        """Return (PIL image, label), or why it cannot be read: that is remembered, too."""
        try:
            image, label = self.folder.read(i)
            return image.resize(self._at(image.size, scale), Image.Resampling.LANCZOS), label
        except (ImageError, OSError) as error:
            return error

    def _at(self, size: tuple[int, int], scale: float) -> tuple[int, int]:
        """Return (width, height) of an image of that size, at a scale, no smaller than a window. Raises ImageError for
        a strip that is too thin to be enlarged to a window.
        """
        factor = scale * min(1.0, self.side / max(size))
        least = max(side / now for side, now in zip(self.size[::-1], size, strict=True))
        width, height = (
            max(round(now * max(factor, least)), side) for now, side in zip(size, self.size[::-1], strict=True)
        )
        if width * height > ENLARGED * max(self.side, *self.size) ** 2:
            raise ImageError(f"{size[0]}x{size[1]} is too thin for windows of {self.size[1]}x{self.size[0]}")
        return width, height

    def _places(self, i: int) -> list[tuple[float, int, int]]:
        try:
            size = self.folder.size(i)[::-1]
            self._at(size, 1.0)
        except (ImageError, OSError):
            return [(1.0, 0, 0)]
        found, before = [], None
        for scale in SCALES:
            width, height = self._at(size, scale)
            if (width, height) == before:
                break
            before = width, height
            rows, columns = (_starts(side, window) for side, window in zip((height, width), self.size, strict=True))
            found += [(scale, top, left) for top in rows for left in columns]
        return found


def _starts(side: int, window: int) -> list[int]:
    """Return where windows begin: evenly, no further apart than half of one, the first and last at the edges."""
    count = math.ceil((side - window) / (window / 2)) + 1
    return [round(i * (side - window) / max(count - 1, 1)) for i in range(count)]
