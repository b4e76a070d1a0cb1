"""Archives are read in place like the folder that they hold; a damaged archive gives a one-line error."""

import io
import json
import logging
import shutil
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from folders import opened
from PIL import Image

from ganjax.configs.translate import pix2pix
from ganjax.data import cache, packed
from ganjax.data.folder import Folder, common_size
from ganjax.data.windows import Windows
from ganjax.errors import UserError
from ganjax.metrics import sources


def png(level):
    buffer = io.BytesIO()
    noise = np.random.default_rng(level).integers(0, 50, (8, 8, 3), np.uint8) + np.uint8(level)
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


FILES = {f"{c}/{i}.png": png(20 * i + 5 * j) for j, c in enumerate(("manet", "monet")) for i in range(4)}
KINDS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz")


def pack(path, files):
    """Write the files into an archive of the format that the path's ending stands for."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    mode = {".tar": "w", ".gz": "w:gz", ".tgz": "w:gz", ".xz": "w:xz"}[path.suffix]
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def load(path, labels=False, size=8):
    return cache.load(Folder(str(path), labels=labels), size, size, 3)


@pytest.fixture
def unpacked(tmp_path):
    for name, content in FILES.items():
        path = tmp_path / "plain" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "plain"


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_gives_the_folders_images_labels_and_content(unpacked, tmp_path, kind):
    path = pack(tmp_path / f"set{kind}", FILES)
    data, expected = load(path, True), load(unpacked, True)
    np.testing.assert_array_equal(data.images, expected.images)
    assert (data.names, data.classes) == (expected.names, ("manet", "monet"))
    assert data.content == expected.content  # so that a run can be resumed from either
    assert common_size(Folder(str(path))) == (8, 8)
    inside = load(path / "monet")
    assert inside.names == ["0.png", "1.png", "2.png", "3.png"]
    np.testing.assert_array_equal(inside.images, expected.images[4:])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["plain", path.name]


def test_an_archive_that_was_written_anew_is_decoded_anew(tmp_path):
    path = pack(tmp_path / "a.zip", FILES)
    before = load(path).content
    pack(path, {name: png(200) for name in FILES})
    assert load(path).content != before


@pytest.mark.parametrize("kind", [".zip", ".tar"])
def test_names_are_data(tmp_path, kind):
    names = (
        "../../up.png",
        "/etc/absolute.png",
        "a\\b.png",
        "./c.png",
        "__MACOSX/._c.png",
        ".hidden/d.png",
        "Thumbs.db",
    )
    path = pack(tmp_path / f"set{kind}", dict.fromkeys(names, png(0)))
    assert Folder(str(path)).files == ["a/b.png", "c.png", "etc/absolute.png", "up.png"]
    assert len(load(path).images) == 4
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_folder_around_everything_is_no_class(tmp_path):
    path = pack(
        tmp_path / "set.zip", {f"download/set/{name}": content for name, content in FILES.items()} | {"a.txt": b""}
    )
    assert Folder(str(path), labels=True).classes == ("manet", "monet")
    for inside in ("monet", "download/set/monet"):
        assert len(Folder(str(path / inside))) == 4
    with pytest.raises(UserError, match="set.zip holds no folder renoir"):
        Folder(str(path / "renoir"))


def test_a_dataset_json_in_an_archive_labels_it(tmp_path):
    files = {f"00000/{i}.png": png(i) for i in range(4)}
    listing = {"labels": [[name, i % 2 * 5] for i, name in enumerate(files)]}
    path = pack(tmp_path / "set.zip", {**files, "dataset.json": json.dumps(listing).encode()})
    data = load(path, True)
    assert data.classes == ("0", "5") and data.labels.tolist() == [0, 1, 0, 1]


def test_damaged_and_encrypted_members_are_skipped_with_the_reason(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    path = pack(tmp_path / "set.zip", {**FILES, "monet/5.png": b"", "note.txt": b"a"})
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        first, second = (archive.getinfo(f"monet/{i}.png") for i in (0, 1))
    content[first.header_offset + 30 + len(first.filename) + 20] ^= 0xFF  # a byte of the compressed data
    entry = content.index(second.filename.encode(), content.index(b"PK\x01\x02")) - 46
    content[entry + 8] |= 1  # sets the flag for encryption in the index
    path.write_bytes(content)
    data = load(path)
    assert len(data.images) == 6 and set(dict(data.skipped)) == {"monet/0.png", "monet/1.png", "monet/5.png"}
    assert "damaged" in dict(data.skipped)["monet/0.png"] and "encrypted" in dict(data.skipped)["monet/1.png"]
    assert dict(data.skipped)["monet/5.png"] == "empty file" and "1 file is no image: .txt 1" in caplog.text


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_archive_is_one_sentence(tmp_path, kind):
    path = pack(tmp_path / f"set{kind}", FILES)
    content = path.read_bytes()
    for wrong in (content[: len(content) // 2 - 300], b"no archive at all", b""):
        path.write_bytes(wrong)
        with pytest.raises(
            UserError, match=rf"set{kind} cannot be read as .*: copy or download it again, or unpack it"
        ):
            Folder(str(path))


def test_a_tar_that_is_damaged_in_the_middle_is_not_just_shorter(tmp_path):
    """tarfile itself stops there silently."""
    path = pack(tmp_path / "set.tar", FILES)
    content = bytearray(path.read_bytes())
    content[2048:2060] = b"x" * 12  # a header's name, which breaks its checksum
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged at byte 2,048"):
        Folder(str(path))


def test_what_decompresses_without_end_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(packed, "LARGEST", 1 << 20)
    path = pack(tmp_path / "set.zip", {"a.png": png(0) + bytes(2 << 20), "b.png": png(0)})
    assert load(path).skipped == [("a.png", "decompresses to more than 1 MiB")]
    monkeypatch.setattr(packed, "INFLATION", 0)
    with pytest.raises(UserError, match=r"set.tar.gz cannot be read as .tar \(it decompresses to more than 1 MiB"):
        Folder(str(pack(tmp_path / "set.tar.gz", {"a.png": bytes(3 << 20)})))


@pytest.mark.parametrize("kind", [".zip", ".tar"])
def test_threads_read_at_once(tmp_path, kind):
    files = {f"{i:03d}.png": png(i) for i in range(200)}
    source = Folder(str(pack(tmp_path / f"set{kind}", files)))
    with ThreadPoolExecutor(8) as pool:
        contents = list(pool.map(source._content, source.files * 3))
    assert contents == list(files.values()) * 3


def test_other_archives_are_told_from_images(tmp_path):
    (tmp_path / "set.rar").write_bytes(b"Rar!")
    with pytest.raises(UserError, match=r"config.data.a: .*set.rar is no .zip or .tar: unpack it"):
        Folder(str(tmp_path / "set.rar"), key="config.data.a")


def test_two_folders_of_one_archive_are_two_domains(tmp_path):
    files = {f"set/train{side}/{i}.png": png(100 * j + i) for j, side in enumerate("AB") for i in range(3)}
    path = pack(tmp_path / "set.zip", files)
    for layout in ({"path": str(path), "name": "folder"}, {side: f"{path}/train{side.upper()}" for side in "ab"}):
        both = opened(pix2pix, **layout, resolution=8)
        assert both.aligned and both.tables["a"].names == ["0.png", "1.png", "2.png"]
        assert both.tables["a"].images.max() < 60 and both.tables["b"].images.min() >= 100


def test_windows_of_an_archive_and_one_channel(tmp_path):
    folder = Folder(str(pack(tmp_path / "set.zip", FILES)), channels=1)
    assert cache.load(Windows(folder, 4, 4, 8), 4, 4, 1).images.shape[1:] == (4, 4, 1)


def test_evaluate_compares_archives(unpacked, tmp_path):
    packed_side, plain = (sources.read(str(path)) for path in (pack(tmp_path / "set.tar", FILES), unpacked))
    np.testing.assert_array_equal(packed_side.images, plain.images)
    assert packed_side.classes == ("manet", "monet") and packed_side.names == plain.names
    shutil.rmtree(unpacked)
    with pytest.raises(UserError, match="neither a folder of images"):
        sources.read(str(unpacked))
