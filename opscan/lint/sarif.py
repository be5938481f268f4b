"""The linter's findings as SARIF 2.1.0."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opscan.formats.paths import find_root
from opscan.formats.sarif import notification, physical, render_run
from opscan.lint.finding import Finding, Problem
from opscan.lint.output import with_cell
from opscan.lint.rule import RULES
from opscan.lint.words import Words, read_words

_LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def render_sarif(findings: Sequence[Finding], problems: Sequence[Problem]) -> str:
    """One run; the rules that found something are described in it, and files not linted are notifications."""
    codes = sorted({each.code for each in findings})
    words = read_words() if codes else {}
    root = find_root(Path.cwd())
    return render_run(
        "opscan lint",
        [_rule(code, words[code]) for code in codes],
        [_result(each, codes, root) for each in findings],
        [_notification(each, root) for each in problems],
        root,
    )


def _rule(code: str, words: Words) -> dict[str, Any]:
    rule = RULES[code]
    return {
        "id": code,
        "name": rule.name,
        "shortDescription": {"text": words.title},
        "fullDescription": {"text": words.reason},
        "help": {"text": f"{words.reason}\n\nFix: {words.fix}\n\nEvidence: {'; '.join(words.evidence)}"},
        "defaultConfiguration": {"level": _LEVELS[rule.level]},
    }


def _result(finding: Finding, codes: Sequence[str], root: Path) -> dict[str, Any]:
    region: dict[str, int] = {"startLine": finding.line}
    if finding.cell is None:
        region |= {"startColumn": finding.column, "endLine": finding.end_line, "endColumn": finding.end_column}
    return {
        "ruleId": finding.code,
        "ruleIndex": codes.index(finding.code),
        "level": _LEVELS[finding.level],
        "message": {"text": with_cell(finding)},
        "locations": [physical(finding.file, root, region)],
    }


def _notification(problem: Problem, root: Path) -> dict[str, Any]:
    region = {"startLine": problem.line, "startColumn": max(problem.column, 1)} if problem.line else None
    return notification(problem.what, location=physical(problem.file, root, region))
