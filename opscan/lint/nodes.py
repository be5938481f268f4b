"""The kinds of nodes in a syntax tree, and which of them the walk looks into."""

from __future__ import annotations

import ast

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
LEAVES = frozenset(
    (ast.Name, ast.Constant, ast.Load, ast.Store, ast.Del, int, str, type(None), *ast.operator.__subclasses__(),
     *ast.unaryop.__subclasses__(), *ast.boolop.__subclasses__(), *ast.cmpop.__subclasses__())
)  # fmt: skip
"""Below these there is no call, and nobody asks for their parents."""
_NO_CHILDREN = frozenset(("arg", "attr", "ctx", "id", "kind", "level", "module", "name", "op", "ops", "type_comment"))
CHILDREN: dict[type, tuple[str, ...]] = {
    kind: tuple(field for field in kind._fields if field not in _NO_CHILDREN)
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST)
}
"""The fields of each kind of node in which there may be nodes."""
INNER_SCOPES = frozenset((ast.Lambda, *COMPREHENSIONS))
