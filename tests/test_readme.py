"""The README says what is true: its commands, its tables of words, its JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import opscan
from opscan.cli.words import VERDICT_WORDS
from opscan.rules.load import load_rules
from tests.report.sample import FULL

ROOT = Path(opscan.__file__).parents[1]
pytestmark = pytest.mark.skipif(not (ROOT / "README.md").is_file(), reason="not run from a checkout")


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_ci_runs_the_test_command_of_the_readme_word_for_word() -> None:
    (command,) = re.findall(r"^python3 .*pytest$", readme(), re.MULTILINE)
    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_every_verdict_has_its_row() -> None:
    rows = re.findall(r"^\| (\w+) \|.*\|.*\|$", readme(), re.MULTILINE)
    assert [row for row in rows if row in VERDICT_WORDS] == list(VERDICT_WORDS)


def test_the_json_example_has_the_keys_of_the_document() -> None:
    (block,) = re.findall(r"```json\n(.*?)```", readme(), re.DOTALL)
    shown, real = json.loads(block), json.loads(FULL.to_json())
    assert shown["schema"] == real["schema"]
    assert list(shown["reports"][0]) == list(real["reports"][0])
    assert set(shown["reports"][0]["findings"][0]) == set(real["reports"][0]["findings"][0])


def test_the_changelog_counts_the_rules() -> None:
    counted = re.search(r"(\d+) rows", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    assert counted
    assert int(counted[1]) == len(load_rules().rules)


@pytest.mark.parametrize(
    "flag", ["--init", "--input", "--inputs", "--loss", "--mode", "--device", "--torch", "--strict"]
)
def test_flags_the_readme_names_exist(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    from opscan.cli import main

    with pytest.raises(SystemExit):
        main(["check", "--help"])
    assert flag in capsys.readouterr().out
    assert flag in readme()
