"""Findings as text, JSON, or GitHub annotations. SARIF stands in a file of its own."""

from __future__ import annotations

from collections.abc import Sequence

from opscan.formats.github import Level, command
from opscan.formats.text import printable
from opscan.lint.finding import Finding, Problem


def render_text(findings: Sequence[Finding]) -> str:
    """One line per finding: `file:line:col: CODE message`."""
    return "".join(
        f"{printable(f'{each.place}: {each.code} {each.message}')}{' [*]' if each.edits else ''}\n" for each in findings
    )


def render_json(findings: Sequence[Finding]) -> str:
    """One versioned document; in notebooks the line is the file's, and the message names the cell."""
    rows = [
        {
            "file": each.file,
            "line": each.line,
            "column": each.column,
            "code": each.code,
            "message": with_cell(each),
            "fix": each.fix,
        }
        for each in findings
    ]
    import json

    return json.dumps({"schema": 1, "findings": rows}, indent=2) + "\n"


def render_github(findings: Sequence[Finding], problems: Sequence[Problem]) -> str:
    """Workflow commands, which GitHub shows beside the lines."""
    words: dict[str, Level] = {"error": "error", "warning": "warning", "info": "notice"}
    lines = [
        command(
            words[each.level],
            with_cell(each),
            file=each.file,
            line=each.line,
            col=each.column,
            endLine=each.end_line,
            title=each.code,
        )
        for each in findings
    ]
    lines += [
        command("error", each.what, file=each.file, line=max(each.line, 1), title="opscan lint") for each in problems
    ]
    return "".join(lines)


def with_cell(finding: Finding) -> str:
    """The message, and in a notebook the cell and the line in it."""
    if finding.cell is None:
        return finding.message
    return f"{finding.message} (cell {finding.cell}, line {finding.cell_line})"
