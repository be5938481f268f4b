"""The commands around a target's own process: ended by Ctrl-C, without such a process, and those that run no code."""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from opscan.cli import main
from opscan.cli.check import _shown
from opscan.cli.looking import limits_of, size_bytes
from opscan.isolation import client
from opscan.isolation.client import isolated, stop_server
from opscan.isolation.memory import memory_here
from opscan.isolation.outcome import FOREVER_S, Limits
from opscan.report.outcome import Outcome as Found
from opscan.report.stepgraph import StepGraph
from tests.conftest import CNN_SOURCE, Outcome, run_process
from tests.isolation import misdeeds
from tests.isolation.hostile import MODEL
from tests.isolation.test_isolated import goes, linux, written_pid
from tests.report.sample import CLEAN, FULL

Run = Callable[..., Outcome]
ROOT = Path(__file__).parents[2]
HANGS = "import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(1000)\n"
ERASES = "import pathlib\npathlib.Path('precious').unlink()\nclass Net: pass\n"


@linux
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_child_at_once_and_is_told(how: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "hangs.py").write_text(HANGS)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would not hear it
    words = [sys.executable, "-m", "opscan", "check", "hangs.py:Net", "--format", "json"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    opscan = subprocess.Popen(words, cwd=tmp_path, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    signal.signal(signal.SIGINT, before)
    child = written_pid(tmp_path / "pid")
    started = time.monotonic()
    opscan.send_signal(how)
    out, err = opscan.communicate(timeout=60)
    assert time.monotonic() - started < 5
    assert (opscan.returncode, out) == (128 + how, "")
    asked = "interrupted" if how is signal.SIGINT else "ended by SIGTERM"
    assert err == f"opscan: {asked}\n"
    assert goes(child)


def test_fix_looks_in_processes_too_and_others_are_fixed(tmp_path: Path) -> None:
    (tmp_path / "mymodel.py").write_text(CNN_SOURCE)
    (tmp_path / "exits.py").write_text("import os\nimport torch.nn as nn\nclass Net(nn.Module): pass\nos._exit(0)\n")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    outcome = run_process(sys.executable, "-m", "opscan", "fix", "exits.py", "mymodel.py:CNN_v2", cwd=tmp_path, env=env)
    assert outcome.status == 2
    assert "exits.py: ended its process with exit status 0" in outcome.err
    assert outcome.out.count("+        self.conv") == 6


def test_code_that_asks_has_the_terminal_in_process(
    opscan: Run, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workplace / "asks.py").write_text(f"print(input() * 2)\n{MODEL}")
    monkeypatch.setattr(sys, "stdin", io.StringIO("net\n"))
    outcome = opscan("check", "asks.py:Net", "--format", "json")
    assert len(outcome.document["reports"]) == 1
    assert outcome.err == "netnet\n"


def test_where_nothing_can_be_forked_it_looks_in_process_with_a_word(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(os, "fork")
    assert main(("check", "mymodel4.py:CNN_v4", "--quiet")) == 0
    assert capsys.readouterr().err.startswith("opscan: this system cannot fork: targets run in opscan's own process")


@pytest.mark.parametrize("ends", ["raise SystemExit(0)", "raise GeneratorExit"])
def test_what_ends_python_ends_no_command_in_process(opscan: Run, workplace: Path, ends: str) -> None:
    (workplace / "ends.py").write_text(MODEL.replace("        return self", f"        {ends}\n        return self"))
    outcome = opscan("check", "ends.py:Net", "mymodel4.py:CNN_v4", "--format", "json")
    assert outcome.status == 2
    assert [each["target"] for each in outcome.document["reports"]] == ["mymodel4.py:CNN_v4"]


@pytest.mark.parametrize(
    ("words", "limits"),
    [
        pytest.param({}, Limits(1800.0, memory_here()), id="the default"),
        pytest.param({"timeout": 2.5, "memory": 1 << 30}, Limits(2.5, 1 << 30), id="as asked"),
        pytest.param({"timeout": 0.0, "memory": 0}, Limits(FOREVER_S, None), id="0 is none"),
        pytest.param({"replay": 20}, Limits(FOREVER_S, memory_here()), id="a replay may take its time"),
        pytest.param({"run": True}, Limits(FOREVER_S, memory_here()), id="so may a run"),
        pytest.param({"trace_device": "cpu", "timeout": 9.0}, Limits(9.0, memory_here()), id="unless asked otherwise"),
    ],
)
def test_limits(words: dict[str, object], limits: Limits) -> None:
    plain = {"timeout": None, "memory": None, "run": None, "replay": 1, "trace_device": "meta"}
    assert limits_of(argparse.Namespace(**{**plain, **words})) == limits


@pytest.mark.parametrize(
    ("text", "size"), [("4GiB", 4 << 30), ("512 mb", 512 << 20), ("1.5K", 1536), ("7", 7), ("0", 0)]
)
def test_sizes(text: str, size: int) -> None:
    assert size_bytes(text) == size


@pytest.mark.skipif(sys.platform != "linux", reason="other systems may not tell")
def test_the_memory_there_is_is_known() -> None:
    assert 1 << 28 < (memory_here() or 0) < 1 << 50


def test_a_report_that_contradicts_itself_costs_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    broken = StepGraph(("a",), (), (0,), (7,), (9,), (0,), (0, 5), (3,), (True,), {}, {}, {}, ("",))
    outcome = Found((CLEAN, replace(FULL, target="forged:Net", graph=broken)))
    arguments = argparse.Namespace(format="html", cost=False, in_process=False)
    shown, text = _shown(outcome, arguments)
    assert shown.reports == (CLEAN,)
    assert [(each.target, each.wanted) for each in shown.unseen] == [("forged:Net", True)]
    assert "<!DOCTYPE html>" in text
    assert "forged:Net: handed in a report that contradicts itself" in capsys.readouterr().err


@linux
def test_a_watcher_that_is_stopped_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_GRACE_S", 0.5)
    try:
        outcome = isolated(misdeeds.stop_its_parent, (str(tmp_path / "pid"),), Limits(0.5), str)
        assert outcome.ended == "killed the process that watches over it"
        assert goes(written_pid(tmp_path / "pid"))
        assert isolated(misdeeds.add, (1, 1), Limits(20.0), int).value == 2
    finally:
        stop_server()


def test_lint_runs_nothing(opscan: Run, workplace: Path) -> None:
    (workplace / "precious").touch()
    (workplace / "erases.py").write_text(ERASES)
    (workplace / "erases.ipynb").write_text(json.dumps({"cells": [{"cell_type": "code", "source": ERASES}]}))
    for words in (("lint", "."), ("lint", "--diff", "erases.py"), ("lint", "--fix", "."), ("lint", "erases.ipynb")):
        assert opscan(*words).status in (0, 1)
    assert (workplace / "precious").exists()


HOSTILE_DOCUMENTS = {
    "a pickle that erases": b"cposix\nsystem\n(S'rm precious'\ntR.",
    "Python": ERASES.encode(),
    "no text": b"\xff\xfe\x00",
    "nested beyond measure": b"[" * 200_000,
    "not a number": b'{"schema": NaN, "reports": []}',
    "reports that are none": b'{"schema": 1, "reports": [null, 1, {"target": {}}]}',
    "nothing": b"",
}


@pytest.mark.parametrize("content", HOSTILE_DOCUMENTS.values(), ids=HOSTILE_DOCUMENTS)
def test_reading_reports_runs_nothing_and_ends_in_a_clear_message(opscan: Run, workplace: Path, content: bytes) -> None:
    (workplace / "precious").touch()
    (workplace / "erases.py").write_text(ERASES)
    (workplace / "old.json").write_bytes(content)
    (workplace / "new.json").write_text(FULL.to_json())
    outcome = opscan("diff", "old.json", "new.json")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("opscan: old.json")
    assert "internal error" not in outcome.err
    assert (workplace / "precious").exists()


def test_a_report_that_names_a_target_does_not_have_it_imported(opscan: Run, workplace: Path) -> None:
    (workplace / "precious").touch()
    (workplace / "erases.py").write_text(ERASES)
    text = replace(FULL, target="erases.py:Net\x1b[2J").to_json().replace("/home/me/model.py", "erases.py")
    for name in ("old.json", "new.json"):
        (workplace / name).write_text(text)
    outcome = opscan("diff", "old.json", "new.json")
    assert outcome.status == 0
    assert "\x1b" not in outcome.out
    assert (workplace / "precious").exists()
