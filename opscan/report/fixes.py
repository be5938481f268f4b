"""Remedies as SARIF fixes: what to delete and what to write, the import included (3.55)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from opscan.finding import Finding, Remedy
from opscan.formats.sarif import artifact
from opscan.lint.finding import Edit
from opscan.lint.source import characters
from opscan.remedies.suggest import Desk
from opscan.report.instead import gives_words
from opscan.report.spots import Spot, remedies_at


def fixes_at(finding: Finding, spot: Spot, root: Path, desk: Desk) -> list[dict[str, Any]]:
    """One fix for each drop-in that can be written at a spot; files are read once for a desk."""
    return [fix for each in remedies_at(finding, spot) if (fix := _fix(each, desk, root))]


def _fix(remedy: Remedy, desk: Desk, root: Path) -> dict[str, Any] | None:
    """None where the file is no longer as it was when the remedy was made."""
    assert remedy.line is not None
    editor = desk.editor(remedy.line.file)
    edits = editor.edits(remedy.of, remedy.name, remedy.line.line) if editor else ""
    if editor is None or isinstance(edits, str):
        return None
    lines = desk.lines(remedy.line.file)
    replacements = [_replacement(each, lines) for each in sorted((*editor.importing(), *edits))]
    return {
        "description": {"text": f"opscan.replacements.{remedy.name}: {gives_words(remedy)}"},
        "artifactChanges": [{"artifactLocation": artifact(remedy.line.file, root), "replacements": replacements}],
    }


def _replacement(edit: Edit, lines: list[str]) -> dict[str, Any]:
    (line, column), (end_line, end_column) = _placed(edit, lines)
    region = {"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column}
    return {"deletedRegion": region, "insertedContent": {"text": edit.text}}


def _placed(edit: Edit, lines: list[str]) -> Iterable[tuple[int, int]]:
    """Both ends, in characters from 1. Behind the last line is its end."""
    for line, column in (edit.start, edit.end):
        text = lines[line - 1] if line <= len(lines) else ""
        yield line, characters(text, column) + 1
