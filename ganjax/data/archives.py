"""The public archives of the CycleGAN and pix2pix papers as TFDS data sets: `--config.data.name=tfds:cycle_gan/NAME`.

They are fetched once, from the authors' server, prepared as array_record without TensorFlow, and read like any other
set that TFDS has prepared. `cycle_gan` has the name, features and splits of TFDS's own. Both cityscapes are left out:
their licence does not let others hand them on.
"""

import hashlib
import io
import logging
import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import filelock
import tensorflow_datasets as tfds

from ganjax.errors import UserError, nearest
from ganjax.system import cache_dir, download

LARGEST = 100_000_000  # bytes of one image, unpacked: no image of theirs has a hundredth of it
HOST = "https://efrosgans.eecs.berkeley.edu/"
log = logging.getLogger(__name__)


class Archive(NamedTuple):
    """sha256 None: not published, and pinned at the first download."""

    url: str
    bytes: int
    sha256: str | None
    splits: tuple[str, ...]

    @property
    def file(self) -> str:
        return PurePosixPath(self.url).name


_BOTH = ("trainA", "trainB", "testA", "testB")
CYCLE_GAN = {  # bytes and sha256 as TFDS 4.9 lists them
    name: Archive(f"{HOST}cyclegan/datasets/{name}.zip", size, sha256, _BOTH)
    for name, size, sha256 in (
        ("apple2orange", 78_456_409, "845a191e9af8926408ea597001cd03a452e3300a1f44a79fe329b3d59f6e3eb8"),
        ("cezanne2photo", 279_885_071, "3a6c10ca21f9485862f1cbd707744b9dc258954a04631271d23a3605eeb63cff"),
        ("facades", 35_135_868, "9a31ebf3a31b9b5cd195dd5bf62e9308e00cb94604d1019e3889ac84248695c0"),
        ("horse2zebra", 116_867_962, "a74d9d392eecca9966b51287a76ca126af473d9de4f3e8fc0e9cda08fa1730a1"),
        ("iphone2dslr_flower", 339_964_458, "8fcb5e374d631b107e1d961b8c4cd0a186aa2a4ff3e279923f4c426128de7113"),
        ("maps", 1_476_754_427, "639534f69dbf9f36bef8d6292a7698006361221f83f0285d7c9ca78afe6e8a9e"),
        ("monet2photo", 305_231_073, "88f91b00fc228f97c9411fbf1880ec1d119c98f1722e4cfcfaa2fb35fac05b04"),
        ("summer2winter_yosemite", 132_640_856, "167fe1726807a9d22bd106b4a6c0bd7953b688af924ac1bf967439c4961e49f9"),
        ("ukiyoe2photo", 292_946_532, "02a2a2fb5ecf425ca1bf86aca7304377da64a2a1d3b86df54eb65e4068bf3b08"),
        ("vangogh2photo", 306_590_349, "362c3473e70be0944bda08d49d660eafdc2854df55d697835b8186d1d79caaff"),
    )
}
PIX2PIX = {
    name: Archive(f"{HOST}pix2pix/datasets/{name}.tar.gz", 0, None, splits)
    for name, splits in (
        ("edges2handbags", ("train", "val")),
        ("edges2shoes", ("train", "val")),
        ("facades", ("train", "val", "test")),
        ("maps", ("train", "val")),
        ("night2day", ("train", "val", "test")),
    )
}
TABLES = {"cycle_gan": CYCLE_GAN, "pix2pix": PIX2PIX}


class Config(tfds.core.BuilderConfig):
    """One archive. ValueError, by TFDS, for a name that is not in the table."""

    def __init__(self, name: str, archive: Archive):
        super().__init__(name=name, version="3.0.0")
        self.archive = archive


class _Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    def _split_generators(self, _):
        archive = self.builder_config.archive
        file = fetched(archive)
        return {split: self._generate_examples(file, split) for split in archive.splits}

    def _generate_examples(self, file: Path, split: str):
        for name, content in members(file, split):
            yield name, self._example(content, split)


_IMAGE = {"shape": (None, None, 3), "encoding_format": "jpeg"}


class CycleGan(_Builder, skip_registration=True):
    """Two sets of images that are no pairs, in splits that end in A and B."""

    name = "cycle_gan"
    VERSION = tfds.core.Version("3.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        features = {"image": tfds.features.Image(**_IMAGE), "label": tfds.features.ClassLabel(names=["A", "B"])}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features), description=__doc__)

    def _example(self, content: bytes, split: str) -> dict:
        return {"image": io.BytesIO(content), "label": split[-1]}


class Pix2pix(_Builder, skip_registration=True):
    """Pairs, side by side in one picture."""

    name = "pix2pix"
    VERSION = tfds.core.Version("3.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict({"image": tfds.features.Image(**_IMAGE)})
        return tfds.core.DatasetInfo(builder=self, features=features, description=__doc__)

    def _example(self, content: bytes, _) -> dict:
        return {"image": io.BytesIO(content)}


def prepared(name: str, data_dir: str) -> tfds.core.DatasetBuilder:
    """Return the builder of "cycle_gan/NAME" or "pix2pix/NAME", fetched and prepared where it is not yet.

    data_dir: TFDS's; the cache when empty. Raises UserError for an unknown NAME, and where the archive cannot be had.
    """
    kind, _, name = name.partition("/")
    table = TABLES[kind]
    if name not in table:
        raise UserError(
            f"tfds:{kind}/{name}: there is no such archive{nearest(name, table)}; there is: {', '.join(table)}"
        )
    folder = Path(data_dir or cache_dir.root() / "tfds").expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    make = CycleGan if kind == "cycle_gan" else Pix2pix
    with filelock.FileLock(folder / f".{kind}-{name}.lock"):
        builder = make(config=Config(name, table[name]), data_dir=folder, file_format="array_record")
        builder.download_and_prepare()
    return builder


def fetched(archive: Archive) -> Path:
    """Return the archive's file, in the cache, verified; it is fetched, or goes on, where it is not there."""
    folder = cache_dir.root() / "archives"
    folder.mkdir(parents=True, exist_ok=True)
    file, part, note = (folder / f"{archive.file}{end}" for end in ("", ".part", ".sha256"))
    with filelock.FileLock(folder / f"{archive.file}.lock"):
        pin = archive.sha256 or _noted(note)
        if file.exists():
            with file.open("rb") as opened:
                found = hashlib.file_digest(opened, "sha256").hexdigest()
        else:
            found = _fetch(archive, part, folder)
            if not archive.sha256 and not tarfile.is_tarfile(part):
                part.unlink()
                raise UserError(f"{archive.url} gave no archive, but perhaps a page of your network's; try again")
            if found == archive.sha256 or not archive.sha256:
                part.rename(file)
        if pin and found != pin:
            part.unlink(missing_ok=True)
            raise UserError(
                f"{file if file.exists() else archive.url} is not {archive.file}: its sha256 is {found}, the "
                f"{'published' if archive.sha256 else 'first'} one {pin}; "
                + (f"remove {file}" if file.exists() else "nothing of it was kept")
                + ("" if archive.sha256 else f"; or, if the authors have changed it, remove {note}")
            )
        if not pin:
            log.warning("%s has no published hash; its sha256, now held to, is %s", archive.file, found)
            note.write_text(found)
    return file


def _noted(note: Path) -> str | None:
    pin = note.read_text().strip() if note.exists() else ""
    return pin if re.fullmatch("[0-9a-f]{64}", pin) else None  # a cut one pins nothing


def _fetch(archive: Archive, part: Path, folder: Path) -> str:
    log.info("fetching %s", archive.url)
    try:
        return download.download(archive.url, part, archive.bytes, archive.bytes or 16 * download.LIMIT)
    except download.Unreachable as error:
        came = part.stat().st_size / 1e6 if download.resumable(part) else 0
        raise UserError(
            f"{archive.url} cannot be fetched: {error}; "
            + (f"the same command goes on after the {came:.3g} MB that came" if came else "try again")
            + f", or get it another way and put it into {folder}"
        ) from error


def members(file: Path, split: str) -> Iterator[tuple[str, bytes]]:
    """Give (name, content) of the files of the folder `split` of an archive, in its order, without unpacking it.

    Raises UserError for an archive that cannot be read, or has no such files.
    """
    found = 0
    try:
        for path, size, read in _tar(file) if ".tar" in file.suffixes else _zip(file):
            parts = PurePosixPath(path).parts
            if len(parts) < 2 or parts[-2] != split or parts[-1].startswith("."):
                continue
            if size > LARGEST:
                raise UserError(f"{file}: {path} would be {size:,} bytes; no image of these sets is")
            found += 1
            yield parts[-1], read()
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zipfile.zlib.error) as error:
        raise UserError(
            f"{file} cannot be read ({error}); remove it, and a .sha256 beside it, and it is fetched again"
        ) from error
    if not found:
        raise UserError(f"{file} has no files of {split}")


def _zip(file: Path):
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                yield info.filename, info.file_size, lambda info=info: archive.read(info)


def _tar(file: Path):
    with tarfile.open(file, "r:*") as archive:
        for info in archive:
            if info.isfile():
                yield info.name, info.size, lambda info=info: archive.extractfile(info).read()
