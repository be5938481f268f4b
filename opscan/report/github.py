"""Findings as annotations of GitHub: one for each line, first the first line of each finding."""

from __future__ import annotations

from pathlib import Path

from opscan.finding import Finding
from opscan.formats.github import Level, command
from opscan.formats.paths import find_root, relative_path
from opscan.report.message import sentence
from opscan.report.outcome import UNJUDGED, Outcome, unjudged_words
from opscan.report.report import Report
from opscan.report.spots import Spot, spots


def render_github(outcome: Outcome, root: Path | None = None) -> str:
    """Workflow commands: what fails is an error, other findings warnings, waived ones notices with their reasons.

    Paths are relative to `root`, by default the git repository of the current folder. GitHub shows ten annotations of
    each level for a step. Source: GitHub docs, limitations of annotations.
    """
    base = find_root(Path.cwd()) if root is None else root
    lines = [
        (at, _annotation(outcome, report, finding, spot, base))
        for report in outcome.reports
        for finding in outcome.listed(report)
        for at, spot in enumerate(spots(finding))
    ]
    texts = [text for _, text in sorted(lines, key=lambda line: line[0] > 0)]
    texts += [
        command("error", f"{report.target}: {unjudged_words(op)}", title=UNJUDGED)
        for report in outcome.reports
        for op in outcome.unjudged(report)
    ]
    texts += [
        command("error", each.words, file=_path(str(each.waiver.config), base), line=1, title=each.rule)
        for each in outcome.stale
    ]
    texts += [
        command("error" if each.wanted else "notice", each.why, title=f"opscan: {each.target} was not looked at")
        for each in outcome.unseen
    ]
    return "".join(texts)


def _annotation(outcome: Outcome, report: Report, finding: Finding, spot: Spot, root: Path) -> str:
    fails = outcome.failing(report, finding)
    level: Level = "notice" if finding.waived else "error" if fails else "warning"
    text = f"{report.target}: {sentence(finding, spot.modules)}"
    if spot.line is None or spot.line.file.startswith("<"):  # a cell of a notebook
        return command(level, text, title=finding.rule)
    span = spot.span
    same_line = span is not None and span.line == span.end_line
    return command(
        level,
        text,
        file=_path(spot.line.file, root),
        line=span.line if span else spot.line.line,
        endLine=span.end_line if span else None,
        col=span.column if span and same_line else None,
        endColumn=span.end_column - 1 if span and same_line else None,
        title=finding.rule,
    )


def _path(file: str, root: Path) -> str:
    return relative_path(file, root) or file
