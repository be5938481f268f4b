"""Nothing of the user's leaves its place, in any format: what is around it is the same as with harmless names."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from opscan.accepted.baseline import render_baseline
from opscan.diffs import render as diffs
from opscan.diffs.compare import compare
from opscan.diffs.read import read_report
from opscan.formats.cells import cell, text_of
from opscan.formats.json import json_text
from opscan.formats.text import log_text
from opscan.lint import output as lint_output
from opscan.lint.finding import Finding as LintFinding
from opscan.lint.finding import Problem
from opscan.lint.fix import Mended, difference
from opscan.lint.sarif import render_sarif as render_lint_sarif
from opscan.report.brief import render_brief, render_line
from opscan.report.document import render_json, report_document
from opscan.report.github import render_github
from opscan.report.html import render_html
from opscan.report.html_page import render_page
from opscan.report.junit import render_junit
from opscan.report.markdown import render_markdown
from opscan.report.outcome import Outcome
from opscan.report.paint import STYLES, Paint
from opscan.report.rows import render_csv
from opscan.report.sarif import render_sarif
from opscan.report.table import render_table
from opscan.sweeps import columns, document, html, summary
from opscan.sweeps.table import Sweep
from opscan.verifying.cause import Cause
from opscan.verifying.growth import Growth
from opscan.verifying.outcome import Verification
from tests.hostile import ATTACKS, HARMLESS, files_in, hostile, poisoned, with_source
from tests.report.sample import OUTCOME
from tests.report.schemas import validate
from tests.sweep.sample import SWEEP
from tests.verify.test_compare import value

ROOT = Path("/home/me")
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_COLOUR = re.compile("\x1b\\[(?:" + "|".join(map(re.escape, {*STYLES.values(), "0"})) + ")m")


@cache
def outcome_of(text: str) -> Outcome:
    """All that a command may find out, with the text in every name, sentence and line of source."""
    made = poisoned(OUTCOME, text)
    with_source(text, files_in(made))
    return made


@cache
def verification_of(text: str) -> Verification:
    growth = Growth()
    for step in range(5):
        growth.add(value(step, 1.0, text), value(step, 1.0 + 1e-3 * step, text))
    cause = Cause("op", 1, text, (("op", text), (text, "module")), text)
    return Verification(text, cause, 5, {"step": 5}, growth, (text, text), (text, text), (text,))


def lint_of(text: str) -> tuple[list[LintFinding], list[Problem]]:
    found = LintFinding(f"{text}.py", 3, 1, 3, 9, "OPL101", "error", text, text)
    return [found, found._replace(cell=2, cell_line=1)], [Problem(f"{text}.py", text, 2, 1)]


def seen_by_a_terminal(text: str) -> None:
    """It acts upon no terminal, and no line of it is a command in GitHub's log."""
    bare = _COLOUR.sub("", text)
    assert not {each for each in bare if unicodedata.category(each) in _UNSEEN} - {"\n", "\t"}
    text.encode("utf-8")


TEXTS = {
    "table": lambda text: "\n".join(
        render_table(report, paint=Paint(False), show=("config", "unknown", "harmless"))
        for report in outcome_of(text).reports
    ),
    "table in colours": lambda text: "\n".join(
        render_table(report, paint=Paint(True)) for report in outcome_of(text).reports
    ),
    "brief": lambda text: "\n".join(
        f"{render_brief(report)}\n{render_line(report)}" for report in outcome_of(text).reports
    ),
    "sweep": lambda text: summary.render_summary(poisoned(SWEEP, text)),
    "verify": lambda text: verification_of(text).to_text(),
    "diff": lambda text: diffs.render_text(changes_of(text), paint=Paint(True)),
    "lint": lambda text: lint_output.render_text(lint_of(text)[0]),
    "a problem": lambda text: str(Problem(text, "not read")),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_terminal_sees_no_control_character_but_colours(name: str) -> None:
    @hostile()
    def check(text: str) -> None:
        seen_by_a_terminal(TEXTS[name](text))

    check()


def changes_of(text: str) -> Any:
    """What differs between two documents with the text in them, as a file of them is read."""
    made = outcome_of(text)
    new = json.loads(json_text([report_document(each) for each in made.reports]))
    for finding in new[0]["findings"]:
        finding["op"] += "x"
    old = json.loads(json_text([report_document(each) for each in made.reports]))
    return compare(*([read_report(each, "") for each in document] for document in (old, new)))


class Shape(HTMLParser):
    """The tags of a page, with the names of their attributes; places where a word may be broken do not count."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "wbr":
            self.tags.append((tag, *(name for name, _ in attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.tags.append((f"/{tag}",))

    def handle_comment(self, data: str) -> None:
        self.tags.append(("comment",))


def shape_of(page: str) -> list[tuple[str, ...]]:
    parser = Shape()
    parser.feed(page)
    parser.close()
    return parser.tags


PAGES = {
    "page": lambda text: render_page(outcome_of(text).reports, outcome_of(text).unseen, outcome_of(text).stale),
    "notebook": lambda text: render_html(outcome_of(text).reports[0]),
    "sweep": lambda text: html.render_html(poisoned(SWEEP, text)),
    "verify": lambda text: verification_of(text).to_html(),
    "verify in a notebook": lambda text: verification_of(text)._repr_html_(),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_the_same_elements(name: str) -> None:
    same = shape_of(PAGES[name](HARMLESS))

    @hostile()
    def check(text: str) -> None:
        page = PAGES[name](text)
        assert shape_of(page) == same
        seen_by_a_terminal(page)

    check()


def test_the_data_of_a_page_can_be_read() -> None:
    @hostile()
    def check(text: str) -> None:
        data = re.search(r'id="data">(.*?)</script>', PAGES["page"](text), re.DOTALL)
        assert data is not None
        assert json.loads(data[1])["reports"][0]["findings"]

    check()


def test_xml_has_the_same_elements() -> None:
    same = [each.tag for each in ET.fromstring(render_junit(outcome_of(HARMLESS))).iter()]

    @hostile()
    def check(text: str) -> None:
        written = render_junit(outcome_of(text))
        assert [each.tag for each in ET.fromstring(written).iter()] == same
        seen_by_a_terminal(written)

    check()


def parsed_annotations(text: str) -> list[str]:
    return [re.match(r"::(error|warning|notice)( [^:]*)?::", line)[1] for line in text.splitlines()]  # type: ignore[index]


def test_annotations_are_as_many_and_of_the_same_levels() -> None:
    same = [parsed_annotations(each) for each in annotations(HARMLESS)]

    @hostile()
    def check(text: str) -> None:
        written = annotations(text)
        assert [parsed_annotations(each) for each in written] == same
        seen_by_a_terminal("".join(written))

    check()


def annotations(text: str) -> list[str]:
    return [render_github(outcome_of(text), ROOT), lint_output.render_github(*lint_of(text))]


def test_no_line_of_text_is_a_command_in_githubs_log() -> None:
    @hostile("  ::error::x", "::error::x\n\t::add-mask::y")
    def check(text: str) -> None:
        shown = log_text("\n".join(TEXTS[name](text) for name in ("table", "lint", "diff")) + text)
        assert not re.search(r"^\s*::", shown, re.MULTILINE)
        assert "##[" not in shown

    check()


def test_sarif_is_valid_and_has_as_many_results() -> None:
    same = [len(json.loads(each)["runs"][0]["results"]) for each in sarifs(HARMLESS)]

    @hostile()
    def check(text: str) -> None:
        for written, count in zip(sarifs(text), same, strict=True):
            content = json.loads(written)
            validate(content)
            assert len(content["runs"][0]["results"]) == count
            seen_by_a_terminal(written)
            for message in re.findall(r'"text": ".*?"\n', written):
                assert "](" not in message

    check()


def sarifs(text: str) -> list[str]:
    return [render_sarif(outcome_of(text), ROOT), render_lint_sarif(*lint_of(text))]


def test_json_prints_and_says_what_it_was_given() -> None:
    @hostile()
    def check(text: str) -> None:
        made = outcome_of(text)
        for written in (
            render_json(made.reports, made.unseen, made.stale),
            render_baseline(made.reports, ROOT),
            columns.render_json(poisoned(SWEEP, text)),
            verification_of(text).to_json(),
            lint_output.render_json(lint_of(text)[0]),
            diffs.render_json(changes_of(text)),
        ):
            seen_by_a_terminal(written)
            assert json.loads(written)
        whole = json.loads(json_text({"name": text}))["name"]
        assert whole.encode("utf-16", "surrogatepass") == text.encode("utf-16", "surrogatepass")

    check()


def cells_of(row: str) -> int:
    """As GitHub counts them: a bar ends a cell unless there is a backslash before it."""
    return row.replace("\\|", "").count("|")


def test_markdown_has_the_same_rows_and_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opscan.report.markdown._MOST_CHARACTERS", 1 << 30)  # all of it, however long the names
    same = [shape_of_markdown(each) for each in markdowns(HARMLESS)]

    @hostile()
    def check(text: str) -> None:
        for written, shape in zip(markdowns(text), same, strict=True):
            assert shape_of_markdown(written) == shape
            seen_by_a_terminal(written)

    check()


def markdowns(text: str) -> list[str]:
    few = replace(outcome_of(text), reports=tuple(replace(each, rules=()) for each in outcome_of(text).reports))
    return [
        render_markdown(few),
        document.render_markdown(poisoned(SWEEP, text)),
        diffs.render_markdown(changes_of(text)),
    ]


def shape_of_markdown(text: str) -> list[str]:
    """Rows by their cells, elements of HTML, headings and lists, in order; what stands in fences is code."""
    shape, fence = [], ""
    for line in text.splitlines():
        if fence:
            fence = "" if line == fence else fence
        elif re.fullmatch("```+[^`]*", line):  # with more of them behind it is code within a line
            fence = line.removesuffix("text")
            shape.append("code")
        elif line.startswith("|"):
            shape.append(f"row {cells_of(line)}")
        elif line.startswith("#"):
            shape.append("heading")
        shape += re.findall(r"</?[a-zA-Z!][^ >]*", re.sub(r"(`+).*?\1", "", line)) if not fence else []
    return [*shape, f"open: {fence}"]


def test_csv_reads_back_and_has_no_formulas() -> None:
    same = [shape_of_csv(each) for each in csvs(HARMLESS)]

    @hostile()
    def check(text: str) -> None:
        for written, shape in zip(csvs(text), same, strict=True):
            assert shape_of_csv(written) == shape
            seen_by_a_terminal(written)
            for row in csv.reader(io.StringIO(written)):
                for part in (part for each in row for part in each.split(";")):
                    assert len(part) < 2 or part[0] not in "=+-@\uff1d\uff0b\uff0d\uff20"
        line = "".join(each for each in text if unicodedata.category(each) not in _UNSEEN | {"Cn"})
        assert text_of(cell(line)) == line

    check()


def csvs(text: str) -> list[str]:
    return [render_csv(outcome_of(text), ROOT), columns.render_csv(poisoned(SWEEP, text))]


def shape_of_csv(text: str) -> list[int]:
    return [len(row) for row in csv.reader(io.StringIO(text))]


def test_a_sweeps_table_is_read_back(tmp_path: Path) -> None:
    @hostile()
    def check(text: str) -> None:
        sweep = Sweep(SWEEP.setting, tuple(replace(row, reason=text, target=text) for row in SWEEP.rows))
        (tmp_path / "a.csv").write_text(columns.render_csv(sweep), encoding="utf-8", newline="")
        again = columns.read_csv(tmp_path / "a.csv")
        assert columns.render_csv(again) == columns.render_csv(sweep)

    check()


def test_a_diff_names_one_file_and_changes_one_line() -> None:
    @hostile()
    def check(text: str) -> None:
        made = difference(Mended(f"{text}.py", "a\nb\n", "a\nc\n", b"", ()))
        one, two, *rest = made.splitlines() if "\n" not in repr(made) else made.split("\n")
        assert one.startswith("--- ")
        assert two.startswith("+++ ")
        assert [line[:1] for line in rest if line] == ["@", " ", "-", "+"]

    check()


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("text", ["".join(ATTACKS), "$\\frac{", "x" * 10_000], ids=["all", "no formula", "long"])
def test_a_picture_is_drawn_with_any_names(text: str) -> None:
    pytest.importorskip("matplotlib")
    from opscan.report.plot import plot

    assert plot(outcome_of(text).reports[0])._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
