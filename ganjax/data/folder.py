"""Source over a folder or an archive of images, with any nesting of sub-folders."""

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

EXAMPLES = 5  # names in a message
log = logging.getLogger(__name__)


class Folder:
    """Source over every image below `path`, sorted by relative name. `path` is a folder, an archive, a folder in an
    archive ("set.zip/train"), or one image.

    labels: True for class labels, None for class labels if there are any. The first sub-folder names the class; if
    `nested`, all sub-folders do, "impressionism/monet"; a dataset.json takes precedence (`listed.labels`). Class names
    and `name` are NFC and printable. Hidden files are skipped; the log sums up other files that are no images. key: how
    messages name `path`. Raises UserError for a missing or empty folder, and for labels without sub-folders.
    """

    def __init__(self, path: str, labels: bool | None = False, channels: int = 3, max_pixels: int = 200_000_000,
                 nested=False, key: str = "config.data.path"):  # fmt: skip
        if not path:
            raise UserError(f"{key} is empty: give the folder of images")
        self.root = expanded(path, key)
        self._archive, self._inside, self._members = None, "", {}  # the archive, a folder in it, its files
        self.channels, self.max_pixels, self.nested = channels, max_pixels, nested
        names = self._list_files(path, key)
        if not names:
            raise UserError(f"{key}: {path} holds no file")
        self.files = [name for name in names if self._may_be_image(name)]
        self._log_other_files(names, path, key)
        self._dataset_json, self.classes = self._labels(labels, names)
        if labels and not self.classes:
            raise UserError(f"config.data.labels: {path} has no sub-folders to name the classes; make one per class")
        self.label = {name: i for i, name in enumerate(self.classes)}
        on_disk = self.files if self._archive is None else ["."]  # ".": the archive itself
        rows = [(name, *stamp(self.root / name)) for name in on_disk]
        root = os.path.realpath(self.root)
        self.identity = {"source": "folder", "root": root, "files": rows, "max_pixels": max_pixels}
        self.identity["labels"] = bool(self.classes)
        if nested:
            self.identity["nested"] = True
        if self._dataset_json:
            self.identity["listed"] = sorted(self._dataset_json.items())
        if self._archive:
            self.identity["members"] = [self._inside, *self.files]

    def _list_files(self, path: str, key: str) -> list[str]:
        """Return the sorted names of all files; set `root` to the folder or the archive that holds them."""
        try:
            mode = self.root.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            mode = 0
        except OSError as error:
            raise UserError(f"{key}: {path} cannot be read: {error.strerror}") from error
        if stat.S_ISDIR(mode):
            return sorted(names_below(self.root))
        location = packed.located(self.root)
        if location:
            self.root, self._inside = location
            self._archive = packed.open_archive(self.root)
            self._members = self._archive.files(self._inside)
            if self._inside and not self._members:
                raise UserError(f"{key}: {self.root} holds no folder {self._inside}")
            return sorted(self._members)
        if not mode:
            raise UserError(f"{key}: there is no folder {path}")
        if not stat.S_ISREG(mode):  # reading a pipe would never end
            raise UserError(f"{key}: {path} is no folder, archive or image")
        if self.root.name.lower().endswith(packed.FOREIGN):
            raise UserError(f"{key}: {path} is no .zip or .tar: unpack it and give the folder")
        self.root, name = self.root.parent, self.root.name
        return [name]

    def _may_be_image(self, name: str) -> bool:
        if formats.promises(name):
            return True
        try:
            if self._archive:
                return bool(formats.kind(self._archive.read(self._members[name], formats.HEAD)))
            return formats.is_image(self.root / name)
        except images.ImageError:
            return False
        except OSError:
            return True  # `read` will raise the reason

    def _log_other_files(self, names: list[str], path: str, key: str) -> None:
        """Log how many files are no images, in one line. Raises UserError if there is no image."""
        image_names = set(self.files)
        endings = Counter(
            PurePosixPath(name).suffix.lower() or "without an ending"
            for name in names
            if name not in image_names and name != packed.LABELS
        )
        if not endings and self.files:
            return
        counts = ", ".join(f"{printable(ending)} {count:,}" for ending, count in endings.most_common(EXAMPLES))
        counts += ", ..." if len(endings) > EXAMPLES else ""
        text = f"{endings.total():,} {'file is no image' if endings.total() == 1 else 'files are no images'}: {counts}"
        if not self.files:
            raise UserError(f"{key}: {path} holds no image; {text}")
        log.info("left out of %s: %s", printable(str(path)), text)

    def _labels(self, labels: bool | None, names: list[str]) -> tuple[dict[str, int], tuple[str, ...]]:
        """Return ({file name: class index} from dataset.json, or {}; class names)."""
        if labels is False:
            return {}, ()
        if packed.LABELS in names:
            where = printable(str(self.root / packed.LABELS))
            try:
                by_name, classes = listed.labels(self._content(packed.LABELS), where)
                if labels and not by_name:
                    raise UserError(f"{where} lists no labels; remove it to use the sub-folders as classes")
            except (OSError, images.ImageError) as error:
                raise UserError(f"{where} cannot be read: {getattr(error, 'strerror', None) or error}") from error
            except UserError:
                if labels:
                    raise
                by_name, classes = {}, ()  # another tool's dataset.json
            if by_name:
                return by_name, classes
        folders = {self._folder(name) for name in self.files if "/" in name}
        return {}, tuple(sorted({_display_name(folder) for folder in folders}))

    def _folder(self, name: str) -> str:
        return name.rpartition("/")[0] if self.nested else name.partition("/")[0]

    def _content(self, name: str) -> bytes:
        if self._archive:
            return self._archive.read(self._members[name])
        return (self.root / name).read_bytes()

    def __len__(self) -> int:
        return len(self.files)

    def name(self, index: int) -> str:
        """Return the relative name, NFC and printable, for display and pairing; `files` holds the names on disk."""
        return _display_name(self.files[index])

    def is_image(self, index: int) -> bool:
        """Return True: every file here looks like an image, so that an unreadable one counts as damaged."""
        return True

    def read(self, index: int):
        """Return (PIL image, label); the label is -1 without classes, and for files directly in the root.

        Raises ImageError if the file is damaged or no image, OSError if the system refuses to read it.
        """
        file = self.file(index)
        try:
            image = images.read(file, self.channels, self.max_pixels)
        except images.ImageError:
            if isinstance(file, Path):
                with file.open("rb") as opened:  # raises OSError if that is the cause
                    opened.read(1)
            raise
        return image, self.label_of(index)

    def file(self, index: int) -> Path | bytes:
        """Return the path of a file, or its bytes if it is a member of an archive. Raises ImageError, OSError."""
        name = self.files[index]
        return self._content(name) if self._archive else self.root / name

    def label_of(self, index: int) -> int:
        """Return the label of an image, without reading it; -1 for none."""
        name = self.files[index]
        if self._dataset_json:
            return self._dataset_json.get(unicodedata.normalize("NFC", name), -1)
        return self.label.get(_display_name(self._folder(name)), -1) if "/" in name else -1

    def size(self, index: int) -> tuple[int, int]:
        """Return the upright (height, width) from the file's header. Raises ImageError."""
        file = self.file(index)
        return images.size(io.BytesIO(file) if isinstance(file, bytes) else file)


def _display_name(name: str) -> str:
    return printable(unicodedata.normalize("NFC", name))


def names_below(root: Path) -> Iterator[str]:
    """Yield the relative names of the files below a folder; links to folders are followed, each real folder once.

    Hidden names are skipped. Unreadable folders and broken links are logged. Raises UserError if `root` itself is
    unreadable.
    """

    def on_error(error: OSError) -> None:
        name = printable(str(error.filename))
        if Path(error.filename) == root:
            raise UserError(f"{name} cannot be read: {error.strerror}") from error
        log.warning("left out the folder %s: it cannot be read: %s", name, error.strerror)

    visited, unreachable = set(), []
    for folder, children, names in os.walk(root, onerror=on_error, followlinks=True):
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
        more = ", ..." if len(unreachable) > EXAMPLES else ""
        log.warning(
            "left out %d files that cannot be opened: %s%s", len(unreachable), ", ".join(unreachable[:EXAMPLES]), more
        )


def common_size(source: Folder) -> tuple[int, int]:
    """Return the (height, width) of all readable images, from their headers. Raises UserError if two differ."""
    first = None
    for index in range(len(source)):
        try:
            size, name = source.size(index), source.name(index)
        except (images.ImageError, OSError):
            continue  # `read` will raise the reason
        if first and size != first[1]:
            shapes = " and ".join(f"{n} {w}x{h}" for n, (h, w) in (first, (name, size)))
            raise UserError(f"{source.root} holds images of different sizes, {shapes}: give --resolution=N")
        first = first or (name, size)
    if first is None:
        raise UserError(f"{source.root} holds no readable image")
    return first[1]
