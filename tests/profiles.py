"""ICC profiles by their definition: of displays by three primaries and a power, of gray, of a press of four inks."""

import struct

import numpy as np

BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
D50, D65 = np.array([0.9642, 1, 0.8249]), np.array([0.3127 / 0.329, 1, 0.3583 / 0.329])
P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))


def matrix(primaries, white=D65) -> np.ndarray:
    """Return the 3 x 3 matrix from linear RGB to XYZ of D50, of primaries (x, y) and a white XYZ."""
    xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    adapt = np.linalg.inv(BRADFORD) @ np.diag((BRADFORD @ D50) / (BRADFORD @ white)) @ BRADFORD
    return adapt @ (xyz * np.linalg.solve(xyz, white))


def display(primaries=P3, gamma: float = 2.2) -> bytes:
    """Return the profile of a display."""
    columns = matrix(primaries).T
    tags = [(name + b"XYZ", _xyz(column)) for name, column in zip((b"r", b"g", b"b"), columns, strict=True)]
    tags += [(name + b"TRC", _power(gamma)) for name in (b"r", b"g", b"b")]
    return _profile(b"RGB ", b"XYZ ", tags)


def gray(gamma: float = 1.0) -> bytes:
    """Return a gray profile whose levels are light to the power 1 / gamma."""
    return _profile(b"GRAY", b"XYZ ", [(b"kTRC", _power(gamma))])


def press() -> bytes:
    """Return a CMYK profile: a table of Lab at the corners, with paper white (96, 0, 0) and black ink (16, 0, 0)."""
    colours = [
        (96, 0, 0),
        (89, -5, 93),
        (48, 74, -3),
        (47, 68, 48),
        (55, -37, -50),
        (50, -65, 27),
        (24, 22, -46),
        (23, 0, 0),
    ]
    inks = dict(zip(np.ndindex(2, 2, 2), colours, strict=True))
    table = []
    for corner in np.ndindex(2, 2, 2, 2):
        light, a, b = (16 if corner[:3] == (0, 0, 0) else 8, 0, 0) if corner[3] else inks[corner[:3]]
        table += [round(light * 2.55), a + 128, b + 128]
    identity = bytes(range(256))
    rows = b"".join(map(_s15, (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + rows + identity * 4 + bytes(table) + identity * 3
    return _profile(b"CMYK", b"Lab ", [(b"A2B0", lut), (b"A2B1", lut)], b"prtr")


def _s15(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(values) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_s15, values))


def _power(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"


def _profile(space: bytes, connection: bytes, tags: list, kind: bytes = b"mntr") -> bytes:
    name = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(8) + bytes(2) + bytes(68)
    tags = [(b"desc", name), (b"cprt", b"text\0\0\0\0none\0"), (b"wtpt", _xyz(D50)), *tags]
    directory, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for signature, data in tags:
        data += bytes(-len(data) % 4)
        directory += signature + struct.pack(">II", start + len(body), len(data))
        body += data
    header = struct.pack(">I4sI4s4s4s6H4s4sI4s4sQI", start + len(body), b"lcms", 0x02400000, kind, space, connection,
                         2024, 1, 1, 0, 0, 0, b"acsp", b"APPL", 0, b"none", b"none", 0, 1)  # fmt: skip
    header += b"".join(map(_s15, D50))
    return header + bytes(128 - len(header)) + struct.pack(">I", len(tags)) + directory + body
