"""What a model or a step can reach, and so may change: objects with state of their own, and global tables."""

from __future__ import annotations

import functools
import sys
from collections import OrderedDict, UserDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import nn

CONTAINERS = (dict, OrderedDict, defaultdict, list, tuple, set, deque)
LONGEST = 10_000
"""Longer containers are data, not state: they are neither looked through nor copied."""

_LEFT_ALONE = (
    *(type, ModuleType, torch.Tensor, torch.Generator, torch.utils.data.DataLoader, torch.utils.data.Dataset),
    torch.jit.ScriptModule,  # see Note [TorchScript in a trace]
)
_STATE_OF_THE_LIBRARY = (SimpleNamespace, UserDict)
"""Classes of the standard library that hold a user's values; others (loggers, locks, paths) are left alone."""
_COMPILERS = {"triton"}
"""Packages whose objects are functions to be compiled: they hold the namespace of the module they are defined in."""


def items_of(container: Any) -> list[tuple[Any, Any]]:
    """(key, value) of a dict; (None, item) of any other container."""
    return list(container.items()) if isinstance(container, dict) else [(None, item) for item in container]


def holders(roots: Iterable[object]) -> Iterator[Any]:
    """All reachable from `roots` that has state of its own: modules, optimizers, meters, batches, functions."""
    todo, seen, met = list(roots), set[int](), []
    while todo:
        value = todo.pop()
        if id(value) in seen or isinstance(value, _LEFT_ALONE):
            continue
        seen.add(id(value))
        met.append(value)  # an object that stays keeps its id
        if isinstance(value, FunctionType | MethodType | functools.partial | BuiltinFunctionType):
            if isinstance(value, FunctionType) and not _is_library(value):
                yield value
            todo.extend(_referred_to(value))
        elif isinstance(value, CONTAINERS):
            todo.extend(item for _, item in items_of(value) if len(value) <= LONGEST)
        elif _has_state(value):
            yield value
            held = value.__dict__ if hasattr(value, "__dict__") else slots_of(value)
            todo.extend((*held.values(), *_called(value)))


def functions(
    roots: Iterable[object], classes: Iterable[type]
) -> Iterator[FunctionType | functools._lru_cache_wrapper[Any]]:
    """The user's functions that run when `roots` are called, or the forward of these classes; and caches of functions.

    From each it goes on to methods by their names, to functions of its module, and to those it closes over.
    """
    methods: dict[str, list[object]] = {}
    for cls in classes:
        for name, member in vars(cls).items():
            methods.setdefault(name, []).extend(_functions_in(member))
    todo, seen = [*roots, *methods.pop("forward", ()), *methods.pop("__call__", ())], set[int]()
    while todo:
        value = todo.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, functools._lru_cache_wrapper):
            yield value
            todo.append(value.__wrapped__)
        elif isinstance(value, FunctionType) and not _is_library(value):
            yield value
            todo.extend(enclosed_by(value).values())
            for name in names_in(value.__code__):
                todo.extend(methods.pop(name, ()))
                named = value.__globals__.get(name)
                if getattr(named, "__module__", None) == value.__module__:
                    todo.append(named)
        elif isinstance(value, functools.partial | MethodType):
            todo.extend(_referred_to(value))


def is_users_class(cls: type) -> bool:
    """Whether a class is the user's own, or of a package that builds on torch."""
    return _root(cls) not in _LIBRARIES and cls.__flags__ & _HEAP_TYPE != 0


_LIBRARIES = sys.stdlib_module_names | {"torch", "numpy", "opscan"}
_HEAP_TYPE = 1 << 9
"""The flag of classes that a class statement made, which attributes can be set on (CPython Include/object.h)."""


def _functions_in(member: object) -> list[object]:
    """The functions of a method, a property, or what else stands in a class."""
    if isinstance(member, staticmethod | classmethod):
        return [member.__func__]
    if isinstance(member, property):
        return [member.fget, member.fset]
    return [member.func] if isinstance(member, functools.cached_property) else [member]


def slots_of(value: object) -> dict[str, Any]:
    """What the slots of an object hold, those that are filled."""
    names = (name for cls in type(value).__mro__ for name in cls.__dict__.get("__slots__", ()))
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def _has_state(value: object) -> bool:
    if not isinstance(getattr(value, "__dict__", None), dict):
        return is_users_class(type(value)) and bool(type(value).__dict__.get("__slots__"))
    root = _root(type(value))
    return isinstance(value, _STATE_OF_THE_LIBRARY) or (root not in sys.stdlib_module_names and root not in _COMPILERS)


def _called(value: object) -> list[object]:
    """What an object that is called like a function refers to."""
    called = type(value).__dict__.get("__call__")
    return _referred_to(called) if isinstance(called, FunctionType) and not isinstance(value, nn.Module) else []


def _root(thing: Any) -> str:
    return str(getattr(thing, "__module__", None) or "").partition(".")[0]


def _is_library(function: FunctionType) -> bool:
    return _root(function) in _LIBRARIES


def _referred_to(function: Callable[..., Any]) -> list[object]:
    """What a callable can reach: its bound object, partial arguments, closure, defaults and the globals it names."""
    if isinstance(function, functools.partial):
        return [function.func, *function.args, *function.keywords.values()]
    if isinstance(function, MethodType):
        return [function.__self__, function.__func__]
    if not isinstance(function, FunctionType) or _is_library(function):
        return []
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    return [*defaults, *named_by(function).values()]


def named_by(function: FunctionType) -> dict[str, Any]:
    """What the function's code names outside itself: globals, and variables of the functions around it."""
    return _named_globals(function) | enclosed_by(function)


def enclosed_by(function: FunctionType) -> dict[str, Any]:
    """The variables of the functions around it that its code names, as far as they have a value yet."""
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # an empty cell
            found[name] = cell.cell_contents
    return found


def _named_globals(function: FunctionType) -> dict[str, Any]:
    return {name: function.__globals__[name] for name in names_in(function.__code__) if name in function.__globals__}


@functools.lru_cache(maxsize=4096)
def names_in(code: CodeType) -> tuple[str, ...]:
    """What code names outside itself, that of functions made within it included."""
    within = (name for each in code.co_consts if isinstance(each, CodeType) for name in names_in(each))
    return tuple(dict.fromkeys((*code.co_names, *within)))
