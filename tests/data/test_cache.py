import errno
import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganjax.data import cache
from ganjax.data.folder import Folder
from ganjax.errors import UserError
from ganjax.system import cache_dir


def load(path, **options):
    return cache.load(Folder(str(path), **options), 16, 16, 3)


def test_rows_follow_the_sorted_names_and_labels_the_first_sub_folder(paintings):
    (paintings / "red" / "deeper").mkdir()
    Image.new("RGB", (20, 20), "green").save(paintings / "red" / "deeper" / "x.jpg")
    Image.new("RGB", (20, 20), "white").save(paintings / "root.png")
    data = load(paintings, labels=True)
    assert data.names == sorted(data.names)
    assert data.classes == ("blue", "red")
    assert dict(zip(data.names, data.labels.tolist(), strict=True))["red/deeper/x.jpg"] == 1
    assert data.labels[data.names.index("root.png")] == -1
    assert data.class_counts == (10, 31)
    np.testing.assert_array_equal(data.images[data.names.index("root.png")], 255)


def test_second_reading_decodes_nothing(paintings, monkeypatch):
    first = load(paintings)
    monkeypatch.setattr(Folder, "read", lambda *_: pytest.fail("decoded again"))
    second = load(paintings)
    np.testing.assert_array_equal(first.images, second.images)
    assert first.content == second.content


def test_a_changed_file_makes_a_new_cache_and_another_content(paintings):
    before = load(paintings)
    Image.new("RGB", (20, 20), "green").save(paintings / "red" / "01.png")
    assert load(paintings).content != before.content


def flip(data: bytes) -> bytes:
    return data[:700] + bytes([data[700] ^ 1]) + data[701:]


@pytest.mark.parametrize(
    ("file", "harm"),
    [
        ("images.u8", lambda data: data[:100]),
        ("images.u8", flip),
        ("images.u8", lambda data: data[:768] + bytes(768) + data[1536:]),
        ("images.u8", None),
        ("index.json", lambda data: b"{"),
        ("index.json", lambda data: b"[1, 2]"),
        ("index.json", lambda data: b"null"),
        ("index.json", lambda data: b'{"index": {"names": 3}, "crc32": 0}'),
        ("index.json", lambda data: data.replace(b'"labels": [0', b'"labels": [-7')),
        ("index.json", lambda data: data.replace(b'"blue"', b'"blau"')),
        ("index.json", lambda data: data.replace(b'"blue"', b"3")),
        ("index.json", lambda data: b"\xff\xfe"),
        ("index.json", None),
    ],
)
def test_a_damaged_entry_is_made_anew_after_one_warning(paintings, tmp_path, monkeypatch, caplog, file, harm):
    monkeypatch.setenv("GANJAX_CACHE", str(tmp_path / "cache"))
    first = load(paintings, labels=True)
    expected = np.array(first.images)
    (path,) = (tmp_path / "cache" / "images").glob(f"*/{file}")
    data = path.read_bytes()
    path.unlink()
    if harm:
        assert harm(data) != data
        path.write_bytes(harm(data))
    again = load(paintings, labels=True)
    np.testing.assert_array_equal(again.images, expected)
    assert (again.classes, again.names, again.content) == (first.classes, first.names, first.content)
    np.testing.assert_array_equal(again.labels, first.labels)
    assert len(caplog.records) == 1 and "is damaged" in caplog.text
    load(paintings, labels=True)
    assert len(caplog.records) == 1


def test_an_entry_that_a_neighbour_removes_is_made_again(paintings, tmp_path, monkeypatch):
    monkeypatch.setenv("GANJAX_CACHE", str(tmp_path / "cache"))
    build, built = cache._build, []

    def removed_at_once(source, folder, *args):
        build(source, folder, *args)
        built.append(folder)
        if len(built) == 1:
            shutil.rmtree(folder)

    monkeypatch.setattr(cache, "_build", removed_at_once)
    assert len(load(paintings).images) == 40 and len(built) == 2


def pictures(folder, colour):
    """Write BMPs like a camera: names, sizes and times are the same in every folder."""
    folder.mkdir(exist_ok=True)
    for i in range(3):
        Image.new("RGB", (16, 16), colour).save(folder / f"{i}.bmp")
        os.utime(folder / f"{i}.bmp", ns=(10**18, 10**18))


def test_folders_of_equal_names_sizes_and_times_have_entries_of_their_own(tmp_path):
    pictures(tmp_path / "a", "red")
    pictures(tmp_path / "b", "blue")
    assert (load(tmp_path / "a").images[0, 0, 0].tolist(), load(tmp_path / "b").images[0, 0, 0].tolist()) == (
        [255, 0, 0],
        [0, 0, 255],
    )
    pictures(tmp_path / "a", "lime")  # overwritten in place, with the old mtime
    assert load(tmp_path / "a").images[0, 0, 0].tolist() == [0, 255, 0]
    (tmp_path / "link").symlink_to(tmp_path / "b")
    assert Folder(str(tmp_path / "link")).identity == Folder(str(tmp_path / "b")).identity
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert load(tmp_path / "link").images[0, 0, 0].tolist() == [0, 255, 0]


def test_a_copy_elsewhere_has_the_same_content(paintings, tmp_path):
    paintings_copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", paintings, paintings_copy], check=True)
    assert load(paintings_copy).content == load(paintings).content


def test_bad_files_are_skipped_and_listed(paintings):
    (paintings / "empty.png").touch()
    (paintings / "text.jpg").write_text("not an image")
    (paintings / "notes.txt").write_text("remarks")
    (paintings / ".DS_Store").write_text("hidden")
    data = load(paintings)
    assert len(data.images) == 40
    assert dict(data.skipped) == {
        "empty.png": "empty file",
        "text.jpg": "not an image that Pillow can read",
    }


def test_too_many_damaged_files_stop_with_their_names(tmp_path):
    for i in range(101):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / f"{i:03d}.png")
    for i in range(6):
        (tmp_path / f"bad{i}.png").touch()
    for i in range(50):  # by their names these are no images
        (tmp_path / f"note{i}.txt").write_text("hello")
    with pytest.raises(UserError, match=r"6 of 107 images are damaged.*bad0.png \(empty file\).*max_damaged"):
        load(tmp_path)
    assert len(cache.load(Folder(str(tmp_path)), 16, 16, 3, max_damaged=0.1).images) == 101


def test_no_usable_image_says_why(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(UserError, match=r"none of 1 files is a usable image: a.png \(empty file\)"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: None, "there is no folder"),
        (lambda p: p.mkdir(), "holds no file"),
    ],
)
def test_a_bad_path_is_named(tmp_path, make, message):
    make(tmp_path / "x")
    with pytest.raises(UserError, match=message):
        Folder(str(tmp_path / "x"))


def test_labels_need_sub_folders(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="no sub-folders"):
        Folder(str(tmp_path), labels=True)


def test_links_that_form_a_ring_end(paintings):
    (paintings / "red" / "ring").symlink_to(paintings)
    assert len(Folder(str(paintings))) == 40


def test_a_writer_that_was_killed_leaves_nothing_in_the_way(paintings, tmp_path, monkeypatch):
    monkeypatch.setenv("GANJAX_CACHE", str(tmp_path / "cache"))
    program = f"""
import os
from ganjax.data import cache, images
from ganjax.data.folder import Folder
read = Folder.read
Folder.read = lambda self, i: os.kill(os.getpid(), 9) if i == 20 else read(self, i)
cache.load(Folder({str(paintings)!r}), 16, 16, 3, threads=1)
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == -9
    assert [f.name.count(".tmp-") for f in (tmp_path / "cache" / "images").iterdir()] == [1]
    assert len(load(paintings).images) == 40


def test_an_old_leftover_is_removed_unless_its_builder_is_alive(paintings, tmp_path, monkeypatch):
    monkeypatch.setenv("GANJAX_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "images"
    for name in ("old.tmp-1", "new.tmp-2", "alive.tmp-3", "killed.tmp-4", "nolocks.tmp-5"):
        (folder / name).mkdir(parents=True)
    flock = fcntl.flock

    def refusing(file, mode):
        if "nolocks" in file.name:
            raise OSError(errno.ENOLCK, "No locks available")
        flock(file, mode)

    monkeypatch.setattr(fcntl, "flock", refusing)
    with cache._hold_lock(folder / "killed.tmp-4"), cache._hold_lock(folder / "nolocks.tmp-5"):
        pass
    with cache._hold_lock(folder / "alive.tmp-3"):
        for name in ("old.tmp-1", "alive.tmp-3", "killed.tmp-4", "nolocks.tmp-5"):
            os.utime(folder / name, (0, 0))
        load(paintings)
    remaining = {f.name for f in folder.iterdir() if ".tmp-" in f.name}
    assert remaining == {"new.tmp-2", "alive.tmp-3", "nolocks.tmp-5"}


def test_the_place_of_the_cache_may_begin_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GANJAX_CACHE", "~/cache")
    assert cache_dir.root() == tmp_path / "cache"


def test_a_home_is_asked_for_only_where_the_cache_lies_in_it(tmp_path, monkeypatch):
    def no_entry(user):
        raise KeyError(user)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", no_entry)
    assert cache_dir.root() == Path(os.environ["GANJAX_CACHE"])
    monkeypatch.delenv("GANJAX_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir.root() == tmp_path / "ganjax"
    monkeypatch.delenv("XDG_CACHE_HOME")
    with pytest.raises(UserError, match="~/.cache: .* home directory; set GANJAX_CACHE to a folder"):
        cache_dir.root()


def test_a_cache_that_cannot_be_written_names_the_way_out(paintings, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("GANJAX_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(UserError, match="GANJAX_CACHE"):
        load(paintings)


def test_what_is_left_out_of_an_image_is_said_each_time(tmp_path, caplog):
    for i in range(3):
        frames = [Image.new("L", (8, 8), 40 * i), Image.new("L", (8, 8), 200)]
        frames[0].save(tmp_path / f"{i}.gif", save_all=True, append_images=frames[1:])
    Image.new("L", (8, 8)).save(tmp_path / "plain.png")
    for _ in range(2):  # decoded, then read from the cache
        caplog.clear()
        with caplog.at_level("INFO"):
            cache.load(Folder(str(tmp_path), channels=1), 8, 8, 1)
        assert "0.gif and 2 more: only the first of its frames or pages is used" in caplog.text


def test_a_file_that_could_not_be_read_for_once_is_taken_later(tmp_path, monkeypatch):
    for i in range(3):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{i}.png")
    read = Folder.read

    def stale(self, index):
        if index == 1:
            raise OSError(errno.ESTALE, "Stale file handle")
        return read(self, index)

    monkeypatch.setattr(Folder, "read", stale)
    for _ in range(2):
        assert cache.load(Folder(str(tmp_path)), 8, 8, 3).names == ["0.png", "2.png"]
    monkeypatch.setattr(Folder, "read", read)
    assert cache.load(Folder(str(tmp_path)), 8, 8, 3).names == ["0.png", "1.png", "2.png"]
