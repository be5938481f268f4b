"""The edits that write a drop-in at one line: nothing but the name, or the receiver, of a call changes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from opscan.lint.finding import Edit, end_of
from opscan.lint.module import Module
from opscan.lint.records import Call
from opscan.lint.scopes import resolve
from opscan.remedies.calls import METHOD, Calls

KEEP = re.compile(r"#\s*opscan:\s*keep\b")
PACKAGE = "opscan.replacements"
_NAME = "replacements"


def import_line(alias: str) -> str:
    """The import that makes the drop-ins known as `alias`."""
    return f"from opscan import {_NAME}" + (f" as {alias}" if alias != _NAME else "")


class Editor:
    """Writes drop-ins into one file. Raises SyntaxError for a text that is no Python."""

    def __init__(self, text: str) -> None:
        self._module = Module(ast.parse(text), text)
        self._calls = Calls(self._module)
        self.alias, self.imports = self._import()

    def edits(self, of: str, name: str, line: int) -> tuple[Edit, ...] | str:
        """The edits that put `opscan.replacements.<name>` in place of `of` at a line; or why there are none."""
        calls = self._calls.at(of, line)
        bases = [] if calls else list(self._bases(of, line))
        if not calls and not bases:
            return f"{of.rpartition('.')[2]} is not called by its name there"
        if any(self._is_kept(node) for node in (*(call.node for call in calls), *bases)):
            return "kept: the line says so (# opscan: keep)"
        target = f"{self.alias}.{name}"
        if bases:
            return tuple(Edit((base.lineno, base.col_offset), end_of(base), target) for base in bases)
        if of.startswith(METHOD):
            return tuple(edit for call in calls for edit in self._method_edits(call, target))
        functions = [call.node.func for call in calls]
        return tuple(Edit((each.lineno, each.col_offset), end_of(each), target) for each in functions)

    def importing(self) -> tuple[Edit, ...]:
        """The edit that adds the import below the others at the top; none where it is there already."""
        if not self.imports:
            return ()
        line = 1
        for statement in self._module.tree.body:
            is_docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            if not isinstance(statement, ast.Import | ast.ImportFrom) and not is_docstring:
                break
            line = (statement.end_lineno or statement.lineno) + 1
        return (Edit((line, 0), (line, 0), f"{self.imports}\n"),)

    def _import(self) -> tuple[str, str]:
        """The name under which the drop-ins are, or will be, known in the file, and the import that is lacking."""
        bound = self._module.scope.names
        for name, bindings in bound.items():
            if len(bindings) == 1 and bindings[0].kind == "import" and bindings[0].dotted == PACKAGE:
                return name, ""
        taken = {name for scope in self._module.scopes.values() for name in scope.names} | set(bound)
        alias = "opscan_replacements" if _NAME in taken else _NAME
        return alias, import_line(alias)

    def _bases(self, of: str, line: int) -> Iterator[ast.expr]:
        """The base in the class statement around a line, where the constructor of `of` runs as that of a base class."""
        around = [each for each in self._module.classes.values() if each.lineno <= line <= (each.end_lineno or 0)]
        for each in around:
            yield from (base for base in each.bases if resolve(base, self._module.scope) == of)

    def _method_edits(self, call: Call, target: str) -> Iterator[Edit]:
        """`x.put_(a, b)` becomes `target(x, a, b)`: the dot, the name and the bracket make way for a comma."""
        node = call.node
        assert isinstance(node.func, ast.Attribute)
        lines = self._module.lines
        start, name_end = (node.lineno, node.col_offset), end_of(node.func)
        dot = _back_to(lines, name_end, len(node.func.attr.encode()), b".")
        bracket = _on_to(lines, name_end, b"(")
        if dot is None or bracket is None:
            return
        has_arguments = bool(node.args or node.keywords)
        yield Edit(start, start, f"{target}(")
        yield Edit(dot, (bracket[0], bracket[1] + 1), ", " if has_arguments else "")

    def _is_kept(self, node: ast.expr) -> bool:
        first, last = node.lineno, node.end_lineno or node.lineno
        return any(KEEP.search(line) for line in self._module.lines[first - 1 : last])


def _back_to(lines: list[str], end: tuple[int, int], length: int, wanted: bytes) -> tuple[int, int] | None:
    """The place of `wanted`, which stands before a name of `length` bytes that ends at `end`, but for spaces."""
    row, column = end[0], end[1] - length
    while row >= 1:
        before = lines[row - 1].encode()[:column].rstrip()
        if before:
            return (row, len(before) - 1) if before.endswith(wanted) else None
        row, column = row - 1, len(lines[row - 2].encode()) if row >= 2 else 0
    return None


def _on_to(lines: list[str], start: tuple[int, int], wanted: bytes) -> tuple[int, int] | None:
    """The place of `wanted`, which stands behind `start` on the same line, but for spaces."""
    row, column = start
    rest = lines[row - 1].encode()[column:]
    stripped = rest.lstrip()
    return (row, column + len(rest) - len(stripped)) if stripped.startswith(wanted) else None
