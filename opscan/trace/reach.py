"""What a model or a step can reach, and so may change: objects with state of their own, and global tables."""

from __future__ import annotations

import functools
import sys
from collections import OrderedDict, UserDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType, SimpleNamespace
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
    """All reachable from `roots` that has attributes of its own: modules, optimizers, schedulers, meters, batches."""
    todo, seen, met = list(roots), set[int](), []
    while todo:
        value = todo.pop()
        if id(value) in seen or isinstance(value, _LEFT_ALONE):
            continue
        seen.add(id(value))
        met.append(value)  # an object that stays keeps its id
        if isinstance(value, FunctionType | MethodType | functools.partial | BuiltinFunctionType):
            todo.extend(_referred_to(value))
        elif isinstance(value, CONTAINERS):
            todo.extend(item for _, item in items_of(value) if len(value) <= LONGEST)
        elif _has_state(value):
            yield value
            todo.extend((*value.__dict__.values(), *_called(value)))


def tables(classes: Iterable[type]) -> Iterator[Any]:
    """Dicts, lists and lru_caches that the forward of these classes, and functions beside it, use by a global name."""
    forwards = {forward for cls in classes if isinstance(forward := getattr(cls, "forward", None), FunctionType)}
    todo: list[Any] = [forward for forward in forwards if not _is_library(forward)]
    seen: set[int] = set()
    while todo:
        function = todo.pop()
        for value in _named_globals(function).values():
            if id(value) in seen:
                continue
            seen.add(id(value))
            if type(value) in (dict, list) and len(value) <= LONGEST:
                yield value
            elif isinstance(value, functools._lru_cache_wrapper):
                yield value
                todo.extend([value.__wrapped__] if isinstance(value.__wrapped__, FunctionType) else ())
            elif isinstance(value, FunctionType) and value.__module__ == function.__module__:
                todo.append(value)


def _has_state(value: object) -> bool:
    if not isinstance(getattr(value, "__dict__", None), dict):
        return False
    root = _root(type(value))
    return isinstance(value, _STATE_OF_THE_LIBRARY) or (root not in sys.stdlib_module_names and root not in _COMPILERS)


def _called(value: object) -> list[object]:
    """What an object that is called like a function refers to."""
    called = type(value).__dict__.get("__call__")
    return _referred_to(called) if isinstance(called, FunctionType) and not isinstance(value, nn.Module) else []


def _root(thing: Any) -> str:
    return str(getattr(thing, "__module__", None) or "").partition(".")[0]


def _is_library(function: FunctionType) -> bool:
    return _root(function) == "torch" or _root(function) in sys.stdlib_module_names


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
    return {name: function.__globals__[name] for name in function.__code__.co_names if name in function.__globals__}
