"""Where in a source line a public function is called, or a class is built."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import NamedTuple

from opscan.blame import source_lines
from opscan.finding import Line
from opscan.lint.module import Module
from opscan.lint.records import Call
from opscan.lint.source import characters

METHOD = "torch.Tensor."
"""What the public name of a method of tensors begins with."""


class Span(NamedTuple):
    """A part of a file: lines and columns from 1, columns in characters, the end behind the last one."""

    line: int
    column: int
    end_line: int
    end_column: int


class Calls:
    """The calls in a file, looked up by name and line."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self._known: dict[str, dict[int, list[Call]]] = {}

    def at(self, name: str, line: int) -> list[Call]:
        """The calls of a public name, a function, a class or a method of tensors, that a line is part of."""
        if name not in self._known:
            is_method = name.startswith(METHOD)
            calls = self.module.methods(name.removeprefix(METHOD)) if is_method else self.module.calls(name)
            self._known[name] = _by_line(calls)
        return self._known[name].get(line, [])


def _by_line(calls: Iterable[Call]) -> dict[int, list[Call]]:
    found: dict[int, list[Call]] = {}
    for call in calls:
        for line in range(call.node.lineno, (call.node.end_lineno or call.node.lineno) + 1):
            found.setdefault(line, []).append(call)
    return found


def span_of(line: Line, names: Iterable[str]) -> Span | None:
    """The one call at a line of the first of these names that is called there; None if it is not known.

    Reads the file; nothing of it is run.
    """
    calls = _calls_of(line.file)
    if calls is None:
        return None
    for name in names:
        found = calls.at(name, line.line)
        if found:
            return _span(calls.module, found[0].node) if len(found) == 1 else None
    return None


_FILES: dict[str, tuple[list[str], Calls | None]] = {}
"""What was parsed, beside the lines it was parsed from: linecache gives the same ones until the file is another."""


def _calls_of(file: str) -> Calls | None:
    lines = source_lines(file)
    if file not in _FILES or _FILES[file][0] is not lines:
        _FILES[file] = (lines, _parsed("".join(lines)))
    return _FILES[file][1]


def _parsed(text: str) -> Calls | None:
    try:
        return Calls(Module(ast.parse(text), text))
    except (SyntaxError, ValueError, RecursionError):
        return None


def _span(module: Module, node: ast.expr) -> Span:
    end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
    return Span(
        node.lineno,
        characters(module.lines[node.lineno - 1], node.col_offset) + 1,
        end_line,
        characters(module.lines[end_line - 1], end_column) + 1,
    )
