"""The weights of the feature nets: found, fetched, verified, read, and kept as safetensors in the cache."""

import hashlib
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

FREE = "the metrics that need no download (rand_fd, rand_kd, swd and their like) go on without it"
log = logging.getLogger(__name__)


class Source(NamedTuple):
    """Where a file is, and what it must be. sha256 None: pinned at the first download."""

    urls: tuple[str, ...]
    file: str
    bytes: int
    sha256: str | None
    licence: str

    @property
    def files(self) -> set[str]:
        """The names under which a folder may hold it."""
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
}


class Weights(NamedTuple):
    """arrays: by PyTorch's names, in PyTorch's layout. sha256: of the file as published. source: file or address."""

    arrays: Mapping[str, np.ndarray]
    sha256: str
    source: str


def load(name: str, path: Path | str | None = None) -> Weights:
    """Return the weights of that name in `KNOWN`.

    They come from `path`, from `$GANJAX_WEIGHTS` (each a file, or a folder that may hold it), from the cache, or from
    the network; a file whose sha256 is not the pinned one is never read. UserError says what to do where none serves.
    """
    if name not in KNOWN:
        raise UserError(f"there are no weights {name!r}{nearest(name, KNOWN)}")
    source, folder = KNOWN[name], cache_dir.root() / "weights"
    pin = source.sha256 or _pinned(folder, name)
    for given, says in ((path, "--weights"), (os.environ.get("GANJAX_WEIGHTS"), "GANJAX_WEIGHTS")):
        file = _given(source, given, says)
        if file is not None:
            return _read_file(file, source, pin)
    cached = folder / f"{name}.safetensors"
    return _read_kept(cached, pin) or _fetch(name, source, pin, folder)


def _given(source: Source, given: Path | str | None, says: str) -> Path | None:
    """Return the file that was given for this source: one in the folder, or the file itself unless it is another's."""
    if not given:
        return None
    given = expanded(given, says)
    if given.is_dir():
        return next((given / file for file in sorted(source.files) if (given / file).is_file()), None)
    if not given.exists():
        raise UserError(f"{says}={given} does not exist")
    if not given.is_file():  # a pipe would be waited for, a device read for ever
        raise UserError(f"{says}={given} is neither a file nor a folder")
    others = set().union(*(other.files for other in KNOWN.values() if other != source))
    return None if given.name in others - source.files else given


def _read_file(file: Path, source: Source, pin: str | None) -> Weights:
    try:
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}") from error
    if pin and found != pin:
        raise UserError(f"{file} is not {source.file}: its sha256 is {found}, the pinned one {pin}; fetch it again")
    if not pin:
        log.warning("%s is taken as it is: there is no hash to verify it by; its sha256 is %s", file, found)
    return Weights(pth.read(file), found, str(file))


# The cache. Its files carry the hash of what they were made of and that of their own arrays.


def _digest(tensors: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tensors[name].shape} ".encode())
        digest.update(np.ascontiguousarray(tensors[name]).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _read_kept(file: Path, pin: str | None) -> Weights | None:
    """Return what the cache has, or None."""
    if not file.is_file():
        return None
    try:
        kept, notes = array_files.read_safetensors(file)
    except UserError as error:
        log.warning("%s; it is made anew", error)
        return None
    if notes.get("sha256") != pin or notes.get("content") != _digest(kept):
        log.warning("%s is damaged, or of another file: it is made anew", file)
        return None
    return Weights(kept, notes["sha256"], notes.get("source", ""))


def _keep(file: Path, name: str, weights: Weights, pin: str | None) -> None:
    notes = {"sha256": weights.sha256, "source": weights.source, "content": _digest(weights.arrays)}
    try:
        with atomic.replacing(file) as temporary:
            kept = {key: np.asarray(array, order="C") for key, array in weights.arrays.items()}
            safetensors.numpy.save_file(kept, temporary, notes)
            if pin is None:
                (file.parent / f"{name}.sha256").write_text(weights.sha256)
    except (UserError, safetensors.SafetensorError) as error:
        log.warning("%s is not kept (%s): it will be fetched again", name, error)


def _pinned(folder: Path, name: str) -> str | None:
    try:
        with (folder / f"{name}.sha256").open("rb") as file:
            pin = file.read(100).decode("ascii", "replace").strip()
    except OSError:
        return None
    return pin if re.fullmatch("[0-9a-f]{64}", pin) else None  # a cut one pins nothing


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
            log.warning("%s has no published hash; its sha256, now held to, is %s", source.file, weights.sha256)
        _keep(folder / f"{name}.safetensors", name, weights, pin)
        return weights
    size = f" ({source.bytes / 1e6:.3g} MB)" if source.bytes else ""
    raise UserError(
        f"the weights {name!r} cannot be fetched ({'; '.join(reasons)}): get {source.file}{size} from {source.urls[0]} "
        f"and give it as --weights=FILE or $GANJAX_WEIGHTS, a file or a folder; {FREE}"
    )


def _fetch_from(url: str, source: Source, pin: str | None, folder: Path) -> Weights:
    """Fetch by way of the cache, or of the system's temporary folder where the cache cannot be written."""
    for place in (folder, Path(tempfile.gettempdir())):
        try:
            place.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=place, ignore_cleanup_errors=True) as fresh:
                part = Path(fresh) / source.file
                found = download.download(url, part, source.bytes, source.bytes or download.LIMIT)
                if pin and found != pin:
                    raise download.Unreachable(
                        f"what came has the sha256 {found}, not the pinned {pin}; none of it was kept"
                    )
                return Weights(pth.read(part), found, url)
        except OSError as error:
            full = f"{place}: {error.strerror or error}"
            log.warning("%s cannot be written to %s", source.file, full)
    raise UserError(f"{source.file} cannot be fetched, for it can be written nowhere ({full}); free some space")
