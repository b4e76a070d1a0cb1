"""Output that nobody reads, or that the encoding cannot represent."""

import logging
import os
import signal
import subprocess
import sys

import pytest
from running import ROOT

from ganjax.system import console, progress

START = "from ganjax.system import console; console.start(patient={}); import sys, logging;"


def run(code: str, shell: str = "{} -c '{}'", **environment) -> subprocess.CompletedProcess:
    line = shell.format(sys.executable, code)
    return subprocess.run(
        ["bash", "-c", line], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, timeout=60
    )


def test_training_goes_on_when_its_reader_is_gone(tmp_path):
    code = START.format(True) + f'[print(i) for i in range(9999)]; open("{tmp_path}/end", "w")'
    done = run(code, "{} -c '{}' 2>&1 | head -1; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"0\n", b"")
    assert (tmp_path / "end").exists()


def test_other_work_ends_as_programs_do():
    code = START.format(False) + "[print(i) for i in range(9999)]"
    done = run(code, "{} -c '{}' | head -1; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGPIPE, b"0\n", b"")


@pytest.mark.parametrize("redirect", ["2>&-", ">&- 2>&-", "<&- >&-", "2>/dev/full", ">/dev/full 2>/dev/full"])
def test_streams_that_are_closed_or_full_are_no_matter(redirect, tmp_path):
    code = START.format(True) + 'print(1); logging.info("x"); print(2, file=sys.stderr); sys.stderr.isatty();'
    code += f'file = open("{tmp_path}/file", "w"); assert file.fileno() > 2; file.write("own")'
    done = run(code, f"{{}} -c '{{}}' {redirect}")
    assert (done.returncode, (tmp_path / "file").read_text()) == (0, "own")


def test_a_full_disk_is_an_error_where_the_output_is_the_result():
    done = run(START.format(False) + "print(1)", "{} -c '{}' > /dev/full")
    assert done.returncode != 0 and b"No space left" in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_any_name_can_be_printed_and_logged_on_one_line(encoding):
    code = START.format(True) + r'name = "M\udcfc\nller\u6d6e"; print(name[1]); logging.info("skipped %s", name)'
    done = run(code, PYTHONIOENCODING=encoding)
    assert done.returncode == 0 and done.stdout == b"\\udcfc\n"
    assert done.stderr.decode() == (
        "skipped M\\xfc ller\\u6d6e\n" if encoding == "ascii" else "skipped M\\xfc ller浮\n"
    )


def test_absl_is_quiet_and_sets_up_no_log(caplog):
    code = "import logging; from absl import logging as absl; from ganjax.system import console\n"
    code += "with console.quiet():\n"
    code += '  absl.warning("no"); logging.getLogger("mine").warning("yes")\nassert not logging.root.handlers'
    done = run(code)
    assert (done.returncode, done.stderr) == (0, b"yes\n")
    with console.quiet():
        logging.getLogger("absl").error("bad")
    assert "bad" in caplog.text


def test_a_bar_is_for_terminals(capsys, monkeypatch):
    assert list(progress.progress_bar(range(3))) == [0, 1, 2]
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(progress.progress_bar(range(3), desc="drawing")) == [0, 1, 2]
    assert "drawing: 100%" in capsys.readouterr().err
    list(progress.progress_bar(range(3), shown=False))
    assert capsys.readouterr().err == ""
