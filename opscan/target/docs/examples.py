"""The examples that documentation gives of a class: what it is constructed with, and what it is then called with."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from opscan.target.docs.evaluate import Evaluator, Later, Returned, UnreadableError, import_names
from opscan.target.docs.sources import Source, sources_for

_MOST = 6

Call = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(slots=True)
class _Shown:
    """A construction in an example, and the calls of what it made, each with the names as they were then."""

    construction: Later
    calls: list[Later] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Example:
    """One construction as `place` shows it. Both functions evaluate it anew, each time."""

    place: str
    arguments: Callable[[], Call]
    calls: tuple[Callable[[], Call], ...]


def examples_of(shown: Callable[..., object]) -> tuple[Example, ...]:
    """The examples that construct `shown`, those that also call it first; nothing is constructed yet."""
    package = getattr(shown, "__module__", "").partition(".")[0]
    found = [example for source in sources_for(shown) for example in _examples_in(source, shown, Evaluator(package))]
    return tuple(sorted(found, key=lambda example: not example.calls)[:_MOST])


def _examples_in(source: Source, shown: Callable[..., object], evaluator: Evaluator) -> Iterator[Example]:
    reader = _Reader(shown, evaluator, dict(vars(sys.modules[shown.__module__])) if source.near else {})
    for statement in source.statements:
        reader.read(statement)
    for each in reader.found:
        calls = tuple(_arguments(evaluator, call) for call in each.calls)
        yield Example(source.place, _arguments(evaluator, each.construction), calls)


def _arguments(evaluator: Evaluator, later: Later) -> Callable[[], Call]:
    call = later.node
    assert isinstance(call, ast.Call)
    return lambda: evaluator.arguments(call, later.names)


class _Reader:
    """Goes through the statements of an example in order, and keeps track of what each name stands for."""

    def __init__(self, shown: Callable[..., object], evaluator: Evaluator, names: dict[str, object]) -> None:
        self.shown, self.evaluator, self.names = shown, evaluator, names
        self.found: list[_Shown] = []

    def read(self, statement: ast.stmt) -> None:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            self.names = {**self.names, **import_names(statement)}
            return
        if isinstance(statement, ast.FunctionDef):
            self._define(statement)
            return
        for call in self._calls_in(statement):
            self._note(call)
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            self._assign(statement.targets[0], statement.value)
        elif isinstance(statement, (ast.With, ast.For, ast.If, ast.Try)):
            if isinstance(statement, ast.For) and isinstance(statement.target, ast.Name):  # once, with the first
                self.names = {**self.names, statement.target.id: Later(statement.iter, self.names, 0)}
            for each in statement.body:
                self.read(each)

    def _define(self, function: ast.FunctionDef) -> None:
        last = function.body[-1]
        if isinstance(last, ast.Return) and last.value is not None and not function.args.args:
            held: object = Returned(Later(last.value, self.names))
            self.names = {**self.names, function.name: held}

    def _calls_in(self, statement: ast.stmt) -> list[ast.Call]:
        if isinstance(statement, (ast.With, ast.For, ast.If, ast.Try, ast.ClassDef)):
            return []
        return [node for node in ast.walk(statement) if isinstance(node, ast.Call)][::-1]  # the inner ones first

    def _note(self, call: ast.Call) -> None:
        if self._is_shown(call.func):
            self.found.append(_Shown(Later(call, self.names)))
        elif (made := self._made_by(call.func)) is not None:
            made.calls.append(Later(call, self.names))

    def _is_shown(self, node: ast.expr) -> bool:
        return self._object(node) is self.shown

    def _object(self, node: ast.expr) -> object:
        """What a name, or a dotted one, stands for; None where that is not to be told."""
        if not isinstance(node, (ast.Name, ast.Attribute)):
            return None
        root = node
        while isinstance(root, ast.Attribute):
            root = root.value  # type: ignore[assignment]  # any expression may stand there: checked below
        if not isinstance(root, ast.Name) or isinstance(self.names.get(root.id), (Later, Returned, _Shown)):
            return None
        try:
            return self.evaluator.value(node, self.names)
        except (UnreadableError, AttributeError):
            return None

    def _made_by(self, function: ast.expr) -> _Shown | None:
        """The construction whose result is called: by its name, as its `forward`, or right where it was made."""
        if isinstance(function, ast.Attribute) and function.attr == "forward":
            function = function.value
        if isinstance(function, ast.Name):
            held = self.names.get(function.id)
            return held if isinstance(held, _Shown) else None
        return self._construction(function)

    def _construction(self, node: ast.expr) -> _Shown | None:
        """The construction an expression is, methods such as `.eval()` behind it left aside."""
        while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not self._is_shown(node.func):
            node = node.func.value
        return next((each for each in self.found if each.construction.node is node), None)

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        made = self._construction(value)
        if isinstance(target, ast.Name):
            held: object = made or Later(value, self.names)
            if isinstance(value, ast.Name) and isinstance(self.names.get(value.id), _Shown):
                held = self.names[value.id]
            self.names = {**self.names, target.id: held}
        elif isinstance(target, ast.Tuple) and all(isinstance(each, ast.Name) for each in target.elts):
            self._unpack([each.id for each in target.elts if isinstance(each, ast.Name)], value)

    def _unpack(self, targets: list[str], value: ast.expr) -> None:
        parts: Mapping[str, object] = {name: Later(value, self.names, at) for at, name in enumerate(targets)}
        self.names = {**self.names, **parts}
