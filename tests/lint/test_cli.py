"""The command: what it prints, what it returns, what it reads, and what it never loads."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import opscan.lint.run
from opscan.lint.words import render_docs
from tests.conftest import Outcome, run_process
from tests.report.schemas import validate

ROOT = Path(__file__).parents[2]
BAD = "import torch\n\ntorch.use_deterministic_algorithms = True\n"
Run = Callable[..., Outcome]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def lint(place: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    from opscan.cli import main

    def run(*words: str) -> Outcome:
        try:
            status = main(["lint", *words])
        except SystemExit as exit:
            status = int(exit.code or 0)
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run


def test_a_finding_is_a_line_and_the_status_is_one(place: Path, lint: Run) -> None:
    (place / "train.py").write_text(BAD)
    outcome = lint("train.py")
    assert outcome.status == 1
    assert outcome.out.startswith("train.py:3:1: OPL101 ")
    assert lint("--select", "OPL2", ".").status == 0
    assert lint("--ignore", "OPL101", ".").out == ""


def test_json_is_the_documented_document(place: Path, lint: Run) -> None:
    (place / "train.py").write_text(BAD)
    document = lint("--format", "json").document
    assert document["schema"] == 1
    (finding,) = document["findings"]
    assert list(finding) == ["file", "line", "column", "code", "message", "fix"]
    assert (finding["file"], finding["line"], finding["column"], finding["code"]) == ("train.py", 3, 1, "OPL101")
    assert lint("--format", "json", "--select", "OPL2").document == {"schema": 1, "findings": []}


def test_github_annotations_escape_what_has_a_meaning_there(place: Path, lint: Run) -> None:
    (place / "a,b.py").write_text(BAD)
    assert lint("--format", "github").out.startswith("::error file=a%2Cb.py,line=3,col=1,endLine=3,title=OPL101::")


def test_sarif_has_the_keys_its_schema_asks_for(place: Path, lint: Run) -> None:
    (place / "train.py").write_text(BAD)
    (place / "broken.py").write_text("def torch.use_deterministic_algorithms = seed(\n")
    outcome = lint("--format", "sarif")
    document = outcome.document
    (run,) = document["runs"]
    assert document["version"] == "2.1.0"
    assert document["$schema"].endswith("sarif-schema-2.1.0.json")
    (result,) = run["results"]
    driver = run["tool"]["driver"]
    assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "OPL101"
    assert result["level"] == "error"
    location = result["locations"][0]["physicalLocation"]
    assert location["artifactLocation"] == {"uri": "train.py", "uriBaseId": "%SRCROOT%"}
    assert run["originalUriBaseIds"] == {"%SRCROOT%": {"uri": f"{place.as_uri()}/"}}
    validate(document)
    assert location["region"] == {"startLine": 3, "startColumn": 1, "endLine": 3, "endColumn": 42}
    assert run["invocations"][0]["executionSuccessful"] is False
    assert "syntax error" in run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]
    assert outcome.status == 2


@pytest.mark.parametrize(("comment", "left"), [
    ("# noqa", 0), ("# NOQA: OPL101", 0), ("# noqa: OPL1", 0), ("# noqa: E501, OPL101", 0), ("# noqa: OPL102", 1),
    ("# noqa: E501", 1),
])  # fmt: skip
def test_a_line_may_silence_a_code(place: Path, lint: Run, comment: str, left: int) -> None:
    (place / "train.py").write_text(BAD.rstrip() + f"  {comment}\n")
    assert len(lint("--format", "json").document["findings"]) == left


def test_pyproject_selects_ignores_and_excludes(place: Path, lint: Run) -> None:
    (place / "train.py").write_text(BAD)
    (place / "tests").mkdir()
    (place / "tests" / "test_it.py").write_text(BAD)
    (place / "old").mkdir()
    (place / "old" / "x.py").write_text(BAD)
    (place / "pyproject.toml").write_text(
        '[tool.opscan.lint]\nselect = ["OPL1"]\nexclude = ["old"]\nper-file-ignores = { "tests/*" = ["OPL101"] }\n'
    )
    assert [each["file"] for each in lint("--format", "json").document["findings"]] == ["train.py"]


@pytest.mark.parametrize(("table", "said"), [
    ('selekt = ["OPL1"]', "Did you mean 'select'?"),
    ('select = ["OPL777"]', "no rule 'OPL777'"),
    ('select = "OPL1"', "Write a list"),
    ('torch = "new"', "oldest torch"),
])  # fmt: skip
def test_a_wrong_table_is_said(place: Path, lint: Run, table: str, said: str) -> None:
    (place / "train.py").write_text(BAD)
    (place / "pyproject.toml").write_text(f"[tool.opscan.lint]\n{table}\n")
    outcome = lint()
    assert outcome.status == 2
    assert said in outcome.err


def test_the_oldest_torch_decides_what_is_asked_for(place: Path, lint: Run) -> None:
    (place / "train.py").write_text("import torch\ntorch.use_deterministic_algorithms(True)\n")
    assert "OPL111" in lint().out
    assert lint("--torch", "2.10").status == 0


def test_the_table_of_the_linter_is_known_to_the_other_commands(place: Path) -> None:
    from opscan.config import find_config

    (place / "pyproject.toml").write_text('[tool.opscan.lint]\nignore = ["OPL2"]\n')
    assert find_config(place).folders == ()


def test_information_is_shown_when_asked_for(place: Path, lint: Run) -> None:
    (place / "net.py").write_text("from torch import nn\npad = nn.ReflectionPad2d(1)\n")
    assert lint().status == 0
    assert "OPL901" in lint("--level", "info").out
    assert "OPL901" in lint("--select", "OPL901").out


def test_what_is_mended_is_written_with_mode_encoding_and_line_ends_kept(place: Path, lint: Run) -> None:
    path = place / "train.py"
    path.write_bytes(
        "# coding: latin-1\r\n# é\r\nimport torch\r\ntorch.use_deterministic_algorithms()\r\n".encode("latin-1")
    )
    path.chmod(0o750)
    before = path.read_bytes()
    shown = lint("--diff", "--select", "OPL103")
    assert path.read_bytes() == before
    assert "+torch.use_deterministic_algorithms(True)" in shown.out
    assert shown.status == 1
    assert lint("--fix", "--select", "OPL103").status == 0
    assert path.read_bytes() == before.replace(b"algorithms()", b"algorithms(True)")
    assert stat.S_IMODE(path.stat().st_mode) == 0o750
    assert os.listdir(place) == ["train.py"]


def test_a_link_is_written_through(place: Path, lint: Run) -> None:
    (place / "real").mkdir()
    (place / "real" / "train.py").write_text(BAD)
    (place / "train.py").symlink_to(place / "real" / "train.py")
    assert lint("--fix", "train.py", "--select", "OPL101").status == 0
    assert (place / "train.py").is_symlink()
    assert "(True)" in (place / "real" / "train.py").read_text()


def test_standard_input_is_read_and_mended(place: Path) -> None:
    import subprocess

    command = [sys.executable, "-m", "opscan", "lint", "-", "--stdin-filename", "x.py", "--select", "OPL101"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(command, input=BAD, capture_output=True, text=True, check=False, env=environment)
    assert found.stdout.startswith("x.py:3:1: OPL101")
    mended = subprocess.run(
        [*command, "--fix"], input=BAD, capture_output=True, text=True, check=False, env=environment
    )
    assert mended.stdout == BAD.replace(" = True", "(True)")


def test_a_rule_explains_itself(lint: Run) -> None:
    outcome = lint("--explain", "opl101")
    assert outcome.status == 0
    assert "assigned" in outcome.out
    assert max(len(line) for line in outcome.out.splitlines()) <= 80
    assert lint("--explain", "OPL999").status == 2


def test_the_documentation_is_generated() -> None:
    assert (ROOT / "docs" / "lint.md").read_text(encoding="utf-8") == render_docs()


def test_processes_say_the_same_in_the_same_order(place: Path, lint: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(40):
        (place / f"train{number:02}.py").write_text(BAD if number % 3 else "def seed(\n")
    alone = lint("--jobs", "1")
    together = lint("--jobs", "3")
    assert (together.out, together.err, together.status) == (alone.out, alone.err, alone.status)
    assert opscan.lint.run.available_cores() >= 1


def test_nothing_but_the_standard_library_is_loaded(place: Path) -> None:
    (place / "train.py").write_text(BAD)
    code = (
        "import sys, opscan.cli; opscan.cli.main(['lint', 'train.py']); "
        "print(json.dumps([n for n in sys.modules if n.partition('.')[0] not in sys.stdlib_module_names]))"
    )
    outcome = run_process(
        sys.executable, "-S", "-E", "-P", "-c", f"import sys, json; sys.path[:0] = [{str(ROOT)!r}]; {code}", cwd=place
    )
    loaded = json.loads(outcome.out.splitlines()[-1])
    assert {name.partition(".")[0] for name in loaded} - {"__main__"} == {"opscan"}, outcome.err
