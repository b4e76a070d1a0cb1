"""A folder of images, of any nesting."""

import os
from pathlib import Path

from ganjax.data import formats, images
from ganjax.data.cache import stamp
from ganjax.errors import UserError


class Folder:
    """Source over every file below `path`, in the order of the relative names; or over `path` itself, if it is a file.

    With `labels` the first sub-folder names the class, with `nested` all of them do, "impressionism/monet". Hidden
    files are passed over. key: which of config.data, for messages. UserError for a missing or empty folder, and for
    labels without sub-folders.
    """

    def __init__(self, path: str, labels: bool = False, channels: int = 3, max_pixels: int = 200_000_000, nested=False,
                 key: str = "path"):  # fmt: skip
        if not path:
            raise UserError("config.data.path is empty: give the folder of images, --config.data.path=FOLDER")
        self.root = Path(path).expanduser()
        self.channels, self.max_pixels = channels, max_pixels
        if not self.root.exists():
            raise UserError(f"config.data.{key}: there is no folder {path}")
        if self.root.is_dir():
            self.files = sorted(names_below(self.root))
        else:
            self.root, self.files = self.root.parent, [self.root.name]
        if not self.files:
            raise UserError(f"config.data.{key}: {path} holds no file")
        self.nested = nested
        classes = {self._class(name) for name in self.files if "/" in name} if labels else ()
        if labels and not classes:
            raise UserError(f"config.data.labels: {path} has no sub-folders to name the classes; make one for each")
        self.classes = tuple(sorted(classes))
        self.label = {name: i for i, name in enumerate(self.classes)}
        rows = [(name, *stamp(self.root / name)) for name in self.files]
        place = os.path.realpath(self.root)
        self.identity = {"source": "folder", "root": place, "files": rows, "labels": labels, "max_pixels": max_pixels}
        if nested:
            self.identity["nested"] = True

    def _class(self, name: str) -> str:
        return name.rpartition("/")[0] if self.nested else name.partition("/")[0]

    def __len__(self) -> int:
        return len(self.files)

    def name(self, index: int) -> str:
        return self.files[index]

    def is_image(self, index: int) -> bool:
        """Say whether the name promises an image, so that an unreadable one counts as damaged."""
        return formats.promises(self.files[index])

    def read(self, index: int):
        """Return (PIL image, label); the label is -1 without labels or directly in the root. Raises ImageError."""
        name = self.files[index]
        image = images.read(self.root / name, self.channels, self.max_pixels)
        return image, self.label.get(self._class(name), -1) if "/" in name else -1


def names_below(root: Path):
    """Yield the relative names; links to folders are followed, each real folder once."""
    seen = set()
    for folder, children, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            children.clear()
            continue
        seen.add(real)
        children[:] = sorted(child for child in children if not child.startswith("."))
        for name in names:
            path = Path(folder, name)
            if not name.startswith(".") and path.is_file():
                yield path.relative_to(root).as_posix()


def common_size(source: Folder) -> tuple[int, int]:
    """Return the (height, width) that all readable images have, by their headers; UserError where two differ."""
    first = None
    for name in source.files:
        try:
            size = images.size(source.root / name)
        except images.ImageError:
            continue  # reading will say why
        if first and size != first[1]:
            shapes = " and ".join(f"{n} {w}x{h}" for n, (h, w) in (first, (name, size)))
            raise UserError(f"{source.root} holds images of different sizes, {shapes}: give --resolution=N")
        first = first or (name, size)
    if first is None:
        raise UserError(f"{source.root} holds no readable image")
    return first[1]
