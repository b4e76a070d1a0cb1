"""The papers' archives: downloaded from a local server, verified by sha256, prepared, and read as two domains."""

import hashlib
import io
import logging
import tarfile
import threading
import zipfile

import numpy as np
import pytest
from PIL import Image
from serving import serve

from ganjax import task
from ganjax.configs.generate import dcgan
from ganjax.configs.restore import restore
from ganjax.configs.translate import cyclegan, pix2pix
from ganjax.data import archives, prepared
from ganjax.errors import UserError
from ganjax.system import cache_dir


@pytest.fixture(autouse=True)
def clean(tmp_path, monkeypatch):
    monkeypatch.setenv("GANJAX_CACHE", str(tmp_path / "cache"))


def jpeg(level, width=16):
    buffer = io.BytesIO()
    picture = Image.new("RGB", (width, 16), (level,) * 3)
    picture.paste((level + 100,) * 3, (16, 0, 32, 16))
    picture.save(buffer, "JPEG", quality=100)
    return buffer.getvalue()


COUNTS = {"trainA": 3, "trainB": 2, "testA": 1, "testB": 1}


def cycle_gan():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("small/", b"")
        for split, count in COUNTS.items():
            for i in range(count):
                file.writestr(f"small/{split}/{i}.jpg", jpeg(10 * i + 100 * split.endswith("B")))
        file.writestr("small/trainA/.DS_Store", b"none")
    return buffer.getvalue()


def side_by_side():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for split, count in (("train", 3), ("val", 1)):
            for i in range(count):
                info = tarfile.TarInfo(f"../small/{split}/{i}.jpg")
                info.size = len(jpeg(10 * i, 32))
                file.addfile(info, io.BytesIO(jpeg(10 * i, 32)))
    return buffer.getvalue()


def know(monkeypatch, kind, url, content, pinned=True, splits=tuple(COUNTS)):
    sha256 = hashlib.sha256(content).hexdigest() if pinned else None
    archive = archives.Archive(url, len(content) if pinned else 0, sha256, splits)
    monkeypatch.setitem(archives.TABLES[kind], "small", archive)
    return archive


def opened(config, name, **changes):
    config = config.get_config("debug")
    config.data.resolution, config.data.load_size, config.data.name = 16, 0, name
    config.data.update(changes)
    return task.of(config).open(config)


def levels(table):
    return sorted(np.round(table.images[:, 0, 0, 0], -1).tolist())


def test_the_tables():
    assert len(archives.CYCLE_GAN) == 10 and len(archives.PIX2PIX) == 5
    for archive in archives.CYCLE_GAN.values():
        assert len(archive.sha256) == 64 and archive.bytes > 10**7 and archive.url.startswith("https://")
    assert all(archive.sha256 is None for archive in archives.PIX2PIX.values())


def test_a_cycle_gan_archive_is_two_domains_and_its_paintings_alone_are_one(monkeypatch):
    content = cycle_gan()
    with serve(content, "small.zip") as served:
        know(monkeypatch, "cycle_gan", served.url, content)
        served.breaks = [len(content) // 3]
        both = opened(cyclegan, "tfds:cycle_gan/small")
        assert served.asked == [None, f"bytes={len(content) // 3}-"]
    assert (levels(both.tables["a"]), levels(both.tables["b"]), both.aligned) == ([0, 10, 20], [100, 110], False)
    assert prepared.catalogue("cycle_gan/small", "") == (list(COUNTS), ["image"])  # from disk: the server is stopped
    one = opened(dcgan, "tfds:cycle_gan/small", split="trainB", labels=True).target
    assert levels(one) == [100, 110] and one.classes == ("A", "B") and one.labels.tolist() == [1, 1]
    both = opened(cyclegan, "tfds:cycle_gan/small", a="testA", b="trainB[:50%]")
    assert levels(both.tables["a"]) == [0] and len(both.tables["b"].images) == 1
    with pytest.raises(UserError, match="the splits trainA and trainB of .* are not paired"):
        opened(pix2pix, "tfds:cycle_gan/small", paired="yes")
    with pytest.raises(UserError, match="config.data.a = 'trian' is no image feature .*no split .trainA, trainB"):
        opened(cyclegan, "tfds:cycle_gan/small", a="trian", b="trainB")


def test_a_pix2pix_archive_is_pairs_whose_first_hash_is_held_to(monkeypatch, caplog):
    content = side_by_side()
    with serve(content, "small.tar.gz") as served, caplog.at_level(logging.INFO):
        archive = know(monkeypatch, "pix2pix", served.url, content, pinned=False, splits=("train", "val"))
        both = opened(pix2pix, "tfds:pix2pix/small")
        assert f"later downloads must have {hashlib.sha256(content).hexdigest()}" in caplog.text
        assert both.aligned and levels(both.tables["a"]) == [0, 10, 20]
        np.testing.assert_allclose(both.tables["b"].images - 100.0, both.tables["a"].images, atol=2)
        archive_file = cache_dir.root() / "archives" / "small.tar.gz"
        archive_file.unlink()
        served.content, served.etag = side_by_side() + b"more", '"second"'
        with pytest.raises(UserError, match=r"first download is .*; or, if the authors .*, remove .*sha256"):
            archives.fetch(archive)
        assert archive_file.read_bytes() == served.content  # valid without the .sha256 file: no third download
        archive_file.with_name("small.tar.gz.sha256").unlink()
        assert archives.fetch(archive) == archive_file and len(served.asked) == 2


def test_a_wrong_archive_is_not_kept_and_a_wrong_one_put_there_is_named(monkeypatch):
    content = cycle_gan()
    with serve(content, "small.zip") as served:
        archive = know(monkeypatch, "cycle_gan", served.url, content)._replace(sha256="0" * 64)
        with pytest.raises(UserError, match="is not small.zip: its sha256 is .* the published one is 0000.*deleted"):
            archives.fetch(archive)
    folder = cache_dir.root() / "archives"
    assert not [path for path in folder.iterdir() if path.suffix != ".lock"]
    (folder / "small.zip").write_bytes(b"by hand")
    with pytest.raises(UserError, match=r"small.zip is not small.zip.*remove .*small.zip"):
        archives.fetch(archive)
    assert (folder / "small.zip").read_bytes() == b"by hand"


def test_a_page_that_is_no_archive_is_neither_kept_nor_held_to(monkeypatch):
    with serve(b"<html>please log in</html>", "small.tar.gz") as served:
        archive = know(monkeypatch, "pix2pix", served.url, b"", pinned=False)
        with pytest.raises(UserError, match="returned no archive, perhaps a login page"):
            archives.fetch(archive)
    assert [path.suffix for path in (cache_dir.root() / "archives").iterdir()] == [".lock"]


def test_what_tfds_has_prepared_under_our_name_is_read(tmp_path, monkeypatch):
    content = cycle_gan()
    with serve(content, "small.zip") as served:
        know(monkeypatch, "cycle_gan", served.url, content)
        archives.prepare("cycle_gan/small", str(tmp_path / "tfds"))
    monkeypatch.setattr(archives, "prepare", lambda *_: pytest.fail("it was downloaded"))
    both = opened(cyclegan, "tfds:cycle_gan/small", path=str(tmp_path / "tfds"), a="trainA+testA", b="trainB")
    assert len(both.tables["a"].images) == 4
    both = opened(cyclegan, "tfds:cycle_gan/small", path=str(tmp_path / "tfds"), split="train[:1]")
    assert len(both.tables["a"].images) == len(both.tables["b"].images) == 1


def test_without_a_network_an_archive_put_there_by_hand_serves(monkeypatch):
    content = cycle_gan()
    know(monkeypatch, "cycle_gan", "http://127.0.0.1:9/small.zip", content)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(UserError, match=r"cannot be downloaded: .*refused.*put it into .*archives"):
        opened(cyclegan, "tfds:cycle_gan/small")
    (cache_dir.root() / "archives" / "small.zip").write_bytes(content)
    assert len(opened(cyclegan, "tfds:cycle_gan/small").tables["a"].images) == 3


def test_two_runs_at_once_fetch_once(monkeypatch):
    content = cycle_gan()
    with serve(content, "small.zip") as served:
        archive = know(monkeypatch, "cycle_gan", served.url, content)
        threads = [threading.Thread(target=archives.fetch, args=(archive,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert served.asked == [None]
    assert (cache_dir.root() / "archives" / "small.zip").read_bytes() == content


@pytest.mark.parametrize("damage", ["no archive", "cut"])
def test_an_archive_that_cannot_be_read(tmp_path, damage):
    for file, content in (("x.zip", cycle_gan()), ("x.tar.gz", side_by_side())):
        (tmp_path / file).write_bytes(b"none" if damage == "no archive" else content[: len(content) // 2])
        with pytest.raises(UserError, match=f"{file} cannot be read"):
            list(archives.members(tmp_path / file, "trainA" if file == "x.zip" else "train"))


def test_a_bomb_and_an_empty_split_are_refused(tmp_path, monkeypatch):
    (tmp_path / "x.zip").write_bytes(cycle_gan())
    with pytest.raises(UserError, match="has no files in a folder valA"):
        list(archives.members(tmp_path / "x.zip", "valA"))
    monkeypatch.setattr(archives, "LARGEST", 10)
    with pytest.raises(UserError, match=r"0\.jpg unpacks to .* bytes"):
        list(archives.members(tmp_path / "x.zip", "trainA"))


def test_a_name_that_is_not_known_lists_those_that_are():
    with pytest.raises(UserError, match=r"cycle_gan/monet2foto.*monet2photo.*horse2zebra"):
        opened(cyclegan, "tfds:cycle_gan/monet2foto")


def test_two_image_features_are_pairs(tmp_path):
    from ganjax.data.atelier.builder import Atelier, AtelierConfig

    Atelier(config=AtelierConfig(16, 4, 1), data_dir=tmp_path, file_format="array_record").download_and_prepare()
    name, path = "tfds:atelier/16px-4-1", str(tmp_path)
    both = opened(pix2pix, name, path=path)
    swapped = opened(pix2pix, name, path=path, a="image", b="photo")
    assert both.aligned and len(both.tables["a"].images) == 4
    np.testing.assert_array_equal(both.tables["a"].images, swapped.tables["b"].images)
    np.testing.assert_array_equal(both.tables["b"].images, swapped.tables["a"].images)
    assert not np.array_equal(both.tables["a"].images, both.tables["b"].images)
    assert not opened(cyclegan, name, path=path).aligned  # the config has data.paired = "no"
    whole = opened(restore, name, path=path)
    np.testing.assert_array_equal(whole.target.images, both.tables["b"].images)
    with pytest.raises(UserError, match=r"config.data.a = 'foto' is no image feature .*\(image, photo\)"):
        opened(pix2pix, name, path=path, a="foto", b="image")
