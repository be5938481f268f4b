"""Which classes of an imported file are to be scanned, and which are scanned with those that use them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from types import ModuleType

from torch import nn

from opscan.sweeps.references import building_blocks


def defined_models(module: ModuleType, names: Iterable[str]) -> list[type[nn.Module]]:
    """The nn.Module classes under these names that the file defines and that can be called, outermost first.

    A class that others here build themselves from comes after them.
    """
    found = [value for name in names if isinstance(value := getattr(module, name, None), type)]
    models = [
        each
        for each in dict.fromkeys(found)
        if issubclass(each, nn.Module)
        and each.__module__ == module.__name__
        and each.forward is not nn.Module.forward
        and not inspect.isabstract(each)
    ]
    blocks = building_blocks(models, lambda function: _is_of(function, module))
    return sorted(models, key=lambda each: each in blocks)


def parts_of(model: type[nn.Module], module: ModuleType) -> set[type]:
    """The classes that a model of a file builds itself from, and those that these do."""
    parts: set[type] = set()
    queue = [model]
    while queue:
        used = building_blocks([queue.pop()], lambda function: _is_of(function, module)) - parts
        parts |= used
        queue += [each for each in used if each.__module__ == module.__name__]
    return parts


def _is_of(function: object, module: ModuleType) -> bool:
    return getattr(function, "__module__", "") == module.__name__
