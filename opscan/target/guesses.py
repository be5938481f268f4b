"""A first value for a required constructor parameter: from its name, its annotation, and what it is passed on as."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import sys
import typing
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import Enum
from textwrap import dedent
from types import SimpleNamespace, UnionType

from torch import nn

from opscan.target.arguments import assumed_value, signature_of, unfilled
from opscan.target.wellknown import UNKNOWN, well_known

_DEEPEST = 3  # calls a parameter is followed through, and modules made inside modules
_PLAIN: dict[object, object] = {int: 2, float: 0.1, bool: False, str: ""}


def guessed_value(function: Callable[..., object], parameter: inspect.Parameter, depth: int = 0) -> object:
    """A value to begin with, or UNKNOWN where neither name nor annotation nor the source says anything."""
    guesses = (
        assumed_value(function, parameter),
        *(_of_kind(kind, depth) for kind in _kinds(parameter.annotation)),
        _by_last_words(parameter),
        _named_like(function, parameter.name, depth),
        _passed_on(function, parameter.name, depth),
        next((_PLAIN[kind] for kind in _kinds(parameter.annotation) if kind in _PLAIN), UNKNOWN),
        _by_use(function, parameter),
    )
    return next((guess for guess in guesses if guess is not UNKNOWN), UNKNOWN)


def _kinds(annotation: object) -> Iterator[object]:
    """The annotation, or the members of a union."""
    if typing.get_origin(annotation) in (typing.Union, UnionType):
        yield from (kind for kind in typing.get_args(annotation) if kind is not type(None))
    elif annotation is not UNKNOWN:
        yield annotation


def _of_kind(kind: object, depth: int) -> object:
    """A value of a closed type: the first of a Literal or Enum, a class asked for, a module or dataclass made."""
    if typing.get_origin(kind) is typing.Literal:
        return typing.get_args(kind)[0]
    if typing.get_origin(kind) is type:
        wanted = typing.get_args(kind)[0]
        return wanted if isinstance(wanted, type) and wanted is not nn.Module else UNKNOWN
    if not isinstance(kind, type) or depth >= _DEEPEST:
        return UNKNOWN
    if issubclass(kind, Enum):
        return next(iter(kind), UNKNOWN)
    if (issubclass(kind, nn.Module) and kind is not nn.Module) or dataclasses.is_dataclass(kind):
        return made_part(kind, depth + 1)
    return UNKNOWN


def made_part(kind: type, depth: int) -> object:
    """An instance of a class that a constructor asks for, its own arguments guessed; UNKNOWN if that fails."""
    signature = signature_of(kind)
    if signature is None or depth > _DEEPEST:
        return UNKNOWN
    names = unfilled(signature, {})
    values = {name: guessed_value(kind, signature.parameters[name], depth) for name in names}
    if UNKNOWN in values.values():
        return UNKNOWN
    with suppress(Exception):  # an abstract class, or arguments that do not fit it
        return kind(**values)
    return UNKNOWN


def _by_last_words(parameter: inspect.Parameter) -> object:
    """`image_patch_size` is a `patch_size`, `cls_depth` a `depth`, and `strides` are several of a `stride`."""
    words = parameter.name.lower().split("_")
    tails = ["_".join(words[start:]) for start in range(1, len(words))]
    found = (well_known(tail, parameter.annotation) for tail in tails)
    known = next((value for value in found if value is not UNKNOWN), UNKNOWN)
    if known is not UNKNOWN or not words[-1].endswith("s"):
        return known
    one = well_known(parameter.name[:-1], parameter.annotation)
    return [one] * 4 if isinstance(one, (int, float)) else one


def _named_like(function: Callable[..., object], name: str, depth: int) -> object:
    """A class of the same module, or one it imports, that goes by the parameter's name: `encoder` takes an Encoder."""
    if depth >= _DEEPEST or not name.islower():
        return UNKNOWN
    key = name.replace("_", "")
    module = vars(sys.modules.get(getattr(function, "__module__", ""), typing))
    classes = {
        each: value
        for each, value in module.items()
        if isinstance(value, type) and value is not function and issubclass(value, nn.Module)
    }
    own = [(each, value) for each, value in classes.items() if value.__module__ != nn.Module.__module__]
    fitting = [value for each, value in own if len(key) > 3 and each.lower().endswith(key)]
    made = (made_part(kind, depth + 1) for kind in fitting)
    return next((value for value in made if value is not UNKNOWN), UNKNOWN)


def _by_use(function: Callable[..., object], parameter: inspect.Parameter) -> object:
    """What the class does with it: a module that hands on where it is called, a configuration where it is read from.

    A small number where it is just used, and UNKNOWN where it is not. See complaints for what becomes of them.
    """
    name, uses = parameter.name, _uses(function, parameter.name)
    if nn.Module in _kinds(parameter.annotation) or uses & {"called", "self called"}:
        return nn.Identity()
    if "may be none" in uses:
        return None
    if "read from" in uses:
        return _configuration(function, name)
    return 2 if "used" in uses and parameter.annotation is UNKNOWN else UNKNOWN


def _configuration(function: Callable[..., object], name: str) -> object:
    """An instance of the class of the same module whose name says so, or an empty namespace to be filled."""
    module = vars(sys.modules.get(getattr(function, "__module__", ""), typing))
    word = name.lower().rpartition("_")[2]
    fitting = [kind for each, kind in module.items() if isinstance(kind, type) and each.lower().endswith(word)]
    made = (made_part(kind, 1) for kind in fitting if not issubclass(kind, nn.Module))
    return next((each for each in made if each is not UNKNOWN), SimpleNamespace())


def _uses(function: Callable[..., object], name: str) -> set[str]:
    """How the constructor uses a parameter: `called`, `read from` (an attribute), or `used` in another way."""
    found: set[str] = set()
    tree = _source(function.__init__ if isinstance(function, type) else function)  # type: ignore[misc]  # its own
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            found.add("called")
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name:
            found.add("read from")
        elif isinstance(node, ast.Compare) and _is_asked_for_none(node, name):
            found.add("may be none")
        elif isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load):
            found.add("used")
    if isinstance(function, type) and "used" in found and _is_called_by(function, name):
        found.add("self called")
    return found


def _is_asked_for_none(node: ast.Compare, name: str) -> bool:
    about = ast.unparse(node.left) in (name, f"self.{name}")
    return about and any(isinstance(each, ast.Constant) and each.value is None for each in node.comparators)


def _is_called_by(kind: type, name: str) -> bool:
    """Whether the forward calls what the constructor keeps under the parameter's name."""
    calls = (node.func for node in ast.walk(_source(getattr(kind, "forward", None))) if isinstance(node, ast.Call))
    return any(ast.unparse(each) == f"self.{name}" for each in calls)


def _source(code: object) -> ast.AST:
    try:
        return ast.parse(dedent(inspect.getsource(code)))  # type: ignore[arg-type]  # raises TypeError for what has none
    except (OSError, TypeError, SyntaxError):
        return ast.Module([], [])


def _passed_on(function: Callable[..., object], name: str, depth: int) -> object:
    """What it is called where the constructor hands it on: `Transformer(dim, cls_depth)` has a well-known `depth`."""
    if depth >= _DEEPEST:
        return UNKNOWN
    found = (guessed_value(callee, each, depth + 1) for callee, each in _callees(function, name))
    return next((value for value in found if value is not UNKNOWN), UNKNOWN)


def _callees(function: Callable[..., object], name: str) -> Iterator[tuple[Callable[..., object], inspect.Parameter]]:
    code = function.__init__ if isinstance(function, type) else function  # type: ignore[misc]  # of that very class
    tree = _source(code)
    names = {**vars(typing), **getattr(code, "__globals__", {})}
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        callee = _resolved(call.func, names)
        signature = signature_of(callee) if callable(callee) else None
        if signature is not None and (taken := _taken_as(call, name, signature)):
            yield typing.cast("Callable[..., object]", callee), taken


def _resolved(node: ast.expr, names: dict[str, object]) -> object:
    if isinstance(node, ast.Name):
        return names.get(node.id)
    return getattr(_resolved(node.value, names), node.attr, None) if isinstance(node, ast.Attribute) else None


def _taken_as(call: ast.Call, name: str, signature: inspect.Signature) -> inspect.Parameter | None:
    """The callee's parameter that takes the name as it is."""
    if any(isinstance(each, ast.Starred) for each in call.args):
        return None
    parameters = list(signature.parameters.values())
    for position, argument in enumerate(call.args[: len(parameters)]):
        if isinstance(argument, ast.Name) and argument.id == name:
            return parameters[position]
    for keyword in call.keywords:
        if isinstance(keyword.value, ast.Name) and keyword.value.id == name and keyword.arg in signature.parameters:
            return signature.parameters[str(keyword.arg)]
    return None
