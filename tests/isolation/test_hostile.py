"""Targets that do their worst: each is told of, none costs another, and nothing of them is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import opscan
from tests.isolation.hostile import MODEL, Hostile, page, read_hostile

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="daemons are found, and memory is limited, on Linux")
ROOT = Path(opscan.__file__).parents[1]
HOSTILE = read_hostile()
FIRST, LAST = "healthy.py:Net", "./healthy.py:Net"


@dataclass(frozen=True)
class Looked:
    """What came of one command."""

    status: int
    out: str
    err: str

    @property
    def reports(self) -> dict[str, Any]:
        return {each["target"]: each for each in json.loads(self.out)["reports"]}

    @property
    def missed(self) -> dict[str, str]:
        return {each["target"]: each["why"] for each in json.loads(self.out)["not_looked_at"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "healthy.py").write_text(MODEL)
    for each in HOSTILE:
        each.write(folder)
    return folder


@pytest.fixture(scope="module")
def token() -> str:
    """A word in the environment of all that the commands start."""
    return uuid.uuid4().hex


@pytest.fixture(scope="module")
def looked(folder: Path, token: str) -> dict[bool, Looked]:
    """Both commands, at once: over what hangs, and over all others."""
    running = {hangs: _started(folder, token, hangs) for hangs in (True, False)}
    done = {hangs: (process.communicate(timeout=300), process.returncode) for hangs, process in running.items()}
    return {hangs: Looked(status, out, err) for hangs, ((out, err), status) in done.items()}


def _started(folder: Path, token: str, hangs: bool) -> subprocess.Popen[str]:
    targets = [FIRST, *(each.target for each in HOSTILE if each.hangs is hangs), LAST]
    words = [sys.executable, "-m", "opscan", "check", *targets, "--format", "json", "--memory", "3GiB"]
    words += ["--timeout", "3" if hangs else "60"]
    env = {**os.environ, "HOSTILE": token, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(words, cwd=folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("hostile", [pytest.param(each, id=each.does) for each in HOSTILE])
def test_it_costs_itself_alone_and_is_told_of(hostile: Hostile, looked: dict[bool, Looked]) -> None:
    found = looked[hostile.hangs]
    if hostile.says is None:
        assert found.reports[hostile.target]["findings"] == _with_file(found.reports[FIRST]["findings"], hostile.name)
        return
    why = found.missed[hostile.target]
    assert hostile.says.format(name=hostile.name) in why
    assert hostile.hint in why
    assert f"opscan: {hostile.target}: {why}" in found.err or f"opscan: {why}" in found.err


def _with_file(findings: Any, name: str) -> Any:
    """The findings of the model in the file of another, whose lines before its own are the same."""
    return json.loads(json.dumps(findings).replace("healthy.py", f"{name}.py"))


@pytest.mark.parametrize("hangs", [True, False])
def test_healthy_targets_before_and_after_them_are_reported_whole(
    hangs: bool, looked: dict[bool, Looked], folder: Path
) -> None:
    reports = looked[hangs].reports
    alone = json.loads(opscan.check(f"{folder}/healthy.py:Net").to_json())["reports"][0]
    assert reports[FIRST]["findings"] == reports[LAST]["findings"] == alone["findings"] != []
    assert looked[hangs].status == 2


def test_what_they_print_reaches_stderr_bounded_and_cannot_act_upon_the_terminal(looked: dict[bool, Looked]) -> None:
    err = looked[False].err
    assert "xxxxxxxx" in err
    assert '{"schema": 9}' in err
    assert "more bytes were printed there, and are not shown" in err
    assert len(err) < 2_000_000
    assert "\\x1b[2J" in err
    assert "\x1b" not in err


def test_no_process_is_left(looked: dict[bool, Looked], token: str) -> None:
    assert looked
    assert [pid for pid in Path("/proc").glob("[0-9]*") if _has(pid, f"HOSTILE={token}") and _runs(pid)] == []


def _has(process: Path, word: str) -> bool:
    try:
        return word.encode() in (process / "environ").read_bytes()
    except OSError:
        return False


def _runs(process: Path) -> bool:
    return (process / "stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_the_page_says_what_the_tests_show(request: pytest.FixtureRequest) -> None:
    file = ROOT / "docs" / "hostile.md"
    if request.config.getoption("--renew"):
        file.write_text(page(), encoding="utf-8")
    assert file.read_text(encoding="utf-8") == page()
