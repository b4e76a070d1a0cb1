"""The public archives of the CycleGAN and pix2pix papers as TFDS data sets: `--config.data.name=tfds:cycle_gan/NAME`.

Each archive is downloaded once from the authors' server, prepared as array_record without TensorFlow, and read like
any other TFDS data set. `cycle_gan` has the same name, features and splits as in TFDS. Both cityscapes archives are
left out, since their licence forbids redistribution.
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

LARGEST = 100_000_000  # limit on the bytes of an unpacked image: over 100 times the largest one in these archives
HOST = "https://efrosgans.eecs.berkeley.edu/"
log = logging.getLogger(__name__)


class Archive(NamedTuple):
    """An archive to download. sha256: None if unpublished; the first download then pins it. bytes: 0 if unknown."""

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
    """The TFDS configuration of one archive."""

    def __init__(self, name: str, archive: Archive):
        super().__init__(name=name, version="3.0.0")
        self.archive = archive


class _Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    def _split_generators(self, _):
        archive = self.builder_config.archive
        file = fetch(archive)
        return {split: self._generate_examples(file, split) for split in archive.splits}

    def _generate_examples(self, file: Path, split: str):
        for name, content in members(file, split):
            yield name, self._example(content, split)


_IMAGE = {"shape": (None, None, 3), "encoding_format": "jpeg"}


class CycleGan(_Builder, skip_registration=True):
    """Unpaired images of two domains, in splits whose names end in A and B."""

    name = "cycle_gan"
    VERSION = tfds.core.Version("3.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        features = {"image": tfds.features.Image(**_IMAGE), "label": tfds.features.ClassLabel(names=["A", "B"])}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features), description=__doc__)

    def _example(self, content: bytes, split: str) -> dict:
        return {"image": io.BytesIO(content), "label": split[-1]}


class Pix2pix(_Builder, skip_registration=True):
    """Pairs of images, side by side in one image."""

    name = "pix2pix"
    VERSION = tfds.core.Version("3.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict({"image": tfds.features.Image(**_IMAGE)})
        return tfds.core.DatasetInfo(builder=self, features=features, description=__doc__)

    def _example(self, content: bytes, _) -> dict:
        return {"image": io.BytesIO(content)}


def prepare(name: str, data_dir: str) -> tfds.core.DatasetBuilder:
    """Return the builder of "cycle_gan/NAME" or "pix2pix/NAME", after downloading and preparing it if necessary.

    data_dir: the TFDS data directory; "" for ganjax's cache. Raises UserError if NAME is unknown or the archive cannot
    be downloaded.
    """
    kind, _, name = name.partition("/")
    table = TABLES[kind]
    if name not in table:
        raise UserError(
            f"tfds:{kind}/{name}: unknown archive{nearest(name, table)}; the archives are: {', '.join(table)}"
        )
    folder = Path(data_dir or cache_dir.root() / "tfds").expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    make = CycleGan if kind == "cycle_gan" else Pix2pix
    with filelock.FileLock(folder / f".{kind}-{name}.lock"):
        builder = make(config=Config(name, table[name]), data_dir=folder, file_format="array_record")
        builder.download_and_prepare()
    return builder


def fetch(archive: Archive) -> Path:
    """Return the archive's file in the cache, with a verified sha256; if it is missing, download it or resume that."""
    folder = cache_dir.root() / "archives"
    folder.mkdir(parents=True, exist_ok=True)
    file, part, pin_file = (folder / f"{archive.file}{end}" for end in ("", ".part", ".sha256"))
    with filelock.FileLock(folder / f"{archive.file}.lock"):
        expected = archive.sha256 or _pinned_sha256(pin_file)
        if file.exists():
            with file.open("rb") as content:
                sha256 = hashlib.file_digest(content, "sha256").hexdigest()
        else:
            sha256 = _download(archive, part, folder)
            if not archive.sha256 and not tarfile.is_tarfile(part):
                part.unlink()
                raise UserError(f"{archive.url} returned no archive, perhaps a login page of your network; try again")
            if sha256 == archive.sha256 or not archive.sha256:
                part.rename(file)
        if expected and sha256 != expected:
            part.unlink(missing_ok=True)
            raise UserError(
                f"{file if file.exists() else archive.url} is not {archive.file}: its sha256 is {sha256}, but "
                f"{'the published one' if archive.sha256 else 'that of the first download'} is {expected}; "
                + (f"remove {file}" if file.exists() else "the download was deleted; try again")
                + ("" if archive.sha256 else f"; or, if the authors have changed the archive, remove {pin_file}")
            )
        if not expected:
            log.warning("%s has no published sha256; later downloads must have %s", archive.file, sha256)
            pin_file.write_text(sha256)
    return file


def _pinned_sha256(pin_file: Path) -> str | None:
    sha256 = pin_file.read_text().strip() if pin_file.exists() else ""
    return sha256 if re.fullmatch("[0-9a-f]{64}", sha256) else None  # ignore a truncated file


def _download(archive: Archive, part: Path, folder: Path) -> str:
    log.info("downloading %s", archive.url)
    try:
        return download.download(archive.url, part, archive.bytes, archive.bytes or 16 * download.LIMIT)
    except download.Unreachable as error:
        received = part.stat().st_size / 1e6 if download.resumable(part) else 0
        raise UserError(
            f"{archive.url} cannot be downloaded: {error}; "
            + (f"the same command resumes after the {received:.3g} MB received" if received else "try again")
            + f", or download it another way and put it into {folder}"
        ) from error


def members(file: Path, split: str) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of each file in the folder `split` of an archive, in archive order, without unpacking it.

    Raises UserError if the archive cannot be read or has no such files.
    """
    count = 0
    try:
        for path, size, read in _tar(file) if ".tar" in file.suffixes else _zip(file):
            parts = PurePosixPath(path).parts
            if len(parts) < 2 or parts[-2] != split or parts[-1].startswith("."):
                continue
            if size > LARGEST:
                raise UserError(f"{file}: {path} unpacks to {size:,} bytes, too many for an image; remove {file}")
            count += 1
            yield parts[-1], read()
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zipfile.zlib.error) as error:
        raise UserError(
            f"{file} cannot be read ({error}); remove it and its .sha256 file, if any, to download it again"
        ) from error
    if not count:
        raise UserError(f"{file} has no files in a folder {split}")


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
