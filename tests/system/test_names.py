"""Names from data become safe names; files are written whole or not at all."""

import os

import pytest

from ganjax.errors import UserError
from ganjax.system import atomic, names

MULLER = os.fsdecode(b"M\xfcller.jpg")  # Latin-1


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("Müller 浮世絵 🎨", "Müller 浮世絵 🎨"),
        (MULLER, r"M\xfcller.jpg"),
        ("a\nb\x1b[2J", r"a\nb\x1b[2J"),
        ("\ud83c", r"\ud83c"),
    ],
)
def test_what_is_printed_is_one_line_of_utf8(text, escaped):
    assert names.printable(text) == escaped
    escaped.encode()


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("male-noble", "male-noble"),
        ("../../evil", "-..-evil"),
        ("/etc/passwd", "-etc-passwd"),
        ("..", "_"),
        ("", "_"),
        ("a\0b", "a-b"),
        ("\ud800", "-"),
        ("NUL", "_NUL"),
        ("con.png", "_con.png"),
        ("Mu\u0308ller", "Müller"),
    ],
)
def test_a_safe_name_is_one_component(name, safe):
    assert names.safe_name(name) == safe
    assert "/" not in safe and safe not in ("", ".", "..")


def test_long_names_are_cut_and_stay_distinct():
    long = [names.safe_name("浮" * 200 + end) for end in "ab"]
    assert long[0] != long[1] and all(len(name.encode()) <= names.LONGEST for name in long)


def test_names_that_become_one_are_numbered():
    assert names.safe_names(["a/b", "a-b", "A-B", "c"]) == ["a-b", "a-b-2", "A-B-3", "c"]
    assert names.safe_names(["a", "a-2", "a"]) == ["a", "a-2", "a-3"]


def test_home_is_expanded_and_what_no_file_can_have_is_refused(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert str(names.expanded("~/art")) == "/home/someone/art"
    with pytest.raises(UserError, match="--out=a\\\\x00b: a path cannot hold a NUL"):
        names.expanded("a\0b", "--out")
    with pytest.raises(UserError, match="--out=~nobody-here/x: "):
        names.expanded("~nobody-here/x", "--out")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    atomic.write_text(path, MULLER)
    assert path.read_text() == r"M\udcfcller.jpg"
    with pytest.raises(KeyboardInterrupt), atomic.replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    with pytest.raises(UserError, match="a.txt cannot be written: No space left"), atomic.replacing(path) as temporary:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")
    assert [file.name for file in path.parent.iterdir()] == ["a.txt"] and "ller" in path.read_text()


def test_the_longest_names_have_short_temporary_ones(tmp_path):
    path = tmp_path / ("x" * 251 + ".png")
    with atomic.replacing(path) as temporary:
        temporary.touch()
        assert temporary.suffix == ".png"
    assert path.exists()


def test_a_target_that_cannot_be_written_is_told_before_the_work(tmp_path):
    with pytest.raises(UserError, match="is a folder: give the name of a file"):
        atomic.check_writable(tmp_path, "--out")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="--out=.*cannot be written"):
        atomic.check_writable(tmp_path / "file" / "a.json", "--out")
    atomic.check_writable(tmp_path / "new" / "a.json", "--out")
    assert not (tmp_path / "new" / "a.json").exists()
