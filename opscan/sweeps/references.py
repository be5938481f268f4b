"""Which classes the code of a class uses: the names in its functions, looked up where those functions look."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from torch import nn


def building_blocks(classes: list[type[nn.Module]], own: Callable[[object], bool]) -> set[type]:
    """The nn.Module classes that other classes among these build themselves from.

    A class does so if one of its functions names the other, or names a function of the package (`own` says which are)
    that does. Its own bases do not count: `super(Base, self)` and a call of a base's method name them as well.
    """
    blocks: set[type] = set()
    for each in classes:
        blocks |= _used_by(each, own) - set(each.__mro__)
    return blocks


def _used_by(found: type, own: Callable[[object], bool]) -> set[type]:
    used: set[type] = set()
    queue = [function for value in vars(found).values() for function in _functions(value)]
    seen = set(queue)
    while queue:
        for value in _named(queue.pop()):
            if isinstance(value, type) and issubclass(value, nn.Module):
                used.add(value)
            elif isinstance(value, FunctionType) and value not in seen and own(value):
                seen.add(value)
                queue.append(value)
    return used


def _functions(value: object) -> list[FunctionType]:
    """The functions behind an attribute of a class: methods of all kinds, properties, decorated ones."""
    if isinstance(value, property):
        return [each for each in (value.fget, value.fset) if isinstance(each, FunctionType)]
    unwrapped = inspect.unwrap(getattr(value, "__func__", value)) if callable(value) else value
    found = unwrapped if isinstance(unwrapped, FunctionType) else getattr(value, "__func__", None)
    return [found] if isinstance(found, FunctionType) else []


def _named(function: FunctionType) -> Iterator[Any]:
    """What the names in a function's code stand for, one attribute of a module deep, and its defaults."""
    for names in _names(function.__code__):
        for name in names:
            value = function.__globals__.get(name)
            yield from _contents(value)
            if isinstance(value, ModuleType):
                yield from (vars(value)[each] for each in names if each in vars(value))
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()


def _contents(value: Any) -> Iterator[Any]:
    """A value, or what a table holds: classes are often looked up in one."""
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        yield from value
    else:
        yield value


def _names(code: CodeType) -> Iterator[tuple[str, ...]]:
    yield code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
