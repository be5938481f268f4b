"""Where a program goes through a set, whose order differs from process to process: looked for in its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from opscan.verifying.runs import Function, Script
from opscan.verifying.words import file_line

_FILES = 50
_GO_THROUGH = {"list", "tuple", "enumerate", "iter", "zip", "map", "join"}
_MAKE = {"set", "frozenset"}


def set_lines(runner: Script | Function) -> Iterator[str]:
    """`train.py:12: list(set(names))`: of the script, and of the files beside it."""
    script = _script_of(runner)
    if script is None:
        return
    for file in (script, *(each for each in sorted(script.parent.glob("*.py"))[:_FILES] if each != script)):
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError, OSError):
            continue
        for node in _gone_through(tree):
            yield f"{file_line(f'{file}:{node.lineno}')}: {ast.unparse(node)[:60]}"


def _script_of(runner: Script | Function) -> Path | None:
    if isinstance(runner, Function):
        return None
    named = runner.target.partition(":")[0]
    file = Path(named) if named.endswith(".py") else Path(*named.split(".")).with_suffix(".py")
    return file if file.is_file() else None


def _gone_through(tree: ast.AST) -> Iterator[ast.expr]:
    """Expressions that take the items of a set, or of a text's hash(), in the order that they have."""
    for node in ast.walk(tree):
        if isinstance(node, ast.For | ast.comprehension) and _is_set(node.iter):
            yield node.iter
        elif isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if (name in _GO_THROUGH and any(_is_set(each) for each in node.args)) or (name == "hash" and node.args):
                yield node


def _is_set(node: ast.expr) -> bool:
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _MAKE
