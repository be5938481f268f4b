"""What the walk notes: calls and assignments, each with the block it stands in."""

from __future__ import annotations

import ast

from opscan.lint.scopes import Frame


class Call:
    """A call and where it stands. `name` is what `resolve` makes of the function, "" for a method of a value."""

    __slots__ = ("frame", "name", "node", "statement")

    def __init__(self, node: ast.Call, frame: Frame, statement: ast.stmt) -> None:
        self.node = node
        self.frame = frame
        self.statement = statement
        self.name = ""

    @property
    def at(self) -> tuple[int, int]:
        """Its position, to tell what comes first."""
        return self.node.lineno, self.node.col_offset

    def keyword(self, name: str) -> ast.expr | None:
        """The value of a keyword argument."""
        for each in self.node.keywords:
            if each.arg == name:
                return each.value
        return None

    def argument(self, name: str, position: int) -> ast.expr | None:
        """The value of an argument that may be given either way."""
        given = self.keyword(name)
        if given is None and position < len(self.node.args):
            return self.node.args[position]
        return given

    @property
    def is_open(self) -> bool:
        """Whether arguments are handed in by `*args` or `**kwargs`, so that not all of them stand here."""
        return any(isinstance(each, ast.Starred) for each in self.node.args) or any(
            each.arg is None for each in self.node.keywords
        )


class Assignment:
    """`target = value` where the target is an attribute or a subscript."""

    __slots__ = ("frame", "statement", "target", "value")

    def __init__(self, target: ast.expr, value: ast.expr, frame: Frame, statement: ast.stmt) -> None:
        self.target = target
        self.value = value
        self.frame = frame
        self.statement = statement

    @property
    def at(self) -> tuple[int, int]:
        """Its position."""
        return self.target.lineno, self.target.col_offset
