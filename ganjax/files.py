"""Files through a trained translator, images and videos: names, sizes, alpha and formats stay."""

import logging
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from ganjax import video
from ganjax.data import images
from ganjax.data.folder import names_below
from ganjax.errors import UserError
from ganjax.model import Model

WRITTEN = {".jpg": {"quality": 95}, ".jpeg": {"quality": 95}, ".png": {}, ".webp": {"lossless": True}, ".bmp": {},
           ".tif": {}, ".tiff": {}}  # fmt: skip
log = logging.getLogger(__name__)


def translate(model: Model, source: str, out: str, overwrite: bool = False, **options) -> int:
    """Translate a file, or all images below a folder, into `out` under their names; return how many images were.

    Rotations that EXIF asks for are made. GIFs become PNGs. Of a video, which must be given itself, every frame is
    translated. What cannot be read is told and passed over. `options` are
    those of `translate.translator`. UserError where nothing is found, and where a file is in the way, before any work.
    """
    path, out = Path(source).expanduser(), Path(out).expanduser()
    if not path.exists():
        raise UserError(f"--input: there is no file or folder {source}")
    root = path if path.is_dir() else path.parent
    if path.is_dir():
        names = [name for name in sorted(names_below(path)) if name.lower().endswith(images.EXTENSIONS)]
    else:
        names = [path.name]
    if not names:
        raise UserError(f"--input: {source} holds no image ({', '.join(images.EXTENSIONS)})")
    targets = _targets(names, out)
    there = [target for target in targets if target.exists()]
    if there and not overwrite:
        raise UserError(
            f"{there[0]} is there already ({len(there)} of {len(names)} are): --overwrite, or another --out"
        )
    if path.is_file() and path.suffix.lower() in video.ENDINGS:
        out.mkdir(parents=True, exist_ok=True)
        return video.translate(model, path, targets[0], **options)
    done = 0
    bar = tqdm(names, desc="translating", unit=" images", disable=len(names) < 2 or not sys.stderr.isatty())
    for name, target in zip(bar, targets, strict=True):
        try:
            image = images.upright(root / name)
            made = translated(model, image, progress=len(names) == 1 and sys.stderr.isatty(), **options)
        except images.ImageError as error:
            log.warning("passed over %s: %s", name, error)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        _save(made, target, image)
        done += 1
    if not done:
        raise UserError(f"--input: no image of {source} could be read")
    return done


def translated(model: Model, image: Image.Image, **options) -> Image.Image:
    """Return the translation of an image of any mode, with its alpha."""
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    made = model(image, **options)
    if alpha is not None and np.asarray(alpha).min() < 255:
        made = made.convert("LA" if made.mode == "L" else "RGBA")
        made.putalpha(alpha)
    return made


def _targets(names: list[str], out: Path) -> list[Path]:
    targets = [
        out / name if Path(name).suffix.lower() in (*WRITTEN, *video.ENDINGS) else (out / name).with_suffix(".png")
        for name in names
    ]
    twice = {target for target in targets if targets.count(target) > 1} if len(set(targets)) < len(targets) else ()
    if twice:
        raise UserError(f"two images would both become {sorted(twice)[0]}: rename one")
    return targets


def _save(image: Image.Image, path: Path, source: Image.Image) -> None:
    """Write the whole file or none, with the source's colour profile and EXIF."""
    suffix = path.suffix.lower()
    if suffix in (".jpg", ".jpeg", ".bmp") and image.mode in ("RGBA", "LA"):
        image = images.convert(image, 1 if image.mode == "LA" else 3)
    kept = {"icc_profile": source.info.get("icc_profile")} if source.mode in ("RGB", "RGBA", "L") else {}
    if suffix in (".jpg", ".jpeg", ".png", ".webp"):
        kept["exif"] = source.getexif()
    temporary = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        image.save(temporary, **WRITTEN[suffix], **{key: value for key, value in kept.items() if value})
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
