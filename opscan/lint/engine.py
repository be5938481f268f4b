"""One file: prefilter, parse once, walk once, ask the rules."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from opscan.lint.finding import FileResult, Finding, Hit, Problem, end_of
from opscan.lint.module import Module
from opscan.lint.noqa import is_silenced
from opscan.lint.prefilter import rules_for
from opscan.lint.rule import Rule
from opscan.lint.source import NotTextError, characters, decode

if TYPE_CHECKING:
    from opscan.lint.notebook import Notebook

LARGEST_BYTES = 4_000_000
"""A larger file is not parsed: Python needs about 200 bytes of memory for each byte of source."""


class Options(NamedTuple):
    """What a run is asked: the rules, and the oldest torch that the project runs on."""

    rules: tuple[Rule, ...]
    torch: tuple[int, ...] | None = None


def lint_source(data: bytes, file: str, options: Options) -> FileResult:
    """Judge one file by its bytes. What keeps it from being read is a Problem, never an exception."""
    is_notebook = file.endswith(".ipynb")
    rules = rules_for(data, options.rules, is_notebook)
    if not rules:
        return FileResult()
    if len(data) > LARGEST_BYTES:
        size = f"{len(data) / 1e6:.1f} MB"
        return _failed(file, f"not linted: {size}, more than {LARGEST_BYTES / 1e6:.0f} MB")
    try:
        source = decode(data)
        notebook = _notebook(source.text) if is_notebook else None
    except NotTextError as error:
        return _failed(file, f"not linted: {error}")
    text = notebook.text if notebook else source.text
    problem: Problem | None = None
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        problem = _not_parsed(file, error, notebook)
        if notebook is None:
            return FileResult(problem=problem)
        text = notebook.without(notebook.broken_cells())  # the other cells are linted
        tree = ast.parse(text)
    except (RecursionError, MemoryError):
        return _failed(file, "not linted: nested too deeply for Python's parser")
    except ValueError as error:
        return _failed(file, f"not linted: {error}")
    try:
        return FileResult(tuple(_judge(tree, text, file, rules, options, notebook)), problem)
    except RecursionError:
        return _failed(file, "not linted: nested too deeply")


def _failed(file: str, what: str) -> FileResult:
    return FileResult(problem=Problem(file, what))


def _notebook(text: str) -> Notebook:
    from opscan.lint.notebook import read_notebook

    return read_notebook(text)


def _not_parsed(file: str, error: SyntaxError, notebook: Notebook | None) -> Problem:
    line, column = error.lineno or 1, max(error.offset or 1, 1)
    what = f"not linted: syntax error, {error.msg}"
    if notebook and 0 < line <= len(notebook.lines):
        origin = notebook.lines[line - 1]
        return Problem(f"{file}:cell {origin.cell}", what, origin.line, column)
    return Problem(file, what, line, column)


def _judge(
    tree: ast.Module, text: str, file: str, rules: Sequence[Rule], options: Options, notebook: Notebook | None
) -> list[Finding]:
    module = Module(tree, text, options.torch, file)
    try:
        hits = [(rule, hit) for rule in rules for hit in rule.find(module)]
    finally:
        module.release()
    if not hits:
        return []
    lines = module.lines
    found = {
        finding
        for rule, hit in hits
        if not is_silenced(rule.code, _lines_with_comments(module, hit.node, lines))
        for finding in [_finding(rule, hit, file, lines, notebook)]
    }
    return sorted(found, key=lambda each: (each.line, each.column, each.code))


def _lines_with_comments(module: Module, node: ast.AST, lines: Sequence[str]) -> list[str]:
    """The lines on which a comment speaks of a node: its first, its last, and the last of its statement."""
    first, last = getattr(node, "lineno", 1), getattr(node, "end_lineno", 1)
    wanted = {first, module.ends_of_statements.get(first, first)}
    if not hasattr(node, "body"):
        wanted.add(last)
    return [lines[number - 1] for number in sorted(wanted)]


def _finding(rule: Rule, hit: Hit, file: str, lines: Sequence[str], notebook: Notebook | None) -> Finding:
    line, column = hit.node.lineno, hit.node.col_offset
    end_line, end_column = end_of(hit.node)
    if end_line > line and isinstance(hit.node, ast.stmt):
        end_line, end_column = line, len(lines[line - 1].rstrip().encode("utf-8"))
    column = characters(lines[line - 1], column) + 1
    end_column = characters(lines[end_line - 1], end_column) + 1
    cell, cell_line = None, 0
    if notebook:
        origin = notebook.lines[line - 1]
        cell, cell_line = origin.cell, origin.line
        line, end_line = (notebook.file_line(number) for number in (line, end_line))
    return Finding(
        file, line, column, end_line, end_column, rule.code, rule.level, hit.message, hit.fix, hit.edits,
        cell, cell_line,
    )  # fmt: skip
