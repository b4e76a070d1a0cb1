"""Real signals to real processes, which need no JAX: exit status, the line on stderr, saving, temporary files."""

import os
import signal
import subprocess
import sys
import time

import pytest
from running import ROOT

from ganjax.system import signals

BOTH = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
BEGIN = "import signal, time; from pathlib import Path; from ganjax.system import signals; signals.watch();"
READY = "print('ready', flush=True);"


def run(code: str, *numbers: int, before=None) -> tuple[int, list[str]]:
    """Run the code and send one signal for each line that it prints; return the status and the lines of stderr."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    handlers = {n: signal.signal(n, before or signal.SIG_DFL) for n in (signal.SIGINT, signal.SIGHUP)}
    try:
        process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, **streams)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for number in numbers:
        process.stdout.readline()
        process.send_signal(number)
    _, text = process.communicate(timeout=60)
    return process.returncode, text.splitlines()


@pytest.mark.parametrize("number", BOTH)
@pytest.mark.parametrize("work", ["time.sleep(60)", "sorted(range(10**6))"])
def test_a_signal_ends_the_program_with_one_line_and_its_own_status(number, work):
    began = time.monotonic()
    line = f"stopped by {signal.Signals(number).name}; again"
    assert run(f"{BEGIN} signals.advice = '; again'; {READY}\nwhile True: {work}", number) == (-number, [line])
    assert time.monotonic() - began < 20


def test_a_signal_before_the_watch_waits_for_it_also_through_exec():
    watch = "from ganjax.system import signals; signals.watch(); import time; time.sleep(60)"
    code = f"import os, signal, sys, time; signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGINT}}); {READY}"
    code += f"time.sleep(0.3); os.execv(sys.executable, [sys.executable, '-c', {watch!r}])"
    assert run(code, signal.SIGINT) == (-signal.SIGINT, ["stopped by SIGINT"])


@pytest.mark.parametrize("number", BOTH)
def test_what_holds_is_saved_first(number, tmp_path):
    code = f"""{BEGIN}
with signals.Stop() as stop:
    stop.hold()
    {READY}
    while stop.signal is None: time.sleep(0.01)
    Path({str(tmp_path)!r}, str(stop.signal)).touch()
signals.leave(0)"""
    assert run(code, number) == (-number, [])
    assert [file.name for file in tmp_path.iterdir()] == [str(int(number))]


def test_a_second_ctrl_c_acts_at_once_and_another_signal_waits():
    code = (
        f"{BEGIN} stop = signals.Stop(); stop.hold(); {READY} time.sleep(0.3); {READY} time.sleep(%s); signals.leave(3)"
    )
    line = "stopped immediately, without saving; run the same command to resume"
    assert run(code % 60, signal.SIGTERM, signal.SIGINT) == (-signal.SIGINT, [line])
    assert run(code % 0.3, signal.SIGINT, signal.SIGTERM) == (3, [])


def test_the_same_signal_twice_at_once_is_one():
    code = f"{BEGIN} stop = signals.Stop(); stop.hold(); {READY} {READY} time.sleep(1); signals.leave(3)"
    assert run(code, signal.SIGINT, signal.SIGINT) == (3, [])


def test_a_training_that_has_no_checkpoint_yet_speaks_of_none(tmp_path):
    (tmp_path / "slow.py").write_text("import time; print('ready', flush=True); time.sleep(60)")
    flags = ["launch.py", "train", f"--config={tmp_path / 'slow.py'}", f"--workdir={tmp_path / 'run'}"]
    code = f"import runpy, sys; sys.argv = {flags}; runpy.run_path('launch.py', run_name='__main__')"
    assert run(code, signal.SIGINT) == (-signal.SIGINT, ["stopped by SIGINT; run the same command to resume"])


def test_temporary_files_and_folders_vanish(tmp_path):
    code = f"""{BEGIN}
from ganjax.system import atomic
folder = Path({str(tmp_path)!r})
(folder / "a.tmp").mkdir()
(folder / "kept").touch()
with signals.removing(folder / "a.tmp"), atomic.replacing(folder / "b.txt") as path:
    path.touch()
    {READY}
    time.sleep(60)"""
    assert run(code, signal.SIGTERM)[0] == -signal.SIGTERM
    assert [file.name for file in tmp_path.iterdir()] == ["kept"]


def test_what_was_ignored_at_the_start_stays_ignored():
    code = f"{BEGIN} {READY} time.sleep(0.3)"
    assert run(code, signal.SIGHUP, before=signal.SIG_IGN) == (0, [])


@pytest.fixture
def handlers_of_a_terminal():
    """Set the handlers with which a terminal starts a program: a background job would ignore SIGINT, nohup SIGHUP."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_where_nobody_watches_a_loop_sets_handlers_and_gives_them_back(handlers_of_a_terminal):
    before = [signal.getsignal(number) for number in BOTH]
    with signals.Stop() as stop:
        assert [signal.getsignal(number) for number in BOTH] == before
        stop.hold()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signal == signal.SIGTERM
        os.kill(os.getpid(), signal.SIGINT)  # at once, as `timeout` sends it: the same
        time.sleep(signals.TWICE)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signals.caught == signal.SIGTERM
    assert [signal.getsignal(number) for number in BOTH] == before
    with signals.Stop():
        pass
    assert signals.caught is None
