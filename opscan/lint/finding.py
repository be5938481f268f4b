"""What a rule finds, and the edit that would mend it."""

from __future__ import annotations

import ast
from typing import Literal, NamedTuple

from opscan.formats.text import printable

Level = Literal["error", "warning", "info"]
LEVELS: tuple[Level, ...] = ("error", "warning", "info")


class Edit(NamedTuple):
    """Put `text` between two places: each a line, from 1, and a column in UTF-8 bytes, from 0, as ast has them."""

    start: tuple[int, int]
    end: tuple[int, int]
    text: str


class Hit(NamedTuple):
    """What a rule says of one place: `fix` is what to write instead, `edits` write it where that is safe."""

    node: ast.expr | ast.stmt | ast.arg
    message: str
    fix: str
    edits: tuple[Edit, ...] = ()


class Finding(NamedTuple):
    """One finding in one file: lines and columns from 1, columns in characters; `cell` of a notebook, from 1."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    code: str
    level: Level
    message: str
    fix: str
    edits: tuple[Edit, ...] = ()
    cell: int | None = None
    cell_line: int = 0

    @property
    def place(self) -> str:
        """For people: `train.py:3:1`, `look.ipynb:cell 2:3:1`."""
        if self.cell is None:
            return f"{self.file}:{self.line}:{self.column}"
        return f"{self.file}:cell {self.cell}:{self.cell_line}:{self.column}"


class Problem(NamedTuple):
    """A file that was not linted, or not written, and why."""

    file: str
    what: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        file = printable(self.file)
        place = f"{file}:{self.line}:{self.column}" if self.line else file
        return f"{place}: {self.what}"


class FileResult(NamedTuple):
    """What came of one file."""

    findings: tuple[Finding, ...] = ()
    problem: Problem | None = None


def replace(node: ast.expr | ast.stmt, text: str) -> Edit:
    """Write `text` in place of a node."""
    return Edit((node.lineno, node.col_offset), end_of(node), text)


def end_of(node: ast.expr | ast.stmt | ast.arg | ast.keyword) -> tuple[int, int]:
    """The place right behind a node."""
    assert node.end_lineno is not None, "ast.parse sets it"
    assert node.end_col_offset is not None, "ast.parse sets it"
    return node.end_lineno, node.end_col_offset
