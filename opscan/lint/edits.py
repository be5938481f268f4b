"""Edits that rules offer."""

from __future__ import annotations

import ast

from opscan.lint.finding import Edit, end_of
from opscan.lint.module import Module


def with_keyword(module: Module, call: ast.Call, keyword: str) -> tuple[Edit, ...]:
    """The edit that adds a keyword argument behind the others; none where brackets make that unclear."""
    if any(each.arg is None for each in call.keywords):
        return ()
    end_line, end_column = end_of(call)
    given = sorted([*map(end_of, call.args), *map(end_of, call.keywords)])
    if not given:
        return (Edit((end_line, end_column - 1), (end_line, end_column - 1), keyword),)
    line, column = given[-1]
    lines = module.lines
    if line == end_line:
        rest = lines[line - 1].encode("utf-8")[column : end_column - 1].decode("utf-8")
    else:
        first = lines[line - 1].encode("utf-8")[column:].decode("utf-8")
        last = lines[end_line - 1].encode("utf-8")[: end_column - 1].decode("utf-8")
        rest = "".join((first, *lines[line : end_line - 1], last))
    if rest.strip() not in ("", ",") or (len(call.args) == 1 and isinstance(call.args[0], ast.GeneratorExp)):
        return ()
    return (Edit((line, column), (line, column), f", {keyword}"),)
