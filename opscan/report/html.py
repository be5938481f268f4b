"""A report as a fragment of HTML, for notebooks. Every text from outside is escaped."""

from __future__ import annotations

import re
from html import escape

from opscan.distributed.ranks import world_words
from opscan.environment import Environment
from opscan.finding import Finding
from opscan.report.instead import Advice, advice_of, other_ways
from opscan.report.printable import printable_report
from opscan.report.reaches import reach_words
from opscan.report.report import Report
from opscan.report.words import (
    ALWAYS_SHOWN,
    SAME_VALUES,
    cost_words,
    describe_environment,
    is_listed,
    mode_lines,
    place_words,
    run_words,
    summaries,
    verdict_line,
)
from opscan.rules.schema import Replacement

_CELL = "text-align:left;vertical-align:top;white-space:normal;padding:2px 12px 2px 0"
_WIDE = f"{_CELL};min-width:14em"
"""A cell of whole sentences; where there is no room for it the table scrolls."""

_DOTS = {"raises": "#d64b42", "switches": "#cf8a1f", "silent": "#ab4fb8", "uninitialized": "#c86428"}
"""Seen on light ground and on dark."""

_MOST_GRADIENTS = 60


def render_html(report: Report) -> str:
    """The same content as the terminal table, one row per finding, details folded."""
    report = printable_report(report)
    findings = [finding for finding in report.findings if is_listed(finding, ALWAYS_SHOWN)]
    parts = [
        f"<p><b>{escape(report.target)}</b> ({escape(describe_environment(report.environment))})<br>"
        f"{escape(verdict_line(report))}</p>"
    ]
    if findings:
        head = "".join(f'<th style="{_CELL}">{name}</th>' for name in ("verdict", "op", "count", "where", "what to do"))
        rows = "".join(_row(finding, report.environment) for finding in findings)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        parts.append(f'<div style="overflow-x:auto">{table}</div>')
    world = [f"world: {world_words(report.world)}"] if report.world is not None else []
    ran = [f"run: {run_words(report.run, report.findings)}"] if report.run is not None else []
    cost = [f"cost: {cost_words(report.cost)}"] if report.cost is not None else []
    notes = [f"assumed: {text}" for text in report.assumptions] + world + ran + cost + summaries(report, ALWAYS_SHOWN)
    if notes:
        parts.append(f"<ul>{''.join(f'<li>{escape(note)}</li>' for note in notes)}</ul>")
    return f"<div>{''.join(parts)}</div>"


def _row(finding: Finding, environment: Environment) -> str:
    where = "<br>".join(
        f"<code>{escape(module)}</code> {escape(lines)}" for module, lines in place_words(finding.places)
    )
    modes = "<br>".join(
        f"{label}: {f'<code>{escape(text)}</code>' if label == 'alert' else escape(text)}"
        for label, text in mode_lines(finding, environment)
    )
    instead = "".join(map(_drop_in, advice_of(finding))) + "".join(map(_other_way, other_ways(finding)))
    cells = (
        (_CELL, f'<span style="color:{_DOTS.get(finding.verdict, "#888")}">&#9679;</span> <b>{finding.verdict}</b>'),
        (_CELL, f"<code>{_breakable(finding.op)}</code><br>{escape(finding.phase)}"),
        (_CELL, str(finding.count)),
        (_WIDE, where),
        (
            _WIDE,
            f"{modes}{_reaches(finding)}{_folded(f'why: {escape(finding.title)}', escape(finding.message))}{instead}",
        ),
    )
    return "<tr>" + "".join(f'<td style="{style}">{cell}</td>' for style, cell in cells) + "</tr>"


def _reaches(finding: Finding) -> str:
    """What it reaches, with the gradients folded."""
    spread = finding.spread
    if spread is None:
        return ""
    words = f"reaches: {escape(reach_words(spread))}"
    if not spread.gradients:
        return f"<div>{words}</div>"
    names = " ".join(f"<code>{escape(name)}</code>" for name in spread.gradients[:_MOST_GRADIENTS])
    left = len(spread.gradients) - _MOST_GRADIENTS
    return _folded(words, names + (f" and {left} more" if left > 0 else ""))


def _drop_in(advice: Advice) -> str:
    lines = [advice.imports, *(f"{after}  # {where}" for where, after in advice.lines)] if advice.lines else []
    notes = "".join(f"<div>{escape(each)}</div>" for each in advice.obstacles)
    code = f"<pre>{escape(chr(10).join(lines))}</pre>" if lines else ""
    return _folded(f"instead: {escape(advice.name)} ({escape(advice.gives)})", code + notes)


def _other_way(replacement: Replacement) -> str:
    name = f"instead: {escape(replacement.name)} ({SAME_VALUES[replacement.same_values]})"
    return _folded(name, f"<pre>{escape(replacement.how.strip())}</pre>")


def _breakable(name: str) -> str:
    """A dotted name that may be broken after dots and underscores."""
    return re.sub(r"([._])(?=\w)", r"\1<wbr>", escape(name))


def _folded(summary: str, content: str) -> str:
    return f"<details><summary>{summary}</summary>{content}</details>"
