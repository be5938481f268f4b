"""`opscan rules`, `--rules DIR` and `[tool.opscan]`: looking into the database, and adding to it without code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from opscan.report.rulepage import render_rule, rule_document
from opscan.rules.load import load_rules
from opscan.rules.schema import Rule
from tests.conftest import Outcome

Run = Callable[..., Outcome]
RULES = load_rules().rules

MODEL = """
import torch



@torch.library.custom_op("mylib::blur", mutates_args=())
def blur(x: torch.Tensor) -> torch.Tensor:
    return x.clone()


@blur.register_fake
def _(x):
    return torch.empty_like(x)


def step(x):
    return torch.ops.mylib.blur(x.detach())
"""
ROW = """
[[{table}]]
id = "MYLIB001"
title = "blur adds with atomics"
ops = ["mylib.blur"]
phase = "forward"
mechanism = "Neighbours are added in the order the threads arrive."
history = [{{ device = ["cuda"], torch = ">=2.0", default = "{default}", strict = "{default}", why = "So it is." }}]
evidence = [{{ kind = "source", ref = "csrc/blur.cu" }}]
"""
CASES = """
[[case]]
rule = "MYLIB001"
flag = true
name = "any input"
run = "torch.ops.mylib.blur(x.detach())"
inputs = { x = "2x3" }
needs = ["blurring"]
verdict = "silent"
"""


@pytest.fixture
def blurring(opscan: Run, workplace: Path) -> Run:
    (workplace / "blurring.py").write_text(MODEL)
    return lambda *flags: opscan("check", "blurring:step", "--input", "2x3", "--format", "json", *flags)


def test_an_op_nobody_knows_is_unknown(blurring: Run) -> None:
    outcome = blurring("--fail-on", "silent,unknown")
    assert (outcome.status, outcome.report["unknown"], outcome.report["findings"]) == (1, {"mylib.blur.default": 1}, [])


def test_a_folder_of_rules_declares_it(blurring: Run, workplace: Path) -> None:
    (workplace / "own").mkdir()
    (workplace / "own" / "mylib.toml").write_text(ROW.format(table="rule", default="nondeterministic"))
    outcome = blurring("--rules", "own")
    (finding,) = outcome.report["findings"]
    assert (outcome.status, outcome.report["unknown"]) == (1, {})
    assert (finding["rule"], finding["verdict"], finding["bits"]) == ("MYLIB001", "silent", "vary")


def test_a_folder_is_read_anew_each_time(blurring: Run, workplace: Path) -> None:
    (workplace / "own").mkdir()
    for default, status in (("nondeterministic", 1), ("deterministic", 0), ("nondeterministic", 1)):
        (workplace / "own" / "mylib.toml").write_text(ROW.format(table="rule", default=default))
        assert blurring("--rules", "own").status == status


def test_the_project_declares_it_in_its_pyproject(
    blurring: Run, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = ROW.format(table="tool.opscan.rule", default="deterministic")
    (workplace / "pyproject.toml").write_text(f"[project]\nname = 'mine'\n{row}")
    (workplace / "below").mkdir()
    monkeypatch.chdir(workplace / "below")
    monkeypatch.syspath_prepend(str(workplace))
    outcome = blurring("--fail-on", "silent,unknown")
    assert (outcome.status, outcome.report["unknown"], outcome.report["findings"]) == (0, {}, [])


def test_a_row_for_another_device_does_not_make_an_op_known(blurring: Run, workplace: Path) -> None:
    (workplace / "pyproject.toml").write_text(ROW.format(table="tool.opscan.rule", default="deterministic"))
    assert blurring("--device", "cpu").report["unknown"] == {"mylib.blur.default": 1}


def test_folders_in_pyproject_are_relative_to_it(blurring: Run, workplace: Path) -> None:
    (workplace / "own").mkdir()
    (workplace / "own" / "mylib.toml").write_text(ROW.format(table="rule", default="nondeterministic"))
    (workplace / "pyproject.toml").write_text('[tool.opscan]\nrules = ["own"]\n')
    assert [each["rule"] for each in blurring().report["findings"]] == ["MYLIB001"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("[tool.opscan]\nrule_dirs = ['own']", "unknown key `rule_dirs`", id="an unknown key"),
        pytest.param("[tool.opscan]\nrules = 'own'", "`rules` is a str", id="a text for a list"),
        pytest.param("[tool.opscan]\nrules = ['gone']", "no such folder", id="a folder that is not there"),
        pytest.param("[tool.opscan]\nrule = [1]", "`rule` holds 1", id="not a table"),
        pytest.param("[tool.opscan", "cannot be read", id="not TOML"),
        pytest.param(
            ROW.format(table="tool.opscan.rule", default="nondeterministc"), "Did you mean", id="a word misspelt"
        ),
    ],
)
def test_a_wrong_pyproject_is_named_with_what_to_do(blurring: Run, workplace: Path, text: str, says: str) -> None:
    (workplace / "pyproject.toml").write_text(text)
    outcome = blurring()
    assert (outcome.status, outcome.out) == (2, "")
    assert "pyproject.toml" in outcome.err
    assert says in outcome.err


def test_a_pyproject_without_our_table_is_none_of_our_business(blurring: Run, workplace: Path) -> None:
    (workplace / "pyproject.toml").write_text("[tool]\nother = 1\n")
    assert blurring().status == 0


def test_a_folder_is_proven_by_its_cases(opscan: Run, workplace: Path) -> None:
    own = workplace / "own"
    own.mkdir()
    (workplace / "blurring.py").write_text(MODEL)
    (own / "mylib.toml").write_text(ROW.format(table="rule", default="nondeterministic"))
    without = opscan("rules", "check", "own")
    assert (without.status, without.out) == (1, "1 rule, 0 cases: 1 wrong.\n")
    assert "MYLIB001: no case shows what it says" in without.err
    (own / "mylib.cases.toml").write_text(CASES)
    assert opscan("rules", "check", "own").out == "1 rule, 1 case: all as they say.\n"
    (own / "mylib.cases.toml").write_text(CASES.replace('"silent"', '"raises"'))
    wrong = opscan("rules", "check", "own")
    assert wrong.status == 1
    assert "expected raises, got silent" in wrong.err
    (own / "mylib.cases.toml").write_text(CASES.replace('"blurring"', '"not_installed"'))
    assert opscan("rules", "check", "own").out == "1 rule, 1 case (1 not run without not_installed): all as they say.\n"
    (own / "mylib.cases.toml").write_text(CASES.replace("MYLIB001", "MYLIB002"))
    assert "no rule has the id MYLIB002" in opscan("rules", "check", "own").err


def test_a_shipped_id_cannot_be_taken(opscan: Run, workplace: Path) -> None:
    (workplace / "mylib.toml").write_text(
        ROW.format(table="rule", default="nondeterministic").replace("MYLIB001", "OPS102")
    )
    outcome = opscan("rules", "check", ".")
    assert outcome.status == 2
    assert "id OPS102 is used twice" in outcome.err


def test_the_list_is_for_one_environment_and_can_be_narrowed(opscan: Run) -> None:
    old, new = (
        {
            each["id"]
            for each in json.loads(opscan("rules", "list", "--torch", version, "--format", "json").out)["rules"]
        }
        for version in ("2.9", "2.10")
    )
    assert "OPS811" in old - new
    silent = opscan("rules", "list", "--verdict", "silent", "--torch", "2.13").out
    assert "OPS206" in silent
    assert "OPS102" not in silent


def test_an_id_that_is_not_there_is_named_with_what_is_close(opscan: Run) -> None:
    outcome = opscan("rules", "show", "ops102")
    assert (outcome.status, outcome.out) == (2, "")
    assert "OPS102" in outcome.err


def test_a_page_says_everything_a_row_knows(opscan: Run) -> None:
    page = opscan("rules", "show", "OPS302", "--format", "table").out
    for words in ("torch 2.1 to 2.15", "torch 1.7 to 1.12", "switches through torch.nn.functional.interpolate"):
        assert words in page
    document = json.loads(opscan("rules", "show", "OPS302", "--format", "json").out)
    assert [each["id"] for each in document["rules"]] == ["OPS302"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_page_reads_in_eighty_columns(rule: Rule) -> None:
    page = render_rule(rule)
    code = {f"{'  ' * 3}{line}".rstrip() for each in rule.replacements for line in each.how.strip().splitlines()}
    for line in page.splitlines():
        assert len(line) <= 80 or line.rstrip() in code or " " not in line.strip().removeprefix("calls").strip(), line
    alerts = {entry.alert for entry in rule.history if entry.alert}
    flat = " ".join(page.split())
    for text in (rule.title, *alerts, *(each.ref for each in rule.evidence), *(claim.why for claim in rule.bits)):
        assert " ".join(text.split()) in flat
    json.dumps(rule_document(rule))
