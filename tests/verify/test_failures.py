"""Runs that crash, hang or are killed: what was compared so far is told, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import Outcome
from tests.verify.conftest import ROOT

Verify = Callable[..., Outcome]

LOGS = """\
import os, sys, time, subprocess
import opscan

second = os.path.exists("ran")
open("ran", "w").close()
for k in range(6):
    opscan.log("loss", 1 / (k + 1))
    if second and k == 3:
        {deed}
"""
NAP = str(4000 + os.getpid())
"""The seconds of a `sleep` that no other worker of these tests started."""
DEEDS = {
    "an error": ("raise ValueError('no more')", "ValueError: no more"),
    "exit status 3": ("sys.exit(3)", "exit status 3"),
    "killed": ("os.kill(os.getpid(), 9)", "SIGKILL"),
    "a crash of the interpreter": ("os.abort()", "SIGABRT"),
    "a hang": (f"subprocess.Popen(['sleep', '{NAP}']); time.sleep(4000)", "timed out after 8 s"),
}


@pytest.mark.parametrize(("deed", "words"), DEEDS.values(), ids=DEEDS)
def test_what_was_compared_is_told(verify: Verify, folder: Path, deed: str, words: str) -> None:
    (folder / "train.py").write_text(LOGS.format(deed=deed))
    outcome = verify("train.py", "--timeout", "8")
    assert outcome.status == 2, outcome.out + outcome.err
    assert "the same as far as both runs came" in outcome.out
    assert words in outcome.out
    assert "values" in outcome.out
    assert list((folder.parent / "tmp").iterdir()) == []
    assert not _is_running(f"sleep {NAP}")


def test_a_script_that_fails_at_once_cannot_be_looked_at(verify: Verify, folder: Path) -> None:
    (folder / "train.py").write_text("import nothing_of_this_name\n")
    outcome = verify("train.py")
    assert outcome.status == 2
    assert "nothing_of_this_name" in outcome.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("absent.py",), "no such file"),
        (("absent",), "not a script or a function"),
        ((), "nothing to run"),
        (("--compare", "a.opslog", "b.opslog"), "not a record of a run"),
        (("train.py", "-o", "a.doc"), "no format has this suffix"),
    ],
)
def test_what_cannot_be_done_is_said(verify: Verify, words: tuple[str, ...], said: str) -> None:
    outcome = verify(*words)
    assert outcome.status == 2
    assert said in outcome.err
    assert "internal error" not in outcome.err


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_who_ends_it_leaves_nothing_behind(folder: Path, how: signal.Signals) -> None:
    (folder / "train.py").write_text(
        f"import subprocess, time\nsubprocess.Popen(['sleep', '{NAP}'])\ntime.sleep(4000)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder.parent / "tmp")}
    command = [sys.executable, "-m", "opscan", "verify", "train.py"]
    with heeding_interrupts():
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    _until(lambda: _is_running(f"sleep {NAP}"))
    process.send_signal(how)
    assert process.wait(60) in (128 + how, -how)
    _until(lambda: not _is_running(f"sleep {NAP}"))
    assert list((folder.parent / "tmp").iterdir()) == []


@contextmanager
def heeding_interrupts() -> Iterator[None]:
    """A process that begins here hears SIGINT, also where a shell runs the tests in the background, which does not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _is_running(words: str) -> bool:
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if entry.read_bytes().replace(b"\0", b" ").strip() == words.encode():
                return True
        except OSError:
            continue
    return False


def _until(happened: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)
