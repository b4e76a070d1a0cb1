"""Untrusted array files: damaged, hostile or absurd ones raise one sentence, before memory is allocated."""

import io
import os
import warnings
import zipfile

import numpy as np
import pytest
import safetensors.numpy

from ganjax.errors import UserError
from ganjax.system import array_files


def npy(descr="'|u1'", shape="(8, 4, 4, 3)", data=bytes(384), version=1):
    """Return the bytes of a .npy file with this header, valid or not."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + len(header).to_bytes(2 if version == 1 else 4, "little") + header + data


def save(path, *members, compression=zipfile.ZIP_STORED):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of duplicate names
        with zipfile.ZipFile(path, "w", compression) as archive:
            for member in members:
                archive.writestr("images.npy", member)


def test_what_numpy_writes_is_read(tmp_path):
    arrays = {"a": np.arange(3), "half": np.float16([2]), "none": np.zeros((0, 3)), "yes": np.array(True)}
    arrays["columns"] = np.asfortranarray(np.arange(12.0).reshape(3, 4))
    for write in (np.savez, np.savez_compressed):
        write(tmp_path / "a.npz", **arrays)
        result = array_files.read_npz(tmp_path / "a.npz")
        assert result.keys() == arrays.keys()
        for name, array in arrays.items():
            assert result[name].dtype == array.dtype
            np.testing.assert_array_equal(result[name], array)
    assert list(array_files.read_npz(tmp_path / "a.npz", ("half", "other"))) == ["half"]


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (b"junk", "is no array"),
        (npy(shape="(1000000, 1000, 1000, 3)"), "claims a shape of"),
        (npy(shape="(-8, -4, 4, 3)"), "claims a shape of"),
        (npy(shape=f"({10**50},)"), "claims a shape of"),
        (npy(shape="(8, 4, 4)"), "claims a shape of"),
        (npy(shape="(" * 50), "header of 'images' is damaged"),
        (npy(shape="-" * 800 + "1"), "header of 'images' is damaged"),
        (npy("'|O'", "(1,)"), "holds object, not numbers"),
        (npy("[('a', '<f4')]", "(96,)"), "not numbers"),
        (npy("'<M8[s]'", "(48,)"), "not numbers"),
        (npy("'<c16'", "(24,)"), "not numbers"),
        (npy(version=3), "unknown version"),
        (b"\x93NUMPY\2\0\xff\xff\xff\xff" + b" " * 5000, "header of 'images' is damaged"),
    ],
)
def test_a_member_that_is_not_what_it_says_is_refused(tmp_path, member, reason):
    save(tmp_path / "a.npz", member)
    with pytest.raises(UserError, match=rf"a.npz cannot be read as .npz: .*{reason}") as refused:
        array_files.read_npz(tmp_path / "a.npz")
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 400


def encrypted(path):
    save(path, npy())
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.rindex(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)


def overstated(path):
    """Write a file of a few hundred bytes with a member that claims two gigabytes."""
    save(path, npy())
    content = path.read_bytes()
    place = content.rindex(b"PK\1\2") + 20
    path.write_bytes(content[:place] + (0x7FFFFFFF).to_bytes(4, "little") * 2 + content[place + 8 :])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (encrypted, "encrypted"),
        (overstated, "claims more bytes than the file has"),
        (lambda path: save(path, npy(), npy()), "holds 'images' twice"),
        (lambda path: save(path, npy(), compression=zipfile.ZIP_LZMA), "in a way that NumPy does not use"),
        (lambda path: save(path, npy(shape="(80, 1000, 1000)", data=bytes(80_000_000)),
                           compression=zipfile.ZIP_DEFLATED), "claims to unpack to 80,000,128 bytes"),
        (lambda path: path.mkdir(), "no regular file"),
        (os.mkfifo, "no regular file"),
        (lambda path: path.write_bytes(b""), "not a zip"),
        (lambda path: None, "No such file"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_right_is_refused(tmp_path, make, reason):
    make(tmp_path / "a.npz")
    with pytest.raises(UserError, match=rf"a.npz cannot be read as .npz: .*{reason}"):
        array_files.read_npz(tmp_path / "a.npz")


def test_no_damaged_file_gives_wrong_numbers(tmp_path):
    images = np.random.default_rng(0).integers(0, 64, (4, 8, 8, 3), np.uint8)
    for write in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        write(buffer, images=images)
        for seed in range(150):
            content, rng = bytearray(buffer.getvalue()), np.random.default_rng(seed)
            for place in rng.integers(len(content), size=rng.integers(1, 4)):
                content[place] ^= 1 << int(rng.integers(8))
            (tmp_path / "a.npz").write_bytes(content[: rng.integers(1, 2 * len(content))])
            try:
                arrays = array_files.read_npz(tmp_path / "a.npz")
            except UserError as error:
                assert "\n" not in str(error)
            else:
                assert "images" not in arrays or np.array_equal(arrays["images"], images), seed


def test_safetensors_are_read_or_refused_in_a_sentence(tmp_path):
    path = tmp_path / "a.safetensors"
    safetensors.numpy.save_file({"a": np.arange(6.0).reshape(2, 3)}, path, {"note": "x"})
    arrays, metadata = array_files.read_safetensors(path)
    assert metadata == {"note": "x"}
    np.testing.assert_array_equal(arrays["a"], np.arange(6.0).reshape(2, 3))
    whole = path.read_bytes()
    overlapping = (
        b'{"a":{"dtype":"F64","shape":[2],"data_offsets":[0,16]},"b":{"dtype":"F64","shape":[2],"data_offsets":[8,24]}}'
    )
    absurd = b'{"a":{"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,8]}}'
    unknown = b'{"a":{"dtype":"F8_E8M0","shape":[8],"data_offsets":[0,8]}}'
    deep = b'{"a":' + b"[" * 100_000
    bodies = [len(h).to_bytes(8, "little") + h + bytes(24) for h in (overlapping, absurd, deep)]
    bodies += [len(unknown).to_bytes(8, "little") + unknown + bytes(8), (1 << 62).to_bytes(8, "little") + whole[8:]]
    for body in [*bodies, b"", whole[:5], whole[:40], whole[:-1]]:
        path.write_bytes(body)
        with pytest.raises(UserError, match="a.safetensors cannot be read as safetensors: ") as refused:
            print(body[:100], array_files.read_safetensors(path))
        assert "\n" not in str(refused.value) and len(str(refused.value)) < 400
