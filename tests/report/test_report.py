"""Renderings, compared with golden files; `pytest --renew` writes them anew."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from opscan.finding import Line, ScanCost, Spread
from opscan.formats.text import printable_prose
from opscan.report.brief import render_brief, render_line
from opscan.report.document import render_json
from opscan.report.github import render_github
from opscan.report.html import render_html
from opscan.report.html_data import page_data
from opscan.report.html_page import render_page
from opscan.report.html_safe import json_in_script
from opscan.report.junit import render_junit
from opscan.report.markdown import render_markdown
from opscan.report.paint import Paint
from opscan.report.paths import short_paths
from opscan.report.reaches import reach_words
from opscan.report.report import Report
from opscan.report.rows import render_csv
from opscan.report.sarif import render_sarif
from opscan.report.table import render_table
from opscan.report.words import cost_words
from tests.report.sample import CLEAN, FULL, OUTCOME, ROOT

VERSION = re.compile(r'"opscan": "[^"]*"')
GOLDEN = Path(__file__).with_name("golden")
RENDERINGS = {
    "full.txt": lambda: FULL.to_text(),
    "full_all.txt": lambda: FULL.to_text(width=100, show=("config", "unknown", "harmless")),
    "clean.txt": lambda: CLEAN.to_text(),
    "full.json": lambda: VERSION.sub('"opscan": "VERSION"', render_json([FULL, CLEAN])),
    "full_colour.txt": lambda: render_table(FULL, paint=Paint(True), quoted=1),
    "brief.txt": lambda: render_brief(FULL, width=80) + "\n" + render_line(FULL),
    "outcome.json": lambda: VERSION.sub('"opscan": "VERSION"', render_json([CLEAN], OUTCOME.unseen, OUTCOME.stale)),
    "outcome.sarif": lambda: re.sub(
        r'"semanticVersion": "[^"]*"', '"semanticVersion": "VERSION"', render_sarif(OUTCOME, ROOT)
    ),
    "outcome.github.txt": lambda: render_github(OUTCOME, ROOT),
    "outcome.junit.xml": lambda: render_junit(OUTCOME),
    "outcome.md": lambda: render_markdown(OUTCOME),
    "outcome.csv": lambda: render_csv(OUTCOME, ROOT),
    "full.html": lambda: render_html(FULL),
    "full_page.json": lambda: json.dumps(page_data(FULL), indent=1, ensure_ascii=False),
}


@pytest.mark.parametrize("name", RENDERINGS)
def test_rendering_is_as_agreed(name: str, request: pytest.FixtureRequest) -> None:
    text = RENDERINGS[name]() + "\n"
    golden = GOLDEN / name
    if request.config.getoption("--renew"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_only_code_may_be_wider_than_the_terminal(width: int) -> None:
    for line in FULL.to_text(width=width, show=("config", "unknown", "harmless")).splitlines():
        assert len(line) <= width or line.startswith(" " * 14), line


def test_a_prompt_shows_a_report_in_one_line() -> None:
    assert repr(CLEAN) == "<opscan report on net.model:Clean (cuda, torch 2.13.0): nothing found>"
    assert repr(FULL).endswith("16 raises, 4 switches, 4 silent, 1 config, 2 unknown>")


def test_the_document_has_the_keys_it_promises() -> None:
    document = json.loads(FULL.to_json())
    assert list(document) == ["schema", "opscan", "exit_status", "reports", "not_looked_at", "stale_waivers"]
    (report,) = document["reports"]
    assert list(report) == [
        "target",
        "environment",
        "assumptions",
        "ops",
        "unknown",
        "run",
        "cost",
        "world",
        "findings",
    ]
    assert report["ops"] == {"forward": 40, "backward": 60}
    assert list(report["findings"][0]) == [
        "rule", "verdict", "op", "phase", "count", "modules", "module_type", "constructed", "called", "default",
        "strict", "warn_only", "bits", "bits_why", "alert", "newer_torch", "ranks", "predicted", "observed",
        "replay", "reaches", "message", "replacements", "remedies", "waived", "known", "places",
    ]  # fmt: skip
    assert report["findings"][0]["count"] == 15
    assert report["findings"][0]["observed"] is None


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.opened.append(tag)
        if tag not in ("br", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_is_escaped_and_well_formed() -> None:
    tags = _Tags()
    tags.feed(render_html(FULL))
    assert "script" not in tags.opened
    assert tags.open == []


@pytest.mark.parametrize(
    ("report", "on", "fails"),
    [
        pytest.param(FULL, None, True, id="raises fails in strict mode"),
        pytest.param(FULL, ("switches",), True, id="asked for"),
        pytest.param(FULL, ("random",), False, id="not found"),
        pytest.param(FULL, ("unknown",), True, id="unknown when asked for"),
        pytest.param(CLEAN, None, False, id="clean"),
    ],
)
def test_what_fails(report: Report, on: tuple[str, ...] | None, fails: bool) -> None:
    assert report.fails(on) is fails


@pytest.mark.parametrize(
    ("paths", "short"),
    [
        (["conv1", "conv2"], ["conv1", "conv2"]),
        (["layers.0.a", "layers.1.a", "layers.2.a"], ["layers.{0-2}.a"]),
        (["layers.0.a", "layers.1.b", "layers.2.a"], ["layers.{0,2}.a", "layers.1.b"]),
        (["0", "1", "5"], ["{0-1,5}"]),
        (["layers.3"], ["layers.3"]),
        (["a.0.b.0", "a.0.b.1"], ["a.0.b.0", "a.0.b.1"]),
    ],
)
def test_paths_that_differ_in_one_number_are_one(paths: list[str], short: list[str]) -> None:
    assert short_paths(paths) == short


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        pytest.param(ScanCost(7, 28, 0.05, None), "7 parameters (28 bytes), 0.05 s", id="memory is not counted here"),
        pytest.param(ScanCost(None, None, 61.5, 3 << 30), "61.50 s, at most 3.0 GiB of memory", id="no model"),
        pytest.param(
            ScanCost(1_050_000_000_000, 2_100_000_000_000, 2.9, 1 << 31),
            "1,050,000,000,000 parameters (1.9 TiB), 2.90 s, at most 2.0 GiB of memory",
            id="a trillion",
        ),
    ],
)
def test_the_cost_in_words(cost: ScanCost, words: str) -> None:
    assert cost_words(cost) == words


def test_a_page_lets_no_script_run_but_its_own_and_loads_nothing() -> None:
    page = render_page([FULL, CLEAN])
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in page
    outside = r"""(?:src|href)=["'](?!#)|url\((?!#)|@import|innerHTML|https?://(?!www\.w3\.org/2000/svg)"""
    assert re.findall(outside, page) == []


@pytest.mark.parametrize(
    "text", ["</script><script>", "<!--", "]]>", "\u2028", "a&b", "\x1b[31m", "\ud800", "\u202egnp.exe"]
)
def test_data_in_a_page_is_what_it_was_and_ends_nothing(text: str) -> None:
    written = json_in_script({text: [text, 1, None]})
    assert not set("<>&\u2028\x1b\ud800\u202e") & set(written)
    assert json.loads(written) == {printable_prose(text): [printable_prose(text), 1, None]}


@pytest.mark.parametrize(
    ("spread", "words"),
    [
        pytest.param(Spread(False, False, False, (), 4), "no output and no gradient", id="nothing"),
        pytest.param(Spread(True, True, False, (), 0), "the output; the loss", id="no backward"),
        pytest.param(
            Spread(False, False, False, ("embedding.weight",), 9), "1 of 9 gradients, embedding.weight", id="one"
        ),
        pytest.param(Spread(False, False, False, ("w",), 1), "the only gradient, w", id="the only one"),
        pytest.param(
            Spread(False, True, True, ("b", "a"), 2),
            "the loss; all 2 gradients, b the first in backward; the gradient of an input",
            id="all",
        ),
        pytest.param(
            Spread(False, False, False, (), 4, (Line("net.py", 3),)),
            "no output and no gradient. Python reads such a value in net.py:3: what it decides there is not followed",
            id="read",
        ),
    ],
)
def test_what_a_finding_reaches_in_words(spread: Spread, words: str) -> None:
    assert reach_words(spread) == words
