"""Findings with their remedies: which drop-in, at which line of the user's, and what that line becomes."""

from __future__ import annotations

import linecache
from collections.abc import Iterable, Sequence
from dataclasses import replace

from opscan.blame import is_users_own, source_lines
from opscan.finding import Finding, Line, Remedy
from opscan.lint.finding import Edit
from opscan.lint.fix import apply_edits
from opscan.lint.source import split_lines
from opscan.remedies.choose import Choice, choose
from opscan.remedies.edits import Editor, import_line

INSTALLED = "the line is an installed package's: opscan.make_deterministic(model) replaces it there"
NO_LINE = "no line of yours is known: opscan.make_deterministic(model) replaces it"
NO_SOURCE = "its source cannot be read"


def with_remedies(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings with the drop-ins there are for their places. Reads the files named; nothing of them is run."""
    desk = Desk()
    return tuple(replace(finding, remedies=tuple(_remedies(finding, desk))) for finding in findings)


def _remedies(finding: Finding, desk: Desk) -> Iterable[Remedy]:
    """One per drop-in and line, in the order of the places."""
    choices = (choose(finding.rule, place) for place in finding.places)
    return [desk.remedy(choice) for choice in dict.fromkeys(choices) if choice is not None]


class Desk:
    """The files that remedies are for, each read and parsed once."""

    def __init__(self) -> None:
        self._editors: dict[str, Editor | None] = {}
        self._lines: dict[str, list[str]] = {}

    def remedy(self, choice: Choice) -> Remedy:
        """What a choice comes to at its line."""
        dropin, of, line, _ = choice
        bare = Remedy(dropin.name, of, dropin.values, dropin.gradient, dropin.differs, line)
        if line is None:
            return replace(bare, obstacle=NO_LINE)
        if not is_users_own(line.file):
            return replace(bare, obstacle=INSTALLED)
        editor = self.editor(line.file)
        if editor is None:
            return replace(bare, obstacle=NO_SOURCE)
        edits = editor.edits(of, dropin.name, line.line)
        if isinstance(edits, str):
            return replace(bare, obstacle=edits)
        at = edits[0].start[0]
        before, after = _first_lines(self.lines(line.file), edits)
        return replace(bare, line=Line(line.file, at), imports=import_line(editor.alias), before=before, after=after)

    def lines(self, file: str) -> list[str]:
        """The lines of a file that an editor was asked for."""
        return self._lines[file]

    def editor(self, file: str) -> Editor | None:
        """What edits a file, or a notebook's cell; None for one that cannot be read or is no Python."""
        if file not in self._editors:
            linecache.checkcache(file)  # it may have been edited since an earlier scan of this process
            text = "".join(source_lines(file))
            self._lines[file] = split_lines(text)
            try:
                self._editors[file] = Editor(text) if text else None
            except (SyntaxError, ValueError, RecursionError):
                self._editors[file] = None
        return self._editors[file]


def _first_lines(lines: Sequence[str], edits: Sequence[Edit]) -> tuple[str, str]:
    """The line that the first edit begins in, without and with the edits."""
    first, last = edits[0].start[0], max(edit.end[0] for edit in edits)
    part = "".join(lines[first - 1 : last])
    moved = [
        Edit((edit.start[0] - first + 1, edit.start[1]), (edit.end[0] - first + 1, edit.end[1]), edit.text)
        for edit in edits
    ]
    return lines[first - 1].strip(), split_lines(apply_edits(part, moved))[0].strip()
