"""The one walk over a syntax tree, which notes everything the rules ask about."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from opscan.lint.names import canonical
from opscan.lint.nodes import CHILDREN, COMPREHENSIONS, INNER_SCOPES, LEAVES
from opscan.lint.records import Assignment, Call
from opscan.lint.scopes import Binding, Frame, FunctionNode, Scope


class Notes:
    """What one walk found in a file."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.scope = Scope(tree, None)
        self.every_call: list[Call] = []
        self.assignments: list[Assignment] = []
        self.functions: list[tuple[FunctionNode, Frame]] = []
        self.classes: dict[str, ast.ClassDef] = {}
        self.scopes: dict[ast.AST, Scope] = {tree: self.scope}
        self.parents: dict[ast.AST, ast.AST] = {}


def walk(tree: ast.Module) -> Notes:
    """Walk a whole file once."""
    notes = Notes(tree)
    _Walk(notes).block(tree.body, Frame("module", tree, None, notes.scope))
    return notes


class _Walk:
    """Statements are walked block by block, expressions with a stack: no depth is too deep."""

    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self.calls = notes.every_call
        self.parents = notes.parents

    def block(self, statements: list[ast.stmt], frame: Frame) -> None:
        for statement in statements:
            handler = _STATEMENTS.get(statement.__class__)
            if handler is not None:
                handler(self, statement, frame)
            else:
                self.expressions(statement, frame, statement)

    def expressions(self, top: ast.AST | None, frame: Frame, statement: ast.stmt) -> None:
        """Note the calls below a node, and the parents of all but names; inner scopes get frames of their own."""
        if top is None or top.__class__ in LEAVES:
            return
        calls, parents = self.calls, self.parents
        later: list[tuple[ast.AST, Frame]] = [(top, frame)]
        while later:
            top, here = later.pop()
            stack = [top]
            push, pop = stack.append, stack.pop
            while stack:
                node: Any = pop()
                kind = node.__class__
                if kind is ast.Call:
                    calls.append(Call(node, here, statement))
                elif kind in INNER_SCOPES and node not in self.notes.scopes:
                    later.append((node, self.inner(node, here)))
                    continue
                elif kind is ast.NamedExpr:
                    self.bind_target(node.target, node.value, here)
                for field in CHILDREN[kind]:
                    value = getattr(node, field)
                    if value.__class__ is list:
                        for child in value:
                            if child.__class__ not in LEAVES:
                                parents[child] = node
                                push(child)
                    elif value.__class__ not in LEAVES:
                        parents[value] = node
                        push(value)

    def inner(self, node: ast.AST, frame: Frame) -> Frame:
        """The frame of a lambda or a comprehension, with its own names bound."""
        scope = Scope(node, frame.scope)
        self.notes.scopes[node] = scope
        if isinstance(node, ast.Lambda):
            inside = Frame("lambda", node, frame, scope)
            self.bind_parameters(node.args, inside)
            return inside
        inside = Frame("comprehension", node, frame, scope)
        assert isinstance(node, COMPREHENSIONS)
        for generator in node.generators:
            self.bind_target(generator.target, None, inside)
        return inside

    def bind_parameters(self, arguments: ast.arguments, frame: Frame) -> None:
        named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        for each in named:
            if each is not None:
                frame.scope.bind(each.arg, Binding("param", each, frame))

    def bind_target(self, target: ast.expr, value: ast.expr | None, frame: Frame) -> None:
        """Bind every name of an assignment's target; only a lone name keeps the value."""
        if isinstance(target, ast.Name):
            kind: Any = "assign" if value is not None else "other"
            frame.scope.bind(target.id, Binding(kind, target, frame, value=value))
        elif isinstance(target, ast.Tuple | ast.List):
            for each in target.elts:
                self.bind_target(each, None, frame)
        elif isinstance(target, ast.Starred):
            self.bind_target(target.value, None, frame)

    def assign(self, node: ast.Assign, frame: Frame) -> None:
        for target in node.targets:
            self.bind_target(target, node.value, frame)
            if isinstance(target, ast.Attribute | ast.Subscript):
                self.notes.assignments.append(Assignment(target, node.value, frame, node))
            elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                for one, value in zip(target.elts, node.value.elts, strict=False):
                    if isinstance(one, ast.Attribute | ast.Subscript):
                        self.notes.assignments.append(Assignment(one, value, frame, node))
        self.expressions(node, frame, node)

    def annotated(self, node: ast.AnnAssign, frame: Frame) -> None:
        if node.value is not None:
            self.bind_target(node.target, node.value, frame)
            if isinstance(node.target, ast.Attribute):
                self.notes.assignments.append(Assignment(node.target, node.value, frame, node))
        self.expressions(node, frame, node)

    def augmented(self, node: ast.AugAssign, frame: Frame) -> None:
        self.bind_target(node.target, None, frame)
        self.expressions(node, frame, node)

    def imported(self, node: ast.Import, frame: Frame) -> None:
        for alias in node.names:
            bound = alias.asname or alias.name.partition(".")[0]
            dotted = alias.name if alias.asname else bound
            frame.scope.bind(bound, Binding("import", node, frame, dotted=dotted))

    def imported_from(self, node: ast.ImportFrom, frame: Frame) -> None:
        source = "." * node.level + (node.module or "")
        for alias in node.names:
            if alias.name == "*":
                self.notes.scope.stars.append(canonical(source))
                continue
            dotted = f"{source}{'' if source.endswith('.') else '.'}{alias.name}"
            frame.scope.bind(alias.asname or alias.name, Binding("import", node, frame, dotted=dotted))

    def function(self, node: FunctionNode, frame: Frame) -> None:
        frame.scope.bind(node.name, Binding("def", node, frame))
        self.notes.functions.append((node, frame))
        for outside in (*node.decorator_list, node.args):
            self.expressions(outside, frame, node)
        scope = Scope(node, frame.scope)
        self.notes.scopes[node] = scope
        inside = Frame("function", node, frame, scope)
        self.bind_parameters(node.args, inside)
        self.block(node.body, inside)

    def class_(self, node: ast.ClassDef, frame: Frame) -> None:
        frame.scope.bind(node.name, Binding("class", node, frame))
        self.notes.classes.setdefault(node.name, node)
        for outside in (*node.decorator_list, *node.bases, *(each.value for each in node.keywords)):
            self.expressions(outside, frame, node)
        scope = Scope(node, frame.scope, is_class=True)
        self.notes.scopes[node] = scope
        self.block(node.body, Frame("class", node, frame, scope))

    def if_(self, node: ast.If, frame: Frame) -> None:
        """A chain of `elif` is walked in a loop: it may be thousands long."""
        while True:
            self.expressions(node.test, frame, node)
            self.block(node.body, Frame("if", node, frame, frame.scope))
            if not node.orelse:
                return
            frame = Frame("if", node, frame, frame.scope, "orelse")
            if len(node.orelse) > 1 or not isinstance(node.orelse[0], ast.If):
                self.block(node.orelse, frame)
                return
            node = node.orelse[0]

    def for_(self, node: ast.For | ast.AsyncFor, frame: Frame) -> None:
        self.bind_target(node.target, None, frame)
        self.expressions(node.iter, frame, node)
        self.parents[node.iter] = node
        self.loop(node, frame)

    def while_(self, node: ast.While, frame: Frame) -> None:
        self.expressions(node.test, frame, node)
        self.loop(node, frame)

    def loop(self, node: ast.For | ast.AsyncFor | ast.While, frame: Frame) -> None:
        self.block(node.body, Frame("loop", node, frame, frame.scope))
        self.block(node.orelse, frame)

    def with_(self, node: ast.With | ast.AsyncWith, frame: Frame) -> None:
        for item in node.items:
            self.expressions(item.context_expr, frame, node)
            self.parents[item.context_expr] = node
            if item.optional_vars is not None:
                self.bind_target(item.optional_vars, None, frame)
        self.block(node.body, Frame("with", node, frame, frame.scope))

    def try_(self, node: ast.Try, frame: Frame) -> None:
        self.block(node.body, Frame("try", node, frame, frame.scope))
        for handler in node.handlers:
            inside = Frame("try", node, frame, frame.scope, "handlers")
            if handler.name:
                frame.scope.bind(handler.name, Binding("other", handler, frame))
            self.expressions(handler.type, frame, node)
            self.block(handler.body, inside)
        self.block(node.orelse, Frame("try", node, frame, frame.scope, "orelse"))
        self.block(node.finalbody, Frame("try", node, frame, frame.scope, "finalbody"))

    def match(self, node: ast.Match, frame: Frame) -> None:
        self.expressions(node.subject, frame, node)
        for position, case in enumerate(node.cases):
            for pattern in ast.walk(case.pattern):
                name = getattr(pattern, "name", None) or getattr(pattern, "rest", None)
                if isinstance(name, str):
                    frame.scope.bind(name, Binding("other", pattern, frame))
            self.expressions(case.guard, frame, node)
            self.block(case.body, Frame("if", node, frame, frame.scope, f"case{position}"))

    def elsewhere(self, node: ast.Global | ast.Nonlocal, frame: Frame) -> None:
        scope = frame.scope
        for name in node.names:
            if isinstance(node, ast.Global):
                scope.elsewhere[name] = scope.module
            elif scope.parent is not None:
                found = scope.parent.find(name)
                if found:
                    scope.elsewhere[name] = found[0]


_STATEMENTS: dict[type[ast.stmt], Callable[[_Walk, Any, Frame], None]] = {
    ast.Assign: _Walk.assign,
    ast.AnnAssign: _Walk.annotated,
    ast.AugAssign: _Walk.augmented,
    ast.Import: _Walk.imported,
    ast.ImportFrom: _Walk.imported_from,
    ast.FunctionDef: _Walk.function,
    ast.AsyncFunctionDef: _Walk.function,
    ast.ClassDef: _Walk.class_,
    ast.If: _Walk.if_,
    ast.For: _Walk.for_,
    ast.AsyncFor: _Walk.for_,
    ast.While: _Walk.while_,
    ast.With: _Walk.with_,
    ast.AsyncWith: _Walk.with_,
    ast.Try: _Walk.try_,
    ast.Match: _Walk.match,
    ast.Global: _Walk.elsewhere,
    ast.Nonlocal: _Walk.elsewhere,
}
if hasattr(ast, "TryStar"):
    _STATEMENTS[ast.TryStar] = _Walk.try_
