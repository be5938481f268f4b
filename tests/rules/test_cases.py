"""Every rule is proven by the cases beside it: it fires where it must, and stays silent where it must."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from opscan.cases import Case, failure_of, lacking, read_cases, unproven
from opscan.rules.load import builtin_rules_dir, load_rules, make_ruleset, read_folder

CASES = list(read_cases(builtin_rules_dir()))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}-{case.name}")
def test_rule_speaks_and_is_silent_as_its_cases_say(case: Case) -> None:
    for name in lacking(case):
        pytest.skip(f"needs {name}")
    if "triton" in case.needs:
        pytest.importorskip("triton", minversion="3.4", reason="before, tuned kernels need a device")
    assert failure_of(case, load_rules()) is None


def test_every_rule_has_a_case_that_stays_silent() -> None:
    assert {rule.id for rule in load_rules().rules} == {case.rule for case in CASES if not case.flag}


def test_every_rule_has_a_case_that_shows_what_it_says() -> None:
    assert unproven(load_rules().rules, CASES) == ()


def test_about_four_cases_in_ten_are_silent_ones() -> None:
    silent = sum(not case.flag for case in CASES) / len(CASES)
    assert 0.3 <= silent <= 0.6


def test_case_names_are_unique_within_a_rule() -> None:
    counted = Counter((case.rule, case.name) for case in CASES)
    assert [key for key, count in counted.items() if count > 1] == []


def test_a_new_row_is_two_files_and_no_code(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        """
        [[rule]]
        id = "MINE001"
        title = "my op"
        ops = ["aten.erf"]
        phase = "forward"
        mechanism = "made up for this test"
        when = ["ndim(self) == 2"]

        [[rule.history]]
        device = ["cuda"]
        torch = ">=2"
        default = "nondeterministic"
        strict = "raises"
        alert = "erf_cuda"
        why = "made up"

        [[rule.evidence]]
        kind = "test"
        ref = "this test"
        """
    )
    (tmp_path / "mine.cases.toml").write_text(
        """
        [[case]]
        rule = "MINE001"
        flag = true
        name = "two dimensions"
        run = "torch.erf(x)"
        inputs = { x = "2x3" }
        verdict = "raises"

        [[case]]
        rule = "MINE001"
        flag = false
        name = "one dimension"
        run = "torch.erf(x)"
        inputs = { x = "3" }
        """
    )
    rules = make_ruleset(read_folder(tmp_path))
    cases = list(read_cases(tmp_path))
    assert [failure_of(case, rules) for case in cases] == [None, None]
    wrong = [
        replace(cases[0], verdict="silent"),
        replace(cases[0], bits="unknown"),
        replace(cases[1], flag=True, verdict="raises"),
    ]
    assert [failure_of(case, rules) for case in wrong] == [
        "expected silent, got raises",
        "expected bits that are 'unknown', got 'vary'",
        "expected raises, got silence",
    ]
