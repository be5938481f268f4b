"""Which classes of an imported file are to be scanned, and which are scanned with those that use them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from torch import nn

from opscan.files.text import model_classes
from opscan.sweeps.references import building_blocks
from opscan.target.load import load_module
from opscan.target.spec import TargetSpec


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


def models_of_file(file: str) -> list[str]:
    """The classes of a file that are scanned where nothing says which: its models, without those they are built from.

    Imports the file. Raises TargetError if that fails, OSError or SyntaxError if it cannot be read.
    """
    module = load_module(TargetSpec(file, file, "", is_file=True))
    models = defined_models(module, model_classes(Path(file)))
    parts = {part for model in models for part in parts_of(model, module) if part is not model}
    return [model.__name__ for model in models if model not in parts]
