"""The table for a terminal: plain text, 80 columns unless there are more."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

from tabulate import tabulate

from opscan.distributed.ranks import world_words
from opscan.environment import Environment
from opscan.finding import Finding
from opscan.report.instead import Advice, advice_of, other_ways
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
    short_paths,
    summaries,
    verdict_line,
)
from opscan.rules.schema import Replacement

_LABEL = 10
_WHERE = 20
_MOST_LINES = 6
_GAP = 2  # tabulate puts it between columns and around headers


def render_table(report: Report, width: int = 80, show: Iterable[str] = ()) -> str:
    """One target's report: what was assumed, each finding with its places and remedies, one line for the rest."""
    width = max(width, 60)
    shown = (*ALWAYS_SHOWN, *show)
    parts = [f"{report.target}  ({describe_environment(report.environment)})"]
    if report.assumptions:
        parts.append(
            "\n".join(_wrapped("assumed" if not at else "", text, width) for at, text in enumerate(report.assumptions))
        )
    if report.world is not None:
        parts.append(_wrapped("world", world_words(report.world), width))
    if report.run is not None:
        parts.append(_wrapped("run", run_words(report.run, report.findings), width))
    findings = [finding for finding in report.findings if is_listed(finding, shown)]
    if findings:
        parts.append(_overview(findings, width))
        parts.extend(_details(finding, report.environment, width) for finding in findings)
    if "unknown" in shown and report.unknown:
        parts.append(tabulate(report.unknown.items(), headers=("unknown op", "count"), tablefmt="simple"))
    rest = [*summaries(report, shown), *([f"cost: {cost_words(report.cost)}"] if report.cost is not None else [])]
    if rest:
        parts.append("\n".join(textwrap.fill(line, width, subsequent_indent="  ") for line in rest))
    parts.append(textwrap.fill(verdict_line(report), width))
    return "\n\n".join(parts)


def _overview(findings: list[Finding], width: int) -> str:
    """One line per finding; whether the bits vary has a column where not all do and there is room."""
    wheres = min(_WHERE, max(len(_first_places(finding)) for finding in findings))
    columns: list[tuple[str, list[str]]] = [("verdict", [finding.verdict for finding in findings])]
    if width >= 80 and any(finding.bits != "vary" for finding in findings):
        columns.append(("bits", [finding.bits for finding in findings]))
    taken = sum(max(len(head), *map(len, cells)) + _GAP for head, cells in columns)
    ops = width - taken - len("count") - wheres - 4 * _GAP
    columns.append(("op", [_broken(finding.op, ops) for finding in findings]))
    columns.append(("count", [str(finding.count) for finding in findings]))
    columns.append(("where", [_broken(_first_places(finding), wheres) for finding in findings]))
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


def _first_places(finding: Finding) -> str:
    names = short_paths(module or "(model)" for module in finding.modules)
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _details(finding: Finding, environment: Environment, width: int) -> str:
    head = f"{finding.op}: {finding.verdict}, in {finding.phase} ({finding.rule})"
    lines = [textwrap.fill(head, width, subsequent_indent="  ")]
    places = place_words(finding.places)
    margin = max(len(module) for module, _ in places)
    for at, (module, where) in enumerate(places):
        lines.append(_wrapped("where" if not at else "", f"{module:{margin}}  {where}".rstrip(), width))
    if finding.ranks is not None:
        lines.append(_wrapped("ranks", f"on {', '.join(map(str, finding.ranks))} alone", width))
    lines.extend(_wrapped(label, text, width) for label, text in mode_lines(finding, environment))
    lines.append(_wrapped("why", finding.message, width))
    instead = [_drop_in(advice, width) for advice in advice_of(finding)]
    instead += [_other_way(each, width) for each in other_ways(finding)]
    for at, (first, *rest) in enumerate(instead):
        lines += [f"  {'instead' if not at else '':{_LABEL}}{first}", *rest]
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


def _wrapped(label: str, text: str, width: int) -> str:
    first, rest = f"  {label:{_LABEL}}", " " * (_LABEL + 2)
    return textwrap.fill(text, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
