"""Documents for machines: as their readers want them, the same in every run, and stable while lines move."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from opscan.cli.words import DOCUMENT_WORDS
from opscan.distributed.ranks import World
from opscan.lint.finding import Edit
from opscan.lint.fix import apply_edits
from opscan.report.formats import DOCUMENTS, render
from opscan.report.github import render_github
from opscan.report.junit import render_junit
from opscan.report.markdown import render_markdown
from opscan.report.outcome import Outcome, Unseen
from opscan.report.rows import render_csv
from opscan.report.sarif import render_sarif
from tests.conftest import CNN_SOURCE, CONV_LINES
from tests.conftest import Outcome as Ran
from tests.report.sample import CLEAN, CUMSUM, FULL, OUTCOME, ROOT, SOURCE
from tests.report.schemas import validate

Run = Callable[..., Ran]


def sarif(outcome: Outcome = OUTCOME) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(render_sarif(outcome, ROOT))
    validate(document)
    return document


def test_sarif_is_valid_and_says_what_is_accepted_and_why() -> None:
    (run,) = sarif()["runs"]
    suppressed = [each for each in run["results"] if "suppressions" in each]
    assert [each["suppressions"][0]["status"] for each in suppressed] == ["accepted"]
    assert suppressed[0]["suppressions"][0]["justification"].startswith("Counts in float32")
    assert [each["baselineState"] for each in run["results"] if "baselineState" in each].count("unchanged") == 1
    assert run["invocations"][0]["executionSuccessful"] is False
    prints = [each["partialFingerprints"]["opscan/v1"] for each in run["results"]]
    assert len(set(prints)) == len(prints)
    rules = [each["id"] for each in run["tool"]["driver"]["rules"]]
    assert all(rules[each["ruleIndex"]] == each["ruleId"] for each in run["results"])


def test_without_a_baseline_nothing_is_said_of_one() -> None:
    (run,) = sarif(replace(OUTCOME, has_baseline=False))["runs"]
    assert not any("baselineState" in each for each in run["results"])


def edits_of(fix: dict[str, Any]) -> list[Edit]:
    """A fix as edits of a file whose characters are ASCII: columns are then bytes."""
    (change,) = fix["artifactChanges"]
    edits = []
    for each in change["replacements"]:
        region = each["deletedRegion"]
        start, end = ((region[f"{at}Line"], region[f"{at}Column"] - 1) for at in ("start", "end"))
        edits.append(Edit(start, end, each["insertedContent"]["text"]))
    return edits


def test_a_fix_of_sarif_writes_the_drop_in() -> None:
    (fix,) = [fix for each in sarif()["runs"][0]["results"] for fix in each.get("fixes", ())]
    mended = apply_edits(SOURCE, edits_of(fix))
    assert "        self.stem = replacements.Conv2d(3, 32, 3, padding=1," in mended
    assert "from torch import nn\nfrom opscan import replacements\n" in mended


def test_the_fixes_of_a_model_end_its_findings(opscan: Run, workplace: Path) -> None:
    (run,) = opscan("check", "mymodel.py:CNN_v2", "--format", "sarif").document["runs"]
    fixes = [each["fixes"][0] for each in run["results"]]
    assert len(fixes) == 6
    mended = apply_edits(CNN_SOURCE, list(dict.fromkeys(edit for each in fixes for edit in edits_of(each))))
    assert mended.count("replacements.Conv2d(") == 6
    (workplace / "mended.py").write_text(mended)
    assert opscan("check", "mended.py:CNN_v2").status == 0


def test_fingerprints_stay_when_lines_move(opscan: Run, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, head in (("one", ""), ("two", "# One more.\n\n"), ("here", "")):
        (workplace / name).mkdir()
        (workplace / name / "mymodel.py").write_text(head + CNN_SOURCE)
    monkeypatch.chdir(workplace / "here")
    found = []
    for name in ("one", "two"):
        (run,) = opscan("check", f"../{name}/mymodel.py:CNN_v2", "--format", "sarif").document["runs"]
        lines = [each["locations"][0]["physicalLocation"]["region"]["startLine"] for each in run["results"]]
        found.append((lines, [each["partialFingerprints"]["opscan/v1"] for each in run["results"]]))
    (lines, prints), (moved, same) = found
    assert lines == CONV_LINES
    assert moved == [line + 2 for line in lines]
    assert prints == same
    assert len(set(prints)) == 6


@pytest.mark.parametrize("format", ["table", *DOCUMENTS])
def test_two_runs_give_the_same_bytes(opscan: Run, workplace: Path, format: str) -> None:
    first, second = (opscan("check", "mymodel:CNN_v2", "mymodel:Gone", "--format", format) for _ in range(2))
    assert first == second
    assert first.status == 2
    if format not in ("table", "csv"):
        assert "Gone" in first.out


def test_the_cost_is_told_where_it_is_asked_for(opscan: Run) -> None:
    assert opscan("check", "mymodel:CNN_v2", "--format", "json").report["cost"] is None
    assert opscan("check", "mymodel:CNN_v2", "--format", "json", "--cost").report["cost"]["parameters"] == 550_570
    assert "cost: " not in opscan("check", "mymodel:CNN_v2").out
    assert "cost: 550,570 parameters" in opscan("check", "mymodel:CNN_v2", "--cost").out


def test_the_command_line_has_every_format() -> None:
    assert DOCUMENT_WORDS == DOCUMENTS


def test_junit_counts_what_is_in_it() -> None:
    root = ET.fromstring(render_junit(OUTCOME))
    for suite in (root, *root.iter("testsuite")):
        cases = list(suite.iter("testcase"))
        counted = {tag: sum(case.find(tag) is not None for case in cases) for tag in ("failure", "error", "skipped")}
        assert suite.get("tests") == str(len(cases))
        assert [suite.get(each) for each in ("failures", "errors", "skipped")] == [str(n) for n in counted.values()]
    assert root.get("failures") == "5"
    assert [each.get("message") for each in root.iter("skipped")][1] == "known from the baseline"


def test_csv_reads_back_and_is_no_formula() -> None:
    formula = replace(CUMSUM, message="=HYPERLINK(1)", rule="-", places=(replace(CUMSUM.places[0], module="@SUM(A1)"),))
    rows = list(csv.DictReader(io.StringIO(render_csv(Outcome((replace(FULL, findings=(formula,)),)), ROOT))))
    assert [rows[0][each] for each in ("message", "modules", "rule", "fails")] == [
        "'=HYPERLINK(1)", "'@SUM(A1)", "-", "true",
    ]  # fmt: skip
    assert len(list(csv.DictReader(io.StringIO(render_csv(OUTCOME, ROOT))))) == len(FULL.findings) + 3


def test_ops_without_a_rule_fail_in_every_document_where_they_are_asked_for() -> None:
    asked = Outcome((replace(FULL, findings=()),), fail_on=("unknown",))
    known = Outcome((replace(FULL, findings=(), known_ops=frozenset({"my_lib.op.default"})),), fail_on=("unknown",))
    said = "my_lib.op.default: unknown. No rule speaks for it"
    assert (asked.fails, known.fails) == (True, False)
    assert [said in each["message"]["text"] for each in sarif(asked)["runs"][0]["results"]] == [True]
    assert ET.fromstring(render_junit(asked)).get("failures") == "1"
    assert said in render_github(asked, ROOT)
    assert "my_lib.op.default: unknown" in render_markdown(asked)
    assert ",true,my_lib.op.default," in render_csv(asked, ROOT)
    assert render_github(known, ROOT) == ""
    assert sarif(known)["runs"][0]["results"] == []


def of_ranks(*ranks: int) -> Outcome:
    """A finding that these ranks of four have, all of which ran."""
    report = replace(FULL, findings=(replace(CUMSUM, ranks=ranks or None),), world=World(4, True, ()), unknown={})
    return Outcome((report,))


WRITTEN: dict[str, Callable[[Outcome], str]] = {
    **{name: partial(render, format=name) for name in ("sarif", "github", "junit", "markdown", "html")},
    "notebook": lambda outcome: outcome.reports[0]._repr_html_(),
    "table": lambda outcome: outcome.reports[0].to_text(),
}


@pytest.mark.parametrize("format", WRITTEN)
def test_every_document_names_the_ranks_that_have_a_finding(format: str) -> None:
    write = WRITTEN[format]
    assert "rank 2 alone" in write(of_ranks(2))
    assert "ranks 0, 2 alone" in write(of_ranks(0, 2))
    assert "alone" not in write(of_ranks())
    if format not in ("github", "sarif"):  # annotations beside lines, and a number beside each result
        assert "4 ranks, all ran" in write(of_ranks())


@pytest.mark.parametrize(
    ("outcome", "status"),
    [(Outcome((CLEAN,)), 0), (of_ranks(), 1), (replace(of_ranks(), unseen=(Unseen("a:B", "gone"),)), 2)],
    ids=["clean", "findings", "could not look"],
)
def test_a_document_has_the_exit_status_of_its_command(outcome: Outcome, status: int) -> None:
    assert outcome.status == status
    assert json.loads(render(outcome, "json"))["exit_status"] == status


def test_ranks_are_data_in_sarif_and_csv() -> None:
    (result,) = json.loads(render_sarif(of_ranks(0, 2)))["runs"][0]["results"]
    assert result["properties"] == {"ranks": [0, 2], "worldSize": 4, "allRanksRan": True}
    (row,) = csv.DictReader(io.StringIO(render_csv(of_ranks(0, 2))))
    assert (row["ranks"], row["world"]) == ("0;2", "4")


def test_a_comment_has_room_for_any_number_of_findings() -> None:
    many = replace(FULL, findings=tuple(replace(CUMSUM, op=f"aten.cumsum{n}.default") for n in range(3000)))
    comment = render_markdown(Outcome((many,)))
    assert len(comment) < 65_536
    assert comment.startswith("### opscan: 3000 findings in 1 target\n")
    assert "do not fit into a comment" in comment
