"""The table for a terminal: plain text, 80 columns unless there are more."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

from tabulate import tabulate

from opscan.distributed.ranks import world_words
from opscan.environment import Environment
from opscan.finding import Finding
from opscan.report.acceptance import modules_words
from opscan.report.instead import Advice, advice_of, other_ways
from opscan.report.paint import VERDICT_STYLES, Paint
from opscan.report.printable import printable_report
from opscan.report.quote import quote
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

_LABEL = 10
_WHERE = 20
_MOST_LINES = 6
_GAP = 2  # tabulate puts it between columns and around headers
_PLAIN = Paint(False)
MOST_QUOTED = 3


def render_table(
    report: Report, width: int = 80, show: Iterable[str] = (), paint: Paint = _PLAIN, quoted: int = MOST_QUOTED
) -> str:
    """One target's report: what was assumed, each finding with its places and remedies, one line for the rest.

    At most `quoted` source lines of a finding are quoted under it. Names cannot act upon the terminal.
    """
    report = printable_report(report)
    width = max(width, 60)
    shown = (*ALWAYS_SHOWN, *show)
    parts = [f"{paint.text(report.target, 'head')}  ({describe_environment(report.environment)})"]
    if report.assumptions:
        parts.append(
            "\n".join(
                _wrapped("assumed" if not at else "", text, width, paint) for at, text in enumerate(report.assumptions)
            )
        )
    if report.world is not None:
        parts.append(_wrapped("world", world_words(report.world), width, paint))
    if report.run is not None:
        parts.append(_wrapped("run", run_words(report.run, report.findings), width, paint))
    findings = [finding for finding in report.findings if is_listed(finding, shown)]
    if findings:
        parts.append(_overview(findings, width, paint))
        parts.extend(_details(finding, report.environment, width, paint, quoted) for finding in findings)
    if "unknown" in shown and report.unknown:
        parts.append(tabulate(report.unknown.items(), headers=("unknown op", "count"), tablefmt="simple"))
    rest = [*summaries(report, shown), *([f"cost: {cost_words(report.cost)}"] if report.cost is not None else [])]
    if rest:
        parts.append("\n".join(textwrap.fill(line, width, subsequent_indent="  ") for line in rest))
    parts.append(paint.text(textwrap.fill(verdict_line(report), width), "bad" if report.fails() else "good"))
    return "\n\n".join(parts)


def _overview(findings: list[Finding], width: int, paint: Paint) -> str:
    """One line per finding; whether the bits vary has a column where not all do and there is room."""
    wheres = min(_WHERE, max(len(modules_words(finding)) for finding in findings))
    columns: list[tuple[str, list[str]]] = [("verdict", [finding.verdict for finding in findings])]
    if width >= 80 and any(finding.bits != "vary" for finding in findings):
        columns.append(("bits", [finding.bits for finding in findings]))
    taken = sum(max(len(head), *map(len, cells)) + _GAP for head, cells in columns)
    ops = width - taken - len("count") - wheres - 4 * _GAP
    columns.append(("op", [_broken(finding.op, ops) for finding in findings]))
    columns.append(("count", [str(finding.count) for finding in findings]))
    columns.append(("where", [_broken(modules_words(finding), wheres) for finding in findings]))
    columns[0] = ("verdict", [paint.verdict(finding.verdict) for finding in findings])
    return tabulate(
        zip(*(cells for _, cells in columns), strict=True),
        headers=[head for head, _ in columns],
        tablefmt="simple",
        disable_numparse=True,
        colalign=["right" if head == "count" else "left" for head, _ in columns],
    )


def _broken(name: str, width: int) -> str:
    """A dotted name over as many lines as it needs, broken after dots, underscores and spaces where it can be."""
    lines = [""]
    for piece in re.findall(r"[^._ ]*[._ ]?", name):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)


def _details(finding: Finding, environment: Environment, width: int, paint: Paint, quoted: int) -> str:
    head = f"{finding.op}: {finding.verdict}, in {finding.phase} ({finding.rule})"
    lines = [paint.text(textwrap.fill(head, width, subsequent_indent="  "), VERDICT_STYLES[finding.verdict])]
    lines.extend(quote(finding, width, quoted, paint))
    places = place_words(finding.places)
    margin = max(len(module) for module, _ in places)
    for at, (module, where) in enumerate(places):
        lines.append(_wrapped("where" if not at else "", f"{module:{margin}}  {where}".rstrip(), width, paint))
    lines.extend(_wrapped(label, text, width, paint) for label, text in mode_lines(finding, environment))
    if finding.spread is not None:
        lines.append(_wrapped("reaches", reach_words(finding.spread), width, paint))
    lines.append(_wrapped("why", finding.message, width, paint))
    instead = [_drop_in(advice, width) for advice in advice_of(finding)]
    instead += [_other_way(each, width) for each in other_ways(finding)]
    for at, (first, *rest) in enumerate(instead):
        lines += [f"  {paint.text('instead' if not at else '', 'dim')}{' ' * (_LABEL - 7 * (not at))}{first}", *rest]
    return "\n".join(lines)


def _drop_in(advice: Advice, width: int) -> list[str]:
    """A drop-in: what it gives, then the lines as they are with it, each cut to one line of the terminal."""
    margin, lines = " " * (_LABEL + 2), []
    head = f"{advice.name} ({advice.gives})"
    if advice.lines:
        head += f", after `{advice.imports}`:"
    lines += textwrap.wrap(head, width - len(margin), break_on_hyphens=False)
    lines[1:] = [margin + line for line in lines[1:]]
    shown = advice.lines if len(advice.lines) <= _MOST_LINES else advice.lines[: _MOST_LINES - 1]
    for where, after in shown:
        text = f"{margin}  {where}  {after}"
        lines.append(text if len(text) <= width else f"{text[: width - 3]}...")
    if len(shown) < len(advice.lines):
        lines.append(f"{margin}  and {len(advice.lines) - len(shown)} more lines: opscan fix shows and writes them")
    for each in advice.obstacles:
        lines.append(textwrap.fill(each, width, initial_indent=margin + "  ", subsequent_indent=margin + "    "))
    return lines


def _other_way(replacement: Replacement, width: int) -> list[str]:
    """A replacement in words: its name on the label's line, its code as it is written."""
    head = f"{replacement.name} ({SAME_VALUES[replacement.same_values]}):"
    code = replacement.how.strip().splitlines()
    if len(code) == 1 and len(head) + len(code[0]) + _LABEL + 3 <= width:
        return [f"{head} {code[0]}"]
    margin = " " * (_LABEL + 2)
    first, *rest = textwrap.wrap(head, width - len(margin))
    return [first, *(margin + line for line in rest), *(f"{margin}  {line}".rstrip() for line in code)]


def _wrapped(label: str, text: str, width: int, paint: Paint) -> str:
    first, rest = f"  {label:{_LABEL}}", " " * (_LABEL + 2)
    filled = textwrap.fill(text, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
    return f"  {paint.text(label, 'dim')}{filled[2 + len(label) :]}"
