"""One file, parsed and walked once: its calls by name, assignments, classes and functions, each with its place."""

from __future__ import annotations

import ast
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from opscan.lint.records import Assignment, Call
from opscan.lint.scopes import Frame, FunctionNode, resolve
from opscan.lint.source import split_lines
from opscan.lint.walk import walk


class Module:
    """What the rules ask about one file."""

    def __init__(self, tree: ast.Module, text: str = "", torch: tuple[int, ...] | None = None, file: str = "") -> None:
        self.tree = tree
        self.text = text
        self.file = file
        self.torch = torch
        """The oldest torch that the project runs on, if it says so."""
        notes = walk(tree)
        self.scope = notes.scope
        self.every_call = notes.every_call
        self.assignments = notes.assignments
        self.functions = notes.functions
        self.classes = notes.classes
        self.scopes = notes.scopes
        self.parents = notes.parents
        self.cache: dict[str, Any] = {}
        """What rules that share a view of the file keep here, so that it is made once."""
        self._by_name: dict[str, list[Call]] = {}
        self._by_method: dict[str, list[Call]] = {}
        for call in self.every_call:
            call.name = resolve(call.node.func, call.frame.scope) or ""
            if call.name:
                self._by_name.setdefault(call.name, []).append(call)
            elif isinstance(call.node.func, ast.Attribute):
                self._by_method.setdefault(call.node.func.attr, []).append(call)

    def calls(self, *names: str) -> Iterator[Call]:
        """The calls of functions by their full names."""
        for name in names:
            yield from self._by_name.get(name, ())

    @property
    def called_names(self) -> Iterable[str]:
        """Every name that is called."""
        return self._by_name

    def methods(self, *names: str) -> Iterator[Call]:
        """The calls of methods of values that are no modules or classes: `x.put_(...)`."""
        for name in names:
            yield from self._by_method.get(name, ())

    def resolve(self, node: ast.expr, frame: Frame) -> str | None:
        """See `scopes.resolve`."""
        return resolve(node, frame.scope)

    @cached_property
    def settings(self) -> dict[str, list[Assignment]]:
        """Assignments to attributes of modules: "torch.backends.cudnn.benchmark"."""
        found: dict[str, list[Assignment]] = {}
        for each in self.assignments:
            if isinstance(each.target, ast.Attribute):
                name = resolve(each.target, each.frame.scope)
                if name:
                    found.setdefault(name, []).append(each)
        return found

    def release(self) -> None:
        """Undo the circles (a scope, what is bound in it, the block that stands in), so that nothing waits for gc."""
        for scope in self.scopes.values():
            scope.names.clear()
            scope.elsewhere.clear()

    def value_of(self, node: ast.expr, frame: Frame) -> ast.expr:
        """The expression itself, or what stands behind a name that is assigned exactly once."""
        for _ in range(5):
            if not isinstance(node, ast.Name):
                return node
            found = frame.scope.find(node.id)
            if found is None or len(found[1]) != 1 or found[1][0].value is None:
                return node
            node, frame = found[1][0].value, found[1][0].frame
        return node

    def literal(self, node: ast.expr | None, frame: Frame) -> object:
        """The constant that an expression is, also through names assigned once; NOT_CONSTANT for anything else."""
        if node is None:
            return NOT_CONSTANT
        node = self.value_of(node, frame)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            value = node.operand.value
            return -value if isinstance(value, int | float) else NOT_CONSTANT
        return node.value if isinstance(node, ast.Constant) else NOT_CONSTANT

    def function_named(self, name: str) -> FunctionNode | None:
        """The function of the module itself that "@name" stands for."""
        return self._functions_by_name.get(name)

    @cached_property
    def _functions_by_name(self) -> dict[str, FunctionNode]:
        found: dict[str, FunctionNode] = {}
        for node, frame in self.functions:
            if frame.kind != "class":
                found.setdefault(node.name, node)
        return found

    def calls_in(self, node: ast.AST) -> list[Call]:
        """The calls between the first and the last line of a statement, in order."""
        assert isinstance(node, ast.stmt | ast.expr)
        lines = self._lines_of_calls
        first, last = bisect_left(lines, node.lineno), bisect_left(lines, (node.end_lineno or node.lineno) + 1)
        return self.ordered_calls[first:last]

    @cached_property
    def lines(self) -> list[str]:
        """The lines as Python counts them, each with its end."""
        return split_lines(self.text)

    @cached_property
    def ends_of_statements(self) -> dict[int, int]:
        """By line: the last line of the statement without a body that stands there."""
        ends: dict[int, int] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.stmt) and not hasattr(node, "body") and node.end_lineno:
                ends.update(dict.fromkeys(range(node.lineno, node.end_lineno + 1), node.end_lineno))
        return ends

    @cached_property
    def ordered_calls(self) -> list[Call]:
        """All calls by their position."""
        return sorted(self.every_call, key=lambda call: call.at)

    @cached_property
    def _lines_of_calls(self) -> list[int]:
        return [call.node.lineno for call in self.ordered_calls]


class _NotConstant:
    def __repr__(self) -> str:
        return "NOT_CONSTANT"


NOT_CONSTANT = _NotConstant()
