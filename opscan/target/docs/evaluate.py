"""Expressions of an example, evaluated: literals, names, tensors by their shape, and modules by their class.

A tensor becomes an InputSpec, with no values. What an example calls is called only if it makes a part of a model: a
class of modules or of configuration, or a function of the same package. Nothing pretrained is asked for.
"""

from __future__ import annotations

import ast
import importlib
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass, replace
from enum import Enum
from types import ModuleType
from typing import Any

import torch
from torch import nn

from opscan.target.arguments import PRETRAINED
from opscan.target.inputs import DTYPES, InputSpec, make_inputs

_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow,
}  # fmt: skip
_SIGNS: dict[type, Callable[[Any], Any]] = {
    ast.USub: operator.neg, ast.Not: operator.not_, ast.UAdd: operator.pos, ast.Invert: operator.invert,
}  # fmt: skip
_BUILTINS = {kind.__name__: kind for kind in (dict, list, tuple, set, int, float, str, bool, range, len, min, max, sum)}
_DTYPE_METHODS = {"float": "float32", "long": "int64", "int": "int32", "bool": "bool", "double": "float64"}
_SAME = {"cuda", "to", "cpu", "eval", "train", "half", "requires_grad_", "contiguous", "clone", "detach", "type"}
_FILLED = {"zeros": "float32", "ones": "float32", "empty": "float32", "randn": "float32", "rand": "float32"}
_OF_MODELS = ("torchvision", "timm")  # whose functions make models
_LARGEST_POWER = 64


class UnreadableError(Exception):
    """The expression hangs on something an example's text does not tell."""


@dataclass(frozen=True, slots=True)
class Later:
    """An assigned expression, with the names as they were then."""

    node: ast.expr
    names: Mapping[str, object]
    position: int | None = None


@dataclass(frozen=True, slots=True)
class Returned:
    """A function that an example defines without parameters: what it returns."""

    held: Later


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Evaluates in a scope of names; `package` is the one whose functions may be called."""

    package: str

    def value(self, node: ast.expr, names: Mapping[str, object]) -> Any:
        """The value of an expression. Raises UnreadableError where that is not to be told, and what it calls raises."""
        read = getattr(self, f"_{type(node).__name__.lower()}", None)
        if read is None:
            raise UnreadableError(ast.unparse(node))
        return read(node, names)

    def arguments(self, call: ast.Call, names: Mapping[str, object]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The values a call is written with."""
        args = tuple(self._spread(call.args, names))
        kwargs: dict[str, Any] = {}
        for keyword in call.keywords:
            held = self.value(keyword.value, names)
            kwargs.update({keyword.arg: held} if keyword.arg else held)
        return args, {name: _not_pretrained(name, held) for name, held in kwargs.items()}

    def _constant(self, node: ast.Constant, names: Mapping[str, object]) -> Any:
        return node.value

    def _name(self, node: ast.Name, names: Mapping[str, object]) -> Any:
        held = names.get(node.id, _BUILTINS.get(node.id, UnreadableError))
        if isinstance(held, Later):
            made = self.value(held.node, held.names)
            held = made if held.position is None else made[held.position]
        if held is UnreadableError:
            raise UnreadableError(node.id)
        return held

    def _tuple(self, node: ast.Tuple, names: Mapping[str, object]) -> Any:
        return tuple(self._spread(node.elts, names))

    def _list(self, node: ast.List, names: Mapping[str, object]) -> Any:
        return self._spread(node.elts, names)

    def _set(self, node: ast.Set, names: Mapping[str, object]) -> Any:
        return set(self._spread(node.elts, names))

    def _spread(self, nodes: list[ast.expr], names: Mapping[str, object]) -> list[Any]:
        values: list[Any] = []
        for node in nodes:
            starred = isinstance(node, ast.Starred)
            held = self.value(node.value if isinstance(node, ast.Starred) else node, names)
            values += held if starred else [held]
        return values

    def _dict(self, node: ast.Dict, names: Mapping[str, object]) -> Any:
        pairs = zip(node.keys, node.values, strict=True)
        return {self.value(key, names): self.value(held, names) for key, held in pairs if key is not None}

    def _unaryop(self, node: ast.UnaryOp, names: Mapping[str, object]) -> Any:
        held = self.value(node.operand, names)
        if isinstance(held, InputSpec):
            return held
        return _SIGNS[type(node.op)](held)

    def _binop(self, node: ast.BinOp, names: Mapping[str, object]) -> Any:
        left, right = self.value(node.left, names), self.value(node.right, names)
        tensor = next((each for each in (left, right) if isinstance(each, InputSpec)), None)
        if tensor is not None:
            return replace(tensor, bound=None)
        if type(node.op) not in _OPERATORS or (isinstance(node.op, ast.Pow) and right > _LARGEST_POWER):
            raise UnreadableError(ast.unparse(node))
        return _OPERATORS[type(node.op)](left, right)

    def _compare(self, node: ast.Compare, names: Mapping[str, object]) -> Any:
        left = self.value(node.left, names)
        if isinstance(left, InputSpec):
            return replace(left, dtype="bool", bound=None)
        raise UnreadableError(ast.unparse(node))

    def _attribute(self, node: ast.Attribute, names: Mapping[str, object]) -> Any:
        owner = self.value(node.value, names)
        if isinstance(owner, (ModuleType, type)) or is_dataclass(owner):
            return getattr(owner, node.attr)
        raise UnreadableError(ast.unparse(node))

    def _call(self, node: ast.Call, names: Mapping[str, object]) -> Any:
        if isinstance(node.func, ast.Attribute):
            owner = self._owner(node.func, names)
            if isinstance(owner, (InputSpec, nn.Module)):
                return self._method(owner, node)
        called = self.value(node.func, names)
        if isinstance(called, Returned):
            return self.value(called.held.node, called.held.names)
        args, kwargs = self.arguments(node, names)
        name = getattr(called, "__name__", "")
        if called is not None and getattr(torch, name, None) is called and not isinstance(called, type):
            return _tensor(name, args, kwargs)
        if not self._makes_parts(called):
            raise UnreadableError(ast.unparse(node.func))
        return called(*map(real, args), **{name: real(held) for name, held in kwargs.items()})

    def _owner(self, node: ast.Attribute, names: Mapping[str, object]) -> object:
        try:
            return self.value(node.value, names)
        except UnreadableError:
            return None

    def _method(self, owner: InputSpec | nn.Module, node: ast.Call) -> Any:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if name in _SAME:
            return owner
        if isinstance(owner, InputSpec) and name in _DTYPE_METHODS:
            return replace(owner, dtype=_DTYPE_METHODS[name], bound=None if name in ("bool", "float") else owner.bound)
        raise UnreadableError(ast.unparse(node))

    def _makes_parts(self, called: Any) -> bool:
        home = (getattr(called, "__module__", None) or "").partition(".")[0]
        if isinstance(called, type):
            kinds = (nn.Module, Enum)
            return (
                called in _BUILTINS.values()
                or home == self.package
                or issubclass(called, kinds)
                or is_dataclass(called)
            )
        return callable(called) and (home in (self.package, *_OF_MODELS) or called in (len, min, max, sum))


def import_names(statement: ast.Import | ast.ImportFrom) -> dict[str, object]:
    """What an import of an example binds; a module that is not installed, or does not import, binds nothing."""
    found: dict[str, object] = {}
    for alias in statement.names:
        try:
            if isinstance(statement, ast.Import):
                module = importlib.import_module(alias.name)
                top = alias.name.partition(".")[0]
                found[alias.asname or top] = module if alias.asname else importlib.import_module(top)
            elif statement.module and not statement.level:
                found[alias.asname or alias.name] = getattr(importlib.import_module(statement.module), alias.name)
        except Exception:  # an example may name what is not here, and an import may raise anything
            continue
    return found


def real(value: Any) -> Any:
    """The value with its InputSpecs made into tensors."""
    if isinstance(value, InputSpec):
        return make_inputs([replace(value, name=None)]).args[0]
    if isinstance(value, dict):
        return {name: real(held) for name, held in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(real, value))
    return value


def _not_pretrained(name: str, value: object) -> object:
    if name not in PRETRAINED or not value:
        return value
    return False if isinstance(value, bool) else None


def _tensor(function: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> InputSpec:
    """The tensor that torch's factory of this name makes."""
    if function in ("randint", "full"):
        at = next((n for n, each in enumerate(args) if isinstance(each, (tuple, list))), None)
        shape = kwargs.get("size", args[at] if at is not None else None)
        bound = kwargs.get("high", args[at - 1] if at else None)
        if shape is None:
            raise UnreadableError(function)
        integer = function == "randint" or isinstance(bound, int)
        dtype = _dtype(kwargs, "int64" if integer else "float32")
        return _spec(shape, dtype, bound if function == "randint" and isinstance(bound, int) else None)
    if function in _FILLED:
        return _spec(kwargs.get("size", args), _dtype(kwargs, _FILLED[function]))
    if function in ("randperm", "arange") and len(args) == 1 and isinstance(args[0], int):
        return _spec(args, _dtype(kwargs, "int64"), args[0])
    if function in ("tensor", "as_tensor") and args and not isinstance(args[0], InputSpec):
        return _spec_of(torch.tensor(args[0], dtype=kwargs.get("dtype"), device="cpu"))
    if function.endswith("_like") and args and isinstance(args[0], InputSpec):
        return replace(args[0], dtype=_dtype(kwargs, args[0].dtype), bound=None)
    raise UnreadableError(function)


def _spec_of(tensor: torch.Tensor) -> InputSpec:
    dtype = str(tensor.dtype).removeprefix("torch.")
    whole = dtype.startswith(("int", "uint")) and tensor.numel() > 0
    return _spec(tensor.shape, dtype, int(tensor.max()) + 1 if whole and int(tensor.min()) >= 0 else None)


def _dtype(kwargs: dict[str, Any], otherwise: str) -> str:
    name = str(kwargs.get("dtype") or otherwise).removeprefix("torch.")
    return name if name in DTYPES else otherwise


def _spec(shape: Any, dtype: str, bound: int | None = None) -> InputSpec:
    sizes = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list, torch.Size)) else tuple(shape)
    if not all(isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in sizes):
        raise UnreadableError(str(shape))
    whole = dtype.startswith(("int", "uint"))
    return InputSpec(sizes, dtype, bound if whole and bound and bound > 0 else None)
