"""Where in a source line a public function is called, or a class is built."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

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


def calls_at(module: Module, name: str, line: int) -> list[Call]:
    """The calls of a public name, a function, a class or a method of tensors, that a line is part of."""
    calls = module.methods(name.removeprefix(METHOD)) if name.startswith(METHOD) else module.calls(name)
    return [call for call in calls if spans(call.node, line)]


def spans(node: ast.expr, line: int) -> bool:
    """Whether a line is part of an expression."""
    return node.lineno <= line <= (node.end_lineno or node.lineno)


def span_of(line: Line, names: Iterable[str]) -> Span | None:
    """The one call at a line of the first of these names that is called there; None if it is not known.

    Reads the file; nothing of it is run.
    """
    text = "".join(linecache.getlines(line.file))
    module = _parsed(text) if text else None
    if module is None:
        return None
    for name in names:
        found = calls_at(module, name, line.line)
        if found:
            return _span(module, found[0].node) if len(found) == 1 else None
    return None


@lru_cache(maxsize=32)
def _parsed(text: str) -> Module | None:
    try:
        return Module(ast.parse(text), text)
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
