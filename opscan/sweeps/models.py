"""Which of the names that modules define are models: classes and factories."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from types import FunctionType, ModuleType
from typing import Any

from torch import nn
from torch.nn.modules.loss import _Loss

from opscan.sweeps.references import building_blocks
from opscan.target.arguments import signature_of, unfilled

_NOT_MODELS = ("PreTrainedModel", "Loss")  # transformers' abstract bases have a forward where they share one


def models_in(modules: Iterable[ModuleType]) -> list[tuple[ModuleType, str]]:
    """The models that modules define, each as the module and the name, in the order of their definition.

    A model is a public nn.Module subclass that can be called and that no other class of these modules builds itself
    from, or a function that needs no arguments and is annotated to return an nn.Module. A class that can be loaded by
    itself (`from_pretrained`) or trains itself (`training_step`) is a model whoever else uses it.
    """
    modules = list(modules)
    named = [(module, name, value) for module in modules for name, value in _defined_in(module)]
    classes = [value for _, _, value in named if isinstance(value, type)]
    names = {module.__name__ for module in modules}
    blocks = building_blocks(classes, lambda function: getattr(function, "__module__", "") in names)
    return [
        (module, name)
        for module, name, value in named
        if not name.startswith("_") and _is_public(module, name) and _is_model(value, blocks)
    ]


def _defined_in(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """The classes and functions of a module's own, under their own names."""
    for name, value in list(vars(module).items()):
        if getattr(value, "__module__", None) != module.__name__ or getattr(value, "__name__", None) != name:
            continue
        if (isinstance(value, type) and issubclass(value, nn.Module)) or isinstance(value, FunctionType):
            yield name, value


def _is_public(module: ModuleType, name: str) -> bool:
    return name in getattr(module, "__all__", (name,))


def _is_model(value: Any, blocks: set[type]) -> bool:
    if not isinstance(value, type):
        return _is_factory(value)
    if inspect.isabstract(value) or issubclass(value, _Loss) or value.__name__.endswith(_NOT_MODELS):
        return False
    if _trains_itself(value):
        return True
    has_forward = getattr(value, "forward", None) is not nn.Module.forward
    return has_forward and (hasattr(value, "from_pretrained") or value not in blocks)


def _trains_itself(value: type) -> bool:
    """Whether it has a training step that is not the empty one of a framework's base class."""
    step = getattr(value, "training_step", None)
    home = getattr(step, "__module__", "") or ""
    return step is not None and home.partition(".")[0] == value.__module__.partition(".")[0]


def _is_factory(function: FunctionType) -> bool:
    signature = signature_of(function)
    if signature is None or unfilled(signature, {}):
        return False
    returned = signature.return_annotation
    return isinstance(returned, type) and returned is not signature.empty and issubclass(returned, nn.Module)
