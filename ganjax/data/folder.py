"""A folder or an archive of images, of any nesting."""

import io
import logging
import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ganjax.data import formats, images, listed, packed
from ganjax.data.cache import stamp
from ganjax.errors import UserError
from ganjax.system.names import expanded, printable

SHOWN = 5  # names in a message
log = logging.getLogger(__name__)


class Folder:
    """Source over every image below `path`, in the order of the relative names: of a folder, of an archive, of a folder
    in one ("set.zip/train"), or over `path` itself, if it is an image.

    With `labels` (None: if there are any) the first sub-folder names the class, with `nested` all of them do,
    "impressionism/monet"; a dataset.json goes before that (`listed.labels`). Names of classes and `name` are NFC and
    printable. Hidden files are skipped; what else is no image is summed up in the log. key: which of config.data,
    for messages. Raises UserError for a missing or empty folder, and for labels without sub-folders.
    """

    def __init__(self, path: str, labels: bool | None = False, channels: int = 3, max_pixels: int = 200_000_000,
                 nested=False, key: str = "path"):  # fmt: skip
        if not path:
            raise UserError("config.data.path is empty: give the folder of images, --config.data.path=FOLDER")
        self.root = expanded(path, f"config.data.{key}")
        self._archive, self._inside, self._packed = None, "", {}  # of an archive: it, the folder in it, and its files
        self.channels, self.max_pixels, self.nested = channels, max_pixels, nested
        names = self._found(path, key)
        if not names:
            raise UserError(f"config.data.{key}: {path} holds no file")
        self.files = [name for name in names if self._may_be_image(name)]
        self._sum_up(names, path, key)
        self._listed, self.classes = self._labels(labels, names)
        if labels and not self.classes:
            raise UserError(f"config.data.labels: {path} has no sub-folders to name the classes; make one for each")
        self.label = {name: i for i, name in enumerate(self.classes)}
        on_disk = self.files if self._archive is None else ["."]  # of an archive, itself
        rows = [(name, *stamp(self.root / name)) for name in on_disk]
        place = os.path.realpath(self.root)
        self.identity = {"source": "folder", "root": place, "files": rows, "max_pixels": max_pixels}
        self.identity["labels"] = bool(self.classes)
        if nested:
            self.identity["nested"] = True
        if self._listed:
            self.identity["listed"] = sorted(self._listed.items())
        if self._archive:
            self.identity["members"] = [self._inside, *self.files]

    def _found(self, path: str, key: str) -> list[str]:
        """Return the sorted names of all files; make `root` the folder or the archive that holds them."""
        try:
            mode = self.root.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            mode = 0
        except OSError as error:
            raise UserError(f"config.data.{key}: {path} cannot be read: {error.strerror}") from error
        if stat.S_ISDIR(mode):
            return sorted(names_below(self.root))
        located = packed.located(self.root)
        if located:
            self.root, self._inside = located
            self._archive = packed.opened(self.root)
            self._packed = self._archive.files(self._inside)
            if self._inside and not self._packed:
                raise UserError(f"config.data.{key}: {self.root} holds no folder {self._inside}")
            return sorted(self._packed)
        if not mode:
            raise UserError(f"config.data.{key}: there is no folder {path}")
        if not stat.S_ISREG(mode):  # a pipe would never end
            raise UserError(f"config.data.{key}: {path} is no folder, archive or image")
        if self.root.name.lower().endswith(packed.FOREIGN):
            raise UserError(f"config.data.{key}: {path} is no .zip or .tar: unpack it, and give the folder")
        self.root, name = self.root.parent, self.root.name
        return [name]

    def _may_be_image(self, name: str) -> bool:
        if formats.promises(name):
            return True
        try:
            if self._archive:
                return bool(formats.kind(self._archive.read(self._packed[name], formats.HEAD)))
            return formats.is_image(self.root / name)
        except images.ImageError:
            return False
        except OSError:
            return True  # reading will say why

    def _sum_up(self, names: list[str], path: str, key: str) -> None:
        """Log what is no image, in one line. Raises UserError if nothing is left."""
        kept = set(self.files)
        endings = Counter(
            PurePosixPath(name).suffix.lower() or "without an ending"
            for name in names
            if name not in kept and name != packed.LABELS
        )
        if not endings and self.files:
            return
        what = ", ".join(f"{printable(ending)} {count:,}" for ending, count in endings.most_common(SHOWN))
        what += ", ..." if len(endings) > SHOWN else ""
        text = f"{endings.total():,} {'file is no image' if endings.total() == 1 else 'files are no images'}: {what}"
        if not self.files:
            raise UserError(f"config.data.{key}: {path} holds no image; {text}")
        log.info("left out of %s: %s", printable(str(path)), text)

    def _labels(self, labels: bool | None, names: list[str]) -> tuple[dict[str, int], tuple[str, ...]]:
        """Return ({name: class} if dataset.json lists them, the classes)."""
        if labels is False:
            return {}, ()
        if packed.LABELS in names:
            where = printable(str(self.root / packed.LABELS))
            try:
                found, classes = listed.labels(self._content(packed.LABELS), where)
                if labels and not found:
                    raise UserError(f"{where} lists no labels: remove it to take the sub-folders as classes")
            except (OSError, images.ImageError) as error:
                raise UserError(f"{where} cannot be read: {getattr(error, 'strerror', None) or error}") from error
            except UserError:
                if labels:
                    raise
                found, classes = {}, ()  # another tool's file of that name
            if found:
                return found, classes
        folders = {self._folder(name) for name in self.files if "/" in name}
        return {}, tuple(sorted({_shown(folder) for folder in folders}))

    def _folder(self, name: str) -> str:
        return name.rpartition("/")[0] if self.nested else name.partition("/")[0]

    def _content(self, name: str) -> bytes:
        if self._archive:
            return self._archive.read(self._packed[name])
        return (self.root / name).read_bytes()

    def __len__(self) -> int:
        return len(self.files)

    def name(self, index: int) -> str:
        """Return the relative name, to show and to pair: NFC and printable. `files` has it as it is on disk."""
        return _shown(self.files[index])

    def is_image(self, index: int) -> bool:
        """Return whether the file promises to be an image, so that an unreadable one counts as damaged: all here do."""
        return True

    def read(self, index: int):
        """Return (PIL image, label); the label is -1 without labels or directly in the root.

        Raises ImageError for what is no sound image, OSError for what the system does not let read.
        """
        name = self.files[index]
        if self._archive:
            image = images.read(self._content(name), self.channels, self.max_pixels)
        else:
            try:
                image = images.read(self.root / name, self.channels, self.max_pixels)
            except images.ImageError:
                with (self.root / name).open("rb") as file:  # raises OSError if that is the cause
                    file.read(1)
                raise
        if self._listed:
            return image, self._listed.get(unicodedata.normalize("NFC", name), -1)
        return image, self.label.get(_shown(self._folder(name)), -1) if "/" in name else -1

    def size(self, index: int) -> tuple[int, int]:
        """Return the upright (height, width) by the file's header. Raises ImageError."""
        name = self.files[index]
        return images.size(io.BytesIO(self._content(name)) if self._archive else self.root / name)


def _shown(name: str) -> str:
    return printable(unicodedata.normalize("NFC", name))


def names_below(root: Path) -> Iterator[str]:
    """Yield the relative names of the files below a folder; links to folders are followed, each real folder once.

    Hidden names are skipped. Folders that cannot be listed and links that lead nowhere are logged. Raises UserError
    if `root` itself cannot be listed.
    """

    def refuse(error: OSError) -> None:
        place = printable(str(error.filename))
        if Path(error.filename) == root:
            raise UserError(f"{place} cannot be read: {error.strerror}") from error
        log.warning("left out the folder %s: it cannot be read: %s", place, error.strerror)

    visited, unreachable = set(), []
    for folder, children, names in os.walk(root, onerror=refuse, followlinks=True):
        real = os.path.realpath(folder)
        if real in visited:
            children.clear()
            continue
        visited.add(real)
        children[:] = sorted(child for child in children if not formats.hidden(child))
        for name in names:
            if formats.hidden(name):
                continue
            path = Path(folder, name)
            relative = path.relative_to(root).as_posix()
            try:
                if stat.S_ISREG(path.stat().st_mode):
                    yield relative
            except OSError as error:
                unreachable.append(f"{printable(relative)} ({error.strerror})")
    if unreachable:
        more = ", ..." if len(unreachable) > SHOWN else ""
        log.warning(
            "left out %d files that cannot be opened: %s%s", len(unreachable), ", ".join(unreachable[:SHOWN]), more
        )


def common_size(source: Folder) -> tuple[int, int]:
    """Return the (height, width) that all readable images have, by their headers; UserError where two differ."""
    first = None
    for index in range(len(source)):
        try:
            size, name = source.size(index), source.name(index)
        except (images.ImageError, OSError):
            continue  # reading will say why
        if first and size != first[1]:
            shapes = " and ".join(f"{n} {w}x{h}" for n, (h, w) in (first, (name, size)))
            raise UserError(f"{source.root} holds images of different sizes, {shapes}: give --resolution=N")
        first = first or (name, size)
    if first is None:
        raise UserError(f"{source.root} holds no readable image")
    return first[1]
