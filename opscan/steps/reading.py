"""How a function reads one of its parameters: as it is, or taken apart. Read from the source; nothing is run.

    x, y = batch                    a tuple of x and y
    batch["image"]                  a mapping with that key
    data.x, data.edge_index         an object with those attributes
    self.model(**batch)             the keyword arguments of another call
    for x, y in loader              an iterable of such

What is handed on to another function of the user's (`self.shared_step(batch)`) is read there.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import FunctionType, MethodType
from typing import Any, Literal

import torch
from torch import nn

Kind = Literal["whole", "tuple", "mapping", "object", "keywords", "iterable"]

_DEEPEST = 4  # calls that are followed, one from the other
_OF_MAPPINGS = {"items", "keys", "values", "get", "pop", "update", "copy", "setdefault"}
_OF_TENSORS = frozenset(dir(torch.Tensor))
_LIBRARIES = {
    *("torch", "torchvision", "torch_geometric", "transformers", "timm", "lightning", "pytorch_lightning", "keras"),
    *sys.stdlib_module_names,
}
"""What they do with a part of a batch says nothing about the batch."""


@dataclass(frozen=True, slots=True)
class Part:
    """What is taken out: its index, key or attribute, the name the code gives it, and how it is read in turn."""

    key: int | str
    name: str
    reading: Reading


@dataclass(frozen=True, slots=True)
class Reading:
    """How a value is read. `callee` is where the keyword arguments go: `self.model`."""

    kind: Kind = "whole"
    parts: tuple[Part, ...] = ()
    callee: str = ""


WHOLE = Reading()


def read_parameter(
    function: Callable[..., Any], name: str, known: Mapping[str, object] | None = None, depth: int = _DEEPEST
) -> Reading:
    """How `function`, a function or a bound method, reads its parameter `name`; WHOLE where the source is not known.

    `known` are values of its other parameters: what is handed on to a model is read in the model's forward.
    """
    code = _source_of(function)
    return WHOLE if code is None or depth == 0 else _read(_Scope(function, code, depth, known or {}), name)


@dataclass(frozen=True, slots=True)
class _Scope:
    """A function, its parsed source, how many calls may still be followed from it, and parameters that are known.

    `names` are being read.
    """

    function: Callable[..., Any]
    code: ast.FunctionDef | ast.AsyncFunctionDef
    depth: int
    known: Mapping[str, object]
    names: frozenset[str] = frozenset()

    def reading(self, name: str) -> _Scope:
        """While a name is read: what it is made of may bear the same name."""
        return replace(self, names=self.names | {name})

    def called(self, node: ast.expr) -> Callable[..., Any] | None:
        """The user's function that an expression such as `self.step` or `helper` names."""
        parts = _dotted(node).split(".")
        owner = getattr(self.function, "__self__", None)
        function = inspect.unwrap(getattr(self.function, "__func__", self.function))
        owned = {self.code.args.args[0].arg: owner} if owner is not None else {}
        known = {**getattr(function, "__globals__", {}), **owned, **self.known}
        found = known.get(parts[0])
        for part in parts[1:]:
            found = getattr(found, part, None)
        found = found.forward if isinstance(found, nn.Module) else found
        is_function = isinstance(found, FunctionType | MethodType)
        return found if is_function and str(found.__module__).partition(".")[0] not in _LIBRARIES else None


def _source_of(function: Callable[..., Any]) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    first = tree.body[0]
    return first if isinstance(first, ast.FunctionDef | ast.AsyncFunctionDef) else None


@dataclass(slots=True)
class _Uses:
    """What is done with a name."""

    keys: dict[int | str, str] = field(default_factory=dict)
    unpacked: list[ast.expr] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)
    passed: list[tuple[ast.Call, int | str]] = field(default_factory=list)
    callee: str = ""
    element: ast.expr | None = None


def _read(scope: _Scope, name: str) -> Reading:
    scope = scope.reading(name)
    uses = _uses_of(scope.code, name)
    texts = {key: given for key, given in uses.keys.items() if isinstance(key, str)}
    if texts:
        return _joined(Reading("mapping", tuple(_part(scope, *each) for each in texts.items())), scope, uses)
    if uses.unpacked:
        return Reading("tuple", tuple(_element(scope, at, each) for at, each in enumerate(uses.unpacked)))
    places = _by_place(uses.keys, name)
    if len(places) > 1:  # x[0] alone may as well be the first row of a tensor
        return Reading("tuple", tuple(_part(scope, at, given) for at, given in enumerate(places)))
    if uses.attributes:
        return _joined(Reading("object", tuple(_part(scope, *each) for each in uses.attributes.items())), scope, uses)
    if uses.callee:
        return Reading("keywords", callee=uses.callee)
    if uses.element is not None:
        return Reading("iterable", (_element(scope, 0, uses.element),))
    return next(filter(lambda reading: reading is not WHOLE, _read_elsewhere(scope, uses)), WHOLE)


def _joined(reading: Reading, scope: _Scope, uses: _Uses) -> Reading:
    """With the keys or attributes that are read where it is handed on to."""
    parts = {part.key: part for part in reading.parts}
    for other in _read_elsewhere(scope, uses):
        if other.kind == reading.kind:
            parts = {part.key: part for part in other.parts} | parts
    return Reading(reading.kind, tuple(parts.values()))


def _read_elsewhere(scope: _Scope, uses: _Uses) -> Iterator[Reading]:
    """How the functions read it that it is handed on to."""
    for call, place in uses.passed:
        called = scope.called(call.func)
        if called is None:
            continue
        try:
            names = list(inspect.signature(called).parameters)
        except (TypeError, ValueError):
            continue
        name = place if isinstance(place, str) else names[place] if place < len(names) else ""
        if name in names:
            yield read_parameter(called, name, depth=scope.depth - 1)


def _part(scope: _Scope, key: int | str, name: str) -> Part:
    is_read = name.isidentifier() and name != "_" and name not in scope.names
    return Part(key, name, _read(scope, name) if is_read else WHOLE)


def _element(scope: _Scope, at: int, node: ast.expr) -> Part:
    """An element that is unpacked: a name, or a pattern of names in turn."""
    node = node.value if isinstance(node, ast.Starred) else node
    if isinstance(node, ast.Tuple | ast.List):
        parts = tuple(_element(scope, place, each) for place, each in enumerate(node.elts))
        return Part(at, f"part{at}", Reading("tuple", parts))
    return _part(scope, at, node.id if isinstance(node, ast.Name) else f"part{at}")


def _by_place(keys: dict[int | str, str], name: str) -> list[str]:
    """The names of the elements of a tuple that is indexed; negative indices count from its end."""
    places = [key for key in keys if isinstance(key, int)]
    length = max((place + 1 for place in places if place >= 0), default=0) + sum(place < 0 for place in places)
    return [keys.get(at, keys.get(at - length, f"{name}{at}")) for at in range(length)]


def _uses_of(code: ast.AST, name: str) -> _Uses:
    uses = _Uses()
    for node in sorted(ast.walk(code), key=_position):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                _note_assigned(uses, target, node.value, name)
        elif isinstance(node, ast.For) and _is_about(node.iter, name):
            _note_loop(uses, node)
        elif isinstance(node, ast.Subscript) and _is(node.value, name):
            key = _constant(node.slice)
            if key is not None:
                uses.keys.setdefault(key, key if isinstance(key, str) else f"{name}{key}")
        elif isinstance(node, ast.Attribute) and _is(node.value, name):
            if node.attr not in _OF_TENSORS | _OF_MAPPINGS and not node.attr.startswith(
                "num_"
            ):  # counted from the rest
                uses.attributes.setdefault(node.attr, node.attr)
        elif isinstance(node, ast.Call):
            _note_call(uses, node, name)
    return uses


def _position(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def _note_assigned(uses: _Uses, target: ast.expr, value: ast.expr, name: str) -> None:
    if isinstance(target, ast.Tuple | ast.List):
        if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts):
            for each, part in zip(target.elts, value.elts, strict=True):
                _note_assigned(uses, each, part, name)
        elif _is_about(value, name):
            uses.unpacked = uses.unpacked or list(target.elts)
    elif isinstance(target, ast.Name):
        taken = _stripped(value)
        if isinstance(taken, ast.Subscript) and _is(taken.value, name):
            key = _constant(taken.slice)
            if key is not None and target.id != name:
                uses.keys[key] = key if isinstance(key, str) else target.id


def _note_loop(uses: _Uses, loop: ast.For) -> None:
    element: ast.expr = loop.target
    counted = isinstance(loop.iter, ast.Call) and _dotted(loop.iter.func) == "enumerate"
    if counted and isinstance(element, ast.Tuple) and len(element.elts) == 2:
        element = element.elts[1]
    uses.element = uses.element or element


def _note_call(uses: _Uses, call: ast.Call, name: str) -> None:
    for at, argument in enumerate(call.args):
        if _is(argument, name):
            uses.passed.append((call, at))
    for keyword in call.keywords:
        if _is(keyword.value, name):
            if keyword.arg is None:
                uses.callee = uses.callee or _dotted(call.func)
            else:
                uses.passed.append((call, keyword.arg))


def _is(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _is_about(node: ast.expr, name: str) -> bool:
    """Whether an expression is the value itself, moved or copied: `batch.to(d)`, `(t.to(d) for t in batch)`."""
    node = _stripped(node)
    if isinstance(node, ast.GeneratorExp | ast.ListComp):
        return _is_about(node.generators[0].iter, name)
    if isinstance(node, ast.Call) and node.args and not isinstance(node.func, ast.Subscript):
        return any(_is_about(argument, name) for argument in node.args)
    return _is(node, name)


def _stripped(node: ast.expr) -> ast.expr:
    """`x.to(device).float()` without its methods."""
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _OF_TENSORS:
        if isinstance(node.func.value, ast.Name) and node.args and node.func.value.id in ("torch", "self"):
            break
        node = node.func.value
    return node


def _constant(node: ast.expr) -> int | str | None:
    try:
        value = ast.literal_eval(node)
    except (ValueError, SyntaxError, TypeError):
        return None
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        owner = _dotted(node.value)
        return f"{owner}.{node.attr}" if owner else ""
    return node.id if isinstance(node, ast.Name) else ""
