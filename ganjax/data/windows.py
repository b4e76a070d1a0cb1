"""Cut a few large images into many small ones: windows at several scales, which overlap by at least half."""

import functools
import math

from PIL import Image

from ganjax.data.folder import Folder
from ganjax.errors import ImageError

SCALES = (1.0, 0.8, 0.64, 0.5, 0.4)  # relative to the image, so that brush strokes appear in several sizes
MAX_ENLARGEMENT = 4  # pixel limit of an enlarged image, times max(side, window)^2: a thin strip must not become huge


class Windows:
    """Source over the windows (height, width) of a folder's images.

    Each image is first reduced to at most `side` pixels on its longer side, or enlarged until a window fits. An
    unreadable image counts as one window; `read` raises the reason.
    """

    def __init__(self, folder: Folder, height: int, width: int, side: int):
        self.folder, self.size, self.side = folder, (height, width), side
        self.classes = folder.classes
        self.identity = {**folder.identity, "windows": [height, width, side, *SCALES]}
        self._scaled = functools.lru_cache(maxsize=4)(self._scaled)  # an image's windows are read one after another
        self.places = [(i, *place) for i in range(len(folder)) for place in self._places(i)]

    def __len__(self) -> int:
        return len(self.places)

    def name(self, index: int) -> str:
        i, scale, top, left = self.places[index]
        return f"{self.folder.name(i)} {scale:g} {left},{top}"

    def is_image(self, index: int) -> bool:
        """Return `Folder.is_image` for the first window of an image, else False: a damaged file counts once."""
        first = index == 0 or self.places[index - 1][0] != self.places[index][0]
        return first and self.folder.is_image(self.places[index][0])

    def read(self, index: int) -> tuple[Image.Image, int]:
        """Return (PIL image, label of its image). Raises ImageError."""
        i, scale, top, left = self.places[index]
        scaled = self._scaled(i, scale)
        if isinstance(scaled, Exception):
            raise scaled
        image, label = scaled
        return image.crop((left, top, left + self.size[1], top + self.size[0])), label

    def _scaled(self, i: int, scale: float) -> tuple[Image.Image, int] | Exception:
        """Return (PIL image, label), or the error if the image is unreadable, so that errors are cached, too."""
        try:
            image, label = self.folder.read(i)
            return image.resize(self._scaled_size(image.size, scale), Image.Resampling.LANCZOS), label
        except (ImageError, OSError) as error:
            return error

    def _scaled_size(self, size: tuple[int, int], scale: float) -> tuple[int, int]:
        """Return the scaled (width, height) of an image of `size` (width, height), at least as large as a window.

        Raises ImageError for a strip that is too thin to be enlarged to a window.
        """
        window = self.size[::-1]
        smallest = max(side / length for side, length in zip(window, size, strict=True))
        factor = max(scale * min(1.0, self.side / max(size)), smallest)
        width, height = (max(round(length * factor), side) for length, side in zip(size, window, strict=True))
        if width * height > MAX_ENLARGEMENT * max(self.side, *self.size) ** 2:
            raise ImageError(f"{size[0]}x{size[1]} is too thin for windows of {self.size[1]}x{self.size[0]}")
        return width, height

    def _places(self, i: int) -> list[tuple[float, int, int]]:
        try:
            size = self.folder.size(i)[::-1]
            self._scaled_size(size, 1.0)
        except (ImageError, OSError):
            return [(1.0, 0, 0)]
        places, previous = [], None
        for scale in SCALES:
            width, height = self._scaled_size(size, scale)
            if (width, height) == previous:
                break
            previous = width, height
            rows, columns = (_starts(side, window) for side, window in zip((height, width), self.size, strict=True))
            places += [(scale, top, left) for top in rows for left in columns]
        return places


def _starts(side: int, window: int) -> list[int]:
    """Return the windows' start positions along a side: from edge to edge, evenly, at most half a window apart."""
    count = math.ceil((side - window) / (window / 2)) + 1
    return [round(i * (side - window) / max(count - 1, 1)) for i in range(count)]
