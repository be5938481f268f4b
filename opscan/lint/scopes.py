"""Scopes and what is bound in them, and the dotted name that an expression stands for."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from typing import Literal, NamedTuple

from opscan.lint.names import canonical

BUILTINS = frozenset(dir(builtins))
_LONGEST_CHAIN = 20
"""Of aliases that lead to aliases; a longer chain, or a circle, stands for nothing."""

BindingKind = Literal["import", "def", "class", "assign", "param", "other"]
FrameKind = Literal["module", "function", "class", "lambda", "comprehension", "loop", "if", "try", "with"]
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


class Binding(NamedTuple):
    """One place that gives a name its meaning; `dotted` of an import, `value` of a plain assignment."""

    kind: BindingKind
    node: ast.AST
    frame: Frame
    dotted: str = ""
    value: ast.expr | None = None


class Scope:
    """A module, class, function, lambda or comprehension, with the names bound in it."""

    __slots__ = ("elsewhere", "is_class", "names", "node", "parent", "stars")

    def __init__(self, node: ast.AST, parent: Scope | None, is_class: bool = False) -> None:
        self.node = node
        self.parent = parent
        self.is_class = is_class
        self.names: dict[str, list[Binding]] = {}
        self.elsewhere: dict[str, Scope] = {}
        self.stars: list[str] = []

    def bind(self, name: str, binding: Binding) -> None:
        """Note a binding, in the scope that a `global` or `nonlocal` names if there is one."""
        scope = self.elsewhere.get(name, self)
        scope.names.setdefault(name, []).append(binding)

    def find(self, name: str) -> tuple[Scope, list[Binding]] | None:
        """Where the name is bound, seen from here: classes are seen only from their own body."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.elsewhere:
                scope = scope.elsewhere[name]
            if name in scope.names and (scope is self or not scope.is_class):
                return scope, scope.names[name]
            scope = scope.parent
        return None

    @property
    def module(self) -> Scope:
        """The outermost scope."""
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return scope


class Frame:
    """A block of statements and what it stands in: `arm` is the field of `node` that the block is."""

    __slots__ = ("arm", "kind", "node", "parent", "scope")

    def __init__(self, kind: FrameKind, node: ast.AST, parent: Frame | None, scope: Scope, arm: str = "body") -> None:
        self.kind = kind
        self.node = node
        self.parent = parent
        self.scope = scope
        self.arm = arm

    def outward(self) -> Iterator[Frame]:
        """This block and all it stands in, the innermost first."""
        frame: Frame | None = self
        while frame is not None:
            yield frame
            frame = frame.parent

    def inside(self) -> Iterator[Frame]:
        """The blocks from here to the function, class body or module they run in, that one last."""
        for frame in self.outward():
            yield frame
            if frame.kind in ("function", "class", "module"):
                return

    @property
    def function(self) -> FunctionNode | None:
        """The function this block belongs to."""
        home = self.home
        return home.node if isinstance(home.node, FunctionNode) else None

    @property
    def home(self) -> Frame:
        """The function, class body or module whose statements these are."""
        *_, last = self.inside()
        return last

    @property
    def class_of_method(self) -> ast.ClassDef | None:
        """The class, if this is the body of one of its methods (or of a function inside a method)."""
        for frame in self.outward():
            if frame.kind == "class" and isinstance(frame.node, ast.ClassDef):
                return frame.node
        return None


def exclude(one: Frame, other: Frame) -> bool:
    """Whether the two blocks are different arms of one `if` or of one `try`, so that not both run."""
    arms = {frame.node: frame.arm for frame in one.outward() if frame.kind in ("if", "try")}
    for frame in other.outward():
        if frame.kind == "if" and arms.get(frame.node, frame.arm) != frame.arm:
            return True
        if frame.kind == "try" and {arms.get(frame.node), frame.arm} >= {"body", "handlers"}:
            return True
    return False


def resolve(node: ast.expr, scope: Scope, depth: int = 0) -> str | None:
    """What an expression names: "torch.nn.functional.dropout", "@Net" defined in this file, "sorted" of builtins.

    None for a variable, for a part of a name that nobody defines, and for all that is no name. What a relative import
    brings starts with a dot.
    """
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or depth > _LONGEST_CHAIN:
        return None
    base = _resolve_name(node.id, scope, depth)
    if base is None or (parts and base == node.id and scope.find(base) is None):
        return None
    if not parts:
        return base
    return canonical(".".join((base, *reversed(parts))))


def _resolve_name(name: str, scope: Scope, depth: int) -> str | None:
    found = scope.find(name)
    if found is None:
        stars = scope.module.stars
        if name in BUILTINS:
            return name
        return canonical(f"{stars[-1]}.{name}") if stars else name
    home, bindings = found
    imports = [each for each in bindings if each.kind == "import"]
    if imports:
        return canonical(imports[0].dotted) if _imports_win(imports, bindings) else None
    if all(each.kind in ("def", "class") for each in bindings):
        return f"@{name}"
    only = bindings[0]
    if len(bindings) == 1 and only.value is not None:
        return resolve(only.value, only.frame.scope if home is scope else home, depth + 1)
    return None


def _imports_win(imports: list[Binding], bindings: list[Binding]) -> bool:
    """Whether the name is what was imported: other bindings of it are only what a failed import leaves behind."""
    guarded = any(frame.kind in ("try", "if") for each in imports for frame in each.frame.inside())
    others = [each for each in bindings if each.kind != "import"]
    return all(_is_none(each.value) or guarded for each in others)


def _is_none(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is None
