"""Files of arrays, whole and damaged, as pure functions of (seed, index)."""

import io
import pickle
import zipfile

import numpy as np
import safetensors.numpy

IMAGES = np.random.default_rng(0).integers(0, 64, (6, 8, 8, 3), np.uint8)
LABELS = np.arange(6) % 2
FLOATS = np.arange(24, dtype=np.float32)
KINDS = ("npz", "npz_compressed", "pth", "pth_legacy", "safetensors")


def make(seed: int, index: int) -> tuple[str, bytes, bool]:
    """Return (kind, bytes, whether they are whole)."""
    rng, kind = np.random.default_rng([seed, index]), KINDS[index % len(KINDS)]
    data = WHOLE[kind]()
    if index < len(KINDS):
        return kind, data, True
    return kind, DAMAGES[rng.integers(len(DAMAGES))](rng, data), False


def _npz(write) -> bytes:
    buffer = io.BytesIO()
    write(buffer, images=IMAGES, labels=LABELS)
    return buffer.getvalue()


def _tensors() -> bytes:
    """The pickle of two tensors, by hand: no PyTorch is needed."""

    def name(full):
        return f"c{full.rpartition('.')[0]}\n{full.rpartition('.')[2]}\n".encode()

    storage = b"(Vstorage\n" + name("torch.FloatStorage") + b"V0\nVcpu\nI24\ntQ"
    hooks = name("collections.OrderedDict") + b")R"

    def tensor(shape, strides):
        sizes = [b"(" + b"".join(f"I{n}\n".encode() for n in values) + b"t" for values in (shape, strides)]
        call = name("torch._utils._rebuild_tensor_v2")
        return call + b"(" + storage + b"I0\n" + b"".join(sizes) + b"I00\n" + hooks + b"tR"

    return b"\x80\x02(Va\n" + tensor((24,), (1,)) + b"Vb\n" + tensor((4, 6), (6, 1)) + b"d."


def _pth() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", _tensors())
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/data/0", FLOATS.tobytes())
    return buffer.getvalue()


def _legacy() -> bytes:
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, system)]
    rest = [_tensors(), pickle.dumps(["0"], 2), (24).to_bytes(8, "little"), FLOATS.tobytes()]
    return b"".join([*head, *rest])


WHOLE = {
    "npz": lambda: _npz(np.savez),
    "npz_compressed": lambda: _npz(np.savez_compressed),
    "pth": _pth,
    "pth_legacy": _legacy,
    "safetensors": lambda: safetensors.numpy.save({"a": FLOATS, "b": FLOATS.reshape(4, 6)}, {"note": "x"}),
}


def _flips(rng, data):
    data = bytearray(data)
    for place in rng.integers(len(data), size=rng.integers(1, 6)):
        data[place] ^= 1 << int(rng.integers(8))
    return bytes(data)


def _cut(rng, data):
    return data[: rng.integers(len(data))]


def _swapped(rng, data):
    a, b, c = sorted(int(place) for place in rng.integers(len(data) + 1, size=3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def _extremes(rng, data):
    data, size = bytearray(data), int(rng.choice([1, 2, 4, 8]))
    for place in rng.integers(len(data), size=rng.integers(1, 3)):
        data[place : place + size] = (b"\0" * 8, b"\xff" * 8, b"\xff\xff\xff\x7f\0\0\0\0")[rng.integers(3)][:size]
    return bytes(data)


def _repeated(rng, data):
    start, size = int(rng.integers(len(data))), int(rng.integers(1, 40))
    return data[:start] + data[start : start + size] * int(rng.choice([2, 50, 10_000])) + data[start + size :]


DAMAGES = (_flips, _flips, _cut, _swapped, _extremes, _repeated)
