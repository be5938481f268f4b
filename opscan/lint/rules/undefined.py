"""OPL415: a home-made deterministic op that reads a name nobody defines."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from opscan.lint.finding import Hit
from opscan.lint.module import Module
from opscan.lint.rule import rule
from opscan.lint.scopes import BUILTINS, FunctionNode

_OWN = frozenset(("__file__", "__name__", "__path__", "__class__", "__spec__", "__doc__", "__builtins__"))
_KIND = "(?:[iI]ndex|[sS]elect|[gG]ather|[sS]catter|[dD]etermin)"


@rule("OPL415", "argument-unused-name-undefined", "error", ["torch", f"~def\\s+\\w*{_KIND}"])
def argument_unused_name_undefined(module: Module) -> Iterator[Hit]:
    """A home-made index_select, gather or scatter that reads a name nobody defines, and not its own argument."""
    if module.scope.stars or not _imports_torch(module):
        return
    bound: set[str] | None = None
    for function, _ in module.functions:
        if not re.search(_KIND, function.name):
            continue
        unused = _unused_arguments(function)
        if unused and bound is None:
            bound = {name for scope in module.scopes.values() for name in scope.names} | BUILTINS | _OWN
        for each in ast.walk(function) if unused and bound else ():
            if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load) and each.id not in (bound or ()):
                message = f"`{each.id}` is not defined here; the argument `{unused[0]}`, perhaps meant, is not used"
                yield Hit(each, message, unused[0])
                break


def _unused_arguments(function: FunctionNode) -> list[str]:
    read = {each.id for each in ast.walk(function) if isinstance(each, ast.Name)}
    given = [each.arg for each in (*function.args.posonlyargs, *function.args.args) if each.arg not in ("self", "cls")]
    return [each for each in given if each not in read and not each.startswith("_")]


def _imports_torch(module: Module) -> bool:
    return any(
        binding.dotted.partition(".")[0] == "torch"
        for bindings in module.scope.names.values()
        for binding in bindings
        if binding.kind == "import"
    )
