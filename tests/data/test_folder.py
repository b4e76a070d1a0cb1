"""Which files of a folder are images; labels from the names of sub-folders or from a dataset.json."""

import json
import logging
import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganjax.data import cache, folder, images
from ganjax.data.folder import Folder
from ganjax.errors import UserError


def put(path, level=0):
    """Write a small PNG, whatever the ending of the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4, 3), level, np.uint8)).save(path, "PNG")


def load(path, **options):
    return cache.load(Folder(str(path), **options), 4, 4, 3)


def test_a_class_is_the_first_sub_folder_or_the_whole_way_to_the_file(tmp_path):
    for place in ("impressionism/monet", "impressionism/degas", "ukiyo_e/hokusai", "."):
        put(tmp_path / place / "a.png")
    first, nested = Folder(str(tmp_path), labels=True), Folder(str(tmp_path), labels=True, nested=True)
    assert first.classes == ("impressionism", "ukiyo_e")
    assert nested.classes == ("impressionism/degas", "impressionism/monet", "ukiyo_e/hokusai")
    labels = {nested.name(i): nested.read(i)[1] for i in range(len(nested))}
    assert labels == {"a.png": -1, **{f"{name}/a.png": i for i, name in enumerate(nested.classes)}}
    assert first.identity != nested.identity


def test_folders_without_a_usable_image_are_no_classes(tmp_path, caplog):
    for place in ("b_monet/1.png", "d_manet/1.png"):
        put(tmp_path / place)
    for place in ("a_captions/1.txt", "c_damaged/1.png"):
        (tmp_path / place).parent.mkdir()
        (tmp_path / place).write_text("no picture")
    (tmp_path / "e_empty").mkdir()
    data = load(tmp_path, labels=True)
    assert data.classes == ("b_monet", "d_manet") and data.labels.tolist() == [0, 1]
    assert [name for name, _ in data.skipped] == ["c_damaged/1.png"]
    assert "no image of c_damaged can be read" in caplog.text
    assert load(tmp_path, labels=True).classes == data.classes  # from the cache, too
    (tmp_path / "b_monet" / "1.png").write_bytes(b"")
    (tmp_path / "d_manet" / "1.png").write_bytes(b"")
    put(tmp_path / "1.png")
    with pytest.raises(UserError, match="no sub-folder holds a usable image"):
        load(tmp_path, labels=True)


def test_other_sources_keep_their_classes_without_images():
    class Digits:
        classes, identity = ("0", "1"), {"source": "digits"}
        name, is_image, __len__ = str, bool, lambda self: 1

        def read(self, index):
            return Image.new("RGB", (4, 4)), 1

    data = cache.load(Digits(), 4, 4, 3)
    assert data.classes == ("0", "1") and data.labels.tolist() == [1]


def test_one_name_in_two_normal_forms_is_one_class_and_names_can_be_shown(tmp_path):
    for form in ("NFC", "NFD"):
        put(tmp_path / unicodedata.normalize(form, "Müller") / "a.png")
    put(tmp_path / "new\nline" / ("x" * 251 + ".png"))
    put(Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcller/a.png")))
    data = load(tmp_path, labels=True)
    assert data.classes == ("M\\xfcller", "Müller", "new\\nline")
    assert sorted(data.labels.tolist()) == [0, 1, 1, 2]
    assert all(name.encode() and name.isprintable() for name in data.names)
    assert len(data.images) == 4 and not data.skipped


def test_what_is_no_image_is_summed_up_in_a_line_and_what_nobody_put_there_is_not(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    for name in ("a.png", "really_a_picture", "b.JFIF"):
        put(tmp_path / name)
    for name in (
        "Thumbs.db",
        "desktop.ini",
        ".DS_Store",
        "@eaDir/b.png",
        "__MACOSX/._a.png",
        "1.txt",
        "2.txt",
        "x.xmp",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"something else")
    assert Folder(str(tmp_path)).files == ["a.png", "b.JFIF", "really_a_picture"]
    assert [r.getMessage() for r in caplog.records] == [
        f"left out of {tmp_path}: 3 files are no images: .txt 2, .xmp 1"
    ]
    with pytest.raises(UserError, match=r"holds no image; 1 file is no image: .txt 1"):
        Folder(str(tmp_path / "1.txt"))


def test_links_that_lead_nowhere_are_named_and_rings_end(tmp_path, caplog):
    put(tmp_path / "a.png")
    (tmp_path / "ring").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "broken.png").symlink_to("nowhere.png")
    assert Folder(str(tmp_path)).files == ["a.png"]
    assert "2 files that cannot be opened" in caplog.text and "broken.png (No such file or directory)" in caplog.text


def test_pipes_are_no_images(tmp_path):
    put(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    assert Folder(str(tmp_path)).files == ["a.png"]
    with pytest.raises(UserError, match="b.png is no folder, archive or image"):
        Folder(str(tmp_path / "b.png"))


def test_what_may_not_be_read_is_named_and_is_not_damaged(tmp_path, caplog, monkeypatch):
    """Root may read everything, so the test patches the system calls to raise PermissionError."""
    for i in range(101):
        put(tmp_path / f"{i}.png")
    put(tmp_path / "locked" / "1.png")
    scandir, opener, read = os.scandir, Path.open, images.read

    def scan(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    def refused(name):
        return name[:-4].isdigit() and int(name[:-4]) < 50

    def open_(self, *args, **options):
        if refused(self.name):
            raise PermissionError(13, "Permission denied", str(self))
        return opener(self, *args, **options)

    def reads(path, *args):
        if refused(Path(path).name):
            raise images.ImageError("damaged: [Errno 13] Permission denied")
        return read(path, *args)

    monkeypatch.setattr(folder.os, "scandir", scan)
    monkeypatch.setattr(Path, "open", open_)
    monkeypatch.setattr(images, "read", reads)
    data = load(tmp_path)  # 50 damaged files of 101 would raise UserError
    assert len(data.images) == 51
    assert dict(data.skipped)["7.png"] == "cannot be read: Permission denied"
    assert f"left out the folder {tmp_path / 'locked'}: it cannot be read: Permission denied" in caplog.text
    with pytest.raises(UserError, match="locked cannot be read: Permission denied"):
        list(folder.names_below(tmp_path / "locked"))


def test_a_dataset_json_labels_its_files(tmp_path):
    for name in ("00000/a.png", "00000/b.png", "00001/c.png", "00001/d.png"):
        put(tmp_path / name)
    listing = tmp_path / "dataset.json"
    pairs = [["00000/a.png", 7], ["00000/b.png", 2], ["00001/c.png", 7]]
    listing.write_text(json.dumps({"labels": pairs}))
    data = load(tmp_path, labels=True)
    assert data.classes == ("2", "7") and data.labels.tolist() == [1, 0, 1, -1]
    before = data.content
    listing.write_text(json.dumps({"labels": [[name, 9 - n] for name, n in pairs], "classes": list("abcdefgh")}))
    data = load(tmp_path, labels=True)  # the cache key depends on the list
    assert data.classes == ("c", "h") and data.labels.tolist() == [0, 1, 0, -1] and data.content != before
    assert load(tmp_path).classes == ()
    for text, message in (
        ('{"labels": null}', "lists no labels"),
        ('{"labels": [["00000/a.png", [0, 1]]]}', "one class number for each file"),
        ('{"labels": [["00000/a.png"]]}', "one class number for each file"),
        ("[" * 100_000, "dataset.json is damaged"),
        ("{", "dataset.json is damaged"),
    ):
        listing.write_text(text)
        with pytest.raises(UserError, match=message):
            Folder(str(tmp_path), labels=True)
        assert Folder(str(tmp_path), labels=None).classes == ("00000", "00001")  # as `evaluate` does
