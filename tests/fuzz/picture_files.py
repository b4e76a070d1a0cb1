"""Image files, whole and damaged, as pure functions of (seed, index)."""

import io
import struct
import zlib
from typing import NamedTuple

import numpy as np
from PIL import Image, features

MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "WEBP": ("RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB"),
    "TIFF": ("1", "L", "RGB", "RGBA", "I;16", "F", "CMYK"),
    "GIF": ("L", "P"),
    "AVIF": ("RGB", "RGBA"),
}
FORMATS = [name for name in MODES if name != "AVIF" or features.check("avif")]


class File(NamedTuple):
    """data: the bytes. ending: of the name. pixels: uint8 (H, W, 3) that a reader must give; None: not known."""

    data: bytes
    ending: str
    pixels: np.ndarray | None


def make(seed: int, index: int) -> File:
    """Return one file: of every seven one is whole, and the others are damaged in one of `DAMAGES`."""
    rng = np.random.default_rng([seed, index])
    kind = FORMATS[index % len(FORMATS)]
    if rng.random() < 0.01:
        return File(_bomb(rng), ".png", None)
    odd = rng.random() < 0.25  # metadata of random bytes
    data, pixels = _whole(rng, kind, odd)
    if rng.random() < 1 / 7:
        return File(data, f".{kind.lower()}", None if odd else pixels)
    damage = DAMAGES[rng.integers(len(DAMAGES))]
    return File(damage(rng, data, kind), f".{kind.lower()}", None)


def _whole(rng: np.random.Generator, kind: str, odd: bool) -> tuple[bytes, np.ndarray | None]:
    mode = str(rng.choice(MODES[kind]))
    height, width = (int(side) for side in rng.integers(1, 48, 2))
    values = rng.integers(0, 256, (height, width, 4), np.uint8)
    rgb = Image.fromarray(values[..., :3])
    if mode == "I;16":
        image = Image.fromarray(rng.integers(0, 65536, (height, width)).astype(np.uint16))
    elif mode == "F":
        image = Image.fromarray(rng.random((height, width)).astype(np.float32))
    elif mode in ("RGBA", "LA"):
        image = Image.fromarray(values).convert(mode)
    else:
        image = rgb.convert(mode)
    lossless = kind not in ("JPEG", "AVIF")
    settings = {"WEBP": {"lossless": True}, "JPEG": {"progressive": bool(rng.integers(2))}}.get(kind, {})
    if kind == "TIFF":
        settings["compression"] = str(rng.choice(["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"]))
    if odd and kind not in ("BMP", "GIF"):
        settings["icc_profile"] = rng.bytes(int(rng.integers(1, 300)))
    if odd and kind in ("JPEG", "PNG", "WEBP", "AVIF"):
        order = b"Exif\0\0" + (b"II*\0\x08\0\0\0" if rng.integers(2) else b"MM\0*\0\0\0\x08")
        settings["exif"] = order + struct.pack("<H", rng.integers(1, 9)) + rng.bytes(int(rng.integers(12, 200)))
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    plain = lossless and mode in ("1", "L", "P", "RGB")
    return buffer.getvalue(), np.asarray(image.convert("RGB")) if plain else None


def _flips(rng, data, kind):
    data = bytearray(data)
    for place in rng.integers(len(data), size=rng.integers(1, 12)):
        data[place] ^= 1 << int(rng.integers(8))
    return bytes(data)


def _cut(rng, data, kind):
    return data[: rng.integers(len(data))]


def _erased(rng, data, kind):
    start, size = int(rng.integers(len(data))), int(rng.integers(1, 64))
    return data[:start] + bytes([rng.choice([0, 255])]) * size + data[start + size :]


def _swapped(rng, data, kind):
    a, b, c = sorted(int(place) for place in rng.integers(len(data) + 1, size=3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def _header(rng, data, kind):
    """Extreme values in the first 64 bytes, where sizes, depths and offsets are."""
    data = bytearray(data)
    place, size = int(rng.integers(4, min(64, len(data)))), int(rng.choice([1, 2, 4]))
    extreme = [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\x40\0"]
    data[place : place + size] = extreme[rng.integers(5)][:size]
    return bytes(data)


def _huge(rng, data, kind):
    """Sizes that the file cannot hold, with right checksums."""
    side = int(rng.choice([0, 1, 20_000, 65_535, 100_000, 2**31 - 1]))
    other = int(rng.choice([1, 20_000, 100_000]))
    if kind == "PNG":
        head = b"IHDR" + struct.pack(">II", side, other) + data[24:29]
        return data[:12] + head + struct.pack(">I", zlib.crc32(head)) + data[33:]
    if kind == "BMP":
        return data[:18] + struct.pack("<ii", min(side, 2**31 - 1), other) + data[26:]
    if kind == "GIF":
        return data[:6] + struct.pack("<HH", side % 65536, other % 65536) + data[10:]
    if kind == "JPEG":
        place = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2")) + 5
        return data[:place] + struct.pack(">HH", side % 65536, other % 65536) + data[place + 4 :]
    return _header(rng, data, kind)


def _chunks(rng, data, kind):
    """Chunks of a PNG that are swapped, doubled or lost; blocks of others."""
    if kind != "PNG":
        return _swapped(rng, data, kind)
    chunks, place = [], 8
    while place < len(data):
        size = 12 + int.from_bytes(data[place : place + 4], "big")
        chunks.append(data[place : place + size])
        place += size
    order = rng.integers(len(chunks), size=rng.integers(1, 2 * len(chunks)))
    return data[:8] + b"".join(chunks[i] for i in order)


def _mixed(rng, data, kind):
    """The head of one format before the body of another, or junk behind the end."""
    other, _ = _whole(rng, FORMATS[rng.integers(len(FORMATS))], False)
    place = int(rng.integers(1, 40))
    return data[:place] + other[place:] if rng.integers(2) else data + rng.bytes(500)


DAMAGES = (_flips, _flips, _cut, _erased, _swapped, _header, _header, _huge, _chunks, _mixed)


def _bomb(rng: np.random.Generator) -> bytes:
    """A small PNG of very many pixels, or of text that unpacks to a great deal."""
    if rng.integers(2):
        side, depth, colour = int(rng.choice([8_000, 14_000, 30_000])), int(rng.choice([1, 8, 16])), 0
        packer = zlib.compressobj(9)
        row = bytes(1 + side * depth // 8)
        body = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    else:
        side, depth, colour, body = 4, 8, 0, zlib.compress(bytes(20))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, 0))]
    if side == 4:
        chunks.append((b"zTXt", b"note\0\0" + zlib.compress(bytes(100_000_000), 9)))
    chunks += [(b"IDAT", body), (b"IEND", b"")]
    packed = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)
