"""The text of a terminal: colours, widths, quoted lines, and names that would act upon it."""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from opscan.finding import Finding, Line, Place
from opscan.report.brief import render_brief, render_line
from opscan.report.paint import Paint, wants_colour
from opscan.report.quote import quote
from opscan.report.report import Report
from opscan.report.table import render_table
from opscan.rules.schema import Replacement
from tests.conftest import Outcome
from tests.report.sample import CUMSUM, FULL, PAD

Run = Callable[..., Outcome]
PLAIN = Paint(False)
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize(
    ("choice", "is_terminal", "variables", "wanted"),
    [
        ("auto", True, {}, True),
        ("auto", False, {}, False),
        ("auto", True, {"NO_COLOR": "1"}, False),
        ("auto", True, {"NO_COLOR": ""}, True),
        ("auto", False, {"FORCE_COLOR": "1"}, True),
        ("auto", False, {"FORCE_COLOR": ""}, False),
        ("auto", True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        ("auto", True, {"TERM": "dumb"}, False),
        ("always", False, {"NO_COLOR": "1"}, True),
        ("never", True, {"FORCE_COLOR": "1"}, False),
    ],
)
def test_who_wants_colours(choice: str, is_terminal: bool, variables: dict[str, str], wanted: bool) -> None:
    assert wants_colour(choice, is_terminal, variables) is wanted


@pytest.mark.parametrize("width", [60, 80, 120])
def test_colours_change_no_other_byte(width: int) -> None:
    shown = render_table(FULL, width, ("config", "unknown", "harmless"), Paint(True))
    assert ANSI.sub("", shown) == render_table(FULL, width, ("config", "unknown", "harmless"))
    assert ANSI.search(shown)


def nasty(text: str) -> Report:
    """A report with a text in every name and sentence of it."""
    line = Line(f"/x/{text}.py", 3)
    finding = replace(
        PAD, op=text, title=text, message=text, bits_why=text, alert=text, bits="unknown",
        places=(Place(text, line, line, 1),), replacements=(Replacement(text, "bitwise", text),),
        remedies=tuple(replace(each, name=text, after=text, differs=text, line=line) for each in PAD.remedies),
    )  # fmt: skip
    waived = [replace(each, waived=each.waived and each.waived._replace(reason=text)) for each in FULL.findings]
    return replace(FULL, target=text, assumptions=(text,), unknown={text: 1}, findings=(finding, *waived))


def test_no_name_reaches_a_terminal_as_a_command() -> None:
    report = nasty("a\x1b[2J\x07\u202eb\x9b\udc80")
    for shown in (render_table(report, show=("unknown", "config")), render_brief(report), render_line(report)):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]", shown)
        assert "a\\x1b[2J\\x07\\u202eb\\x9b\\udc80" in shown


def quoted(tmp_path: Path, source: str, line: int, *names: str, width: int = 60) -> list[str]:
    path = tmp_path / "net.py"
    path.write_text(source)
    linecache.checkcache(str(path))
    places = (Place("", None, Line(str(path), line), 1, public=names),)
    finding: Finding = replace(CUMSUM, places=places)
    return [each.rstrip() for each in quote(finding, width, 3, PLAIN)[1:]]


@pytest.mark.parametrize(
    ("source", "line", "names", "shown"),
    [
        pytest.param(
            "import torch\n\n\ndef f(x):\n    return 1 + torch.cumsum(x, 0) * 2\n", 5, ("torch.cumsum",),
            ["  5 | return 1 + torch.cumsum(x, 0) * 2", "    |            ^^^^^^^^^^^^^^^^^^"], id="the call",
        ),
        pytest.param(
            "import torch as t\nf = lambda x: x.cumsum(0)\n", 2, ("torch.Tensor.cumsum",),
            ["  2 | f = lambda x: x.cumsum(0)", "    |               ^^^^^^^^^^^"], id="a method",
        ),
        pytest.param(
            "import torch\ny = torch.cumsum(\n    x,\n    0,\n)\n", 4, ("torch.cumsum",),
            ["  2 | y = torch.cumsum(", "    |     ^^^^^^^^^^^^^"], id="the first line of a call over several",
        ),
        pytest.param(
            "import torch\ny = torch.cumsum(a, 0) + torch.cumsum(b, 0)\n", 2, ("torch.cumsum",),
            ["  2 | y = torch.cumsum(a, 0) + torch.cumsum(b, 0)"], id="two calls: which is not known",
        ),
        pytest.param("y = helper(x)\n", 1, ("torch.cumsum",), ["  1 | y = helper(x)"], id="called elsewhere"),
        pytest.param("y = (\n", 1, ("torch.cumsum",), ["  1 | y = ("], id="no Python"),
        pytest.param(
            "import torch\n層 = '\x1b[2J'; y = torch.cumsum(x, 0)\n", 2, ("torch.cumsum",),
            ["  2 | 層 = '\\x1b[2J'; y = torch.cumsum(x, 0)", "    |                     ^^^^^^^^^^^^^^^^^^"],
            id="wide characters, and such as would act",
        ),
        pytest.param(
            "import torch\nif x:\n\ty\t= torch.cumsum(x, 0)\n", 3, ("torch.cumsum",),
            ["  3 | y   = torch.cumsum(x, 0)", "    |       ^^^^^^^^^^^^^^^^^^"], id="tabs",
        ),
        pytest.param(
            f"import torch\nvalue = torch.cumsum(x{'x' * 60}, 0)\n", 2, ("torch.cumsum",),
            [f"  2 | value = torch.cumsum({'x' * 30}...", f"    |         {'^' * 46}"], id="wider than the terminal",
        ),
        pytest.param("\n\n", 1, ("torch.cumsum",), [], id="nothing there"),
    ],
)  # fmt: skip
def test_the_line_is_quoted_with_marks_below_the_call(
    tmp_path: Path, source: str, line: int, names: tuple[str, ...], shown: list[str]
) -> None:
    assert quoted(tmp_path, source, line, *names) == shown


def test_many_lines_are_counted() -> None:
    lines = quote(PAD, 80, 1, PLAIN)
    assert lines[-1].strip() == "| and 1 more line"
    assert len(lines) == 4


def test_quiet_is_a_line_verbose_is_everything_and_colours_come_when_asked_for(opscan: Run) -> None:
    quiet = opscan("check", "mymodel:CNN_v2", "mymodel4:CNN_v4", "--quiet")
    assert quiet.status == 1
    assert re.fullmatch(r"mymodel:CNN_v2 \(cuda, torch .*\): 6 of \d+ ops .*: 6 switches\.\n", quiet.out)
    verbose = opscan("check", "mymodel:CNN_v2", "--verbose").out
    assert "cost: " in verbose
    assert "aten.convolution.default: config" in verbose
    assert "more line" not in verbose
    assert "\x1b[" in opscan("check", "mymodel:CNN_v2", "--color", "always").out
    assert "\x1b[" not in opscan("check", "mymodel:CNN_v2").out


def test_explain_is_rules_show(opscan: Run) -> None:
    assert opscan("check", "--explain", "ops102") == opscan("rules", "show", "OPS102")
    assert opscan("check", "--explain", "OPS0001").status == 2
    assert "no target is named" in opscan("check").err
