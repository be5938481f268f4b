"""Borrow the user's modules for a trace: every tensor they hold is on meta meanwhile, and all is put back after.

For the time of the trace each module's attribute dictionary holds meta twins instead of tensors (integer buffers as
concrete clones), also in nested containers, of which it holds copies. Whatever forward does to attributes,
containers, buffers, gradients, training flags, hooks or the class of a module is undone in `finally`, value by value.
"""

from __future__ import annotations

import functools
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FunctionType, MethodType
from typing import Any

import torch
from torch import nn

from opscan.trace.values import is_lazy, meta_like

_CONTAINERS = (dict, OrderedDict, defaultdict, list, tuple, set, deque)
_DEPTH = 4


class Twins:
    """One twin per tensor, so that tied parameters stay tied."""

    def __init__(self) -> None:
        self._twins: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor's stand-in: meta for real values, a clone for integers and masks; a leaf if it is one."""
        found = self._twins.get(id(tensor))
        if found is None:
            found = self._twins[id(tensor)] = (tensor, _make_twin(tensor))
        return found[1]

    def swap(self, value: Any, depth: int = _DEPTH) -> Any:
        """Nested containers with their tensors replaced: copies of those that hold any, the others as they are."""
        if isinstance(value, torch.Tensor):
            return self.of(value)
        if depth == 0 or type(value) not in _CONTAINERS:
            return value
        items = [(self.swap(key, depth - 1), self.swap(item, depth - 1)) for key, item in _items(value)]
        if all(new[0] is old[0] and new[1] is old[1] for new, old in zip(items, _items(value), strict=True)):
            return value
        if isinstance(value, dict):
            copy = value.copy()
            copy.clear()
            copy.update(items)
            return copy
        return type(value)(item for _, item in items)


def _items(container: Any) -> list[tuple[Any, Any]]:
    return list(container.items()) if isinstance(container, dict) else [(None, item) for item in container]


def _make_twin(tensor: torch.Tensor) -> torch.Tensor:
    if is_lazy(tensor):
        lazy: Callable[..., torch.Tensor] = type(tensor)
        return lazy(requires_grad=tensor.requires_grad, device="meta")
    if not (tensor.dtype.is_floating_point or tensor.dtype.is_complex):
        twin = tensor.detach().clone() if not tensor.is_meta else tensor.detach()
        return nn.Parameter(twin, requires_grad=False) if isinstance(tensor, nn.Parameter) else twin
    twin = meta_like(tensor)
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(twin, requires_grad=tensor.requires_grad)
    return twin.requires_grad_(tensor.requires_grad)


@contextmanager
def borrowed(roots: Iterable[object], training: bool) -> Iterator[Twins]:
    """Hold the modules and optimizers reachable from `roots` on meta, in training or eval mode, while active."""
    twins = Twins()
    kept = [_Kept(holder) for holder in _holders(roots)]
    try:
        for each in kept:
            attributes = each.holder.__dict__
            attributes.update({name: twins.swap(value) for name, value in each.attributes.items()})
            if isinstance(each.holder, nn.Module):
                attributes["training"] = training
        yield twins
    finally:
        for each in kept:
            each.restore()


class _Kept:
    """What a module or an optimizer was before: its class, its attributes, and what their containers held."""

    def __init__(self, holder: Any) -> None:
        self.holder = holder
        self.cls = type(holder)
        self.attributes = dict(holder.__dict__)
        self.contents: list[tuple[Any, Any]] = []
        for value in self.attributes.values():
            self._keep(value, _DEPTH)

    def _keep(self, value: Any, depth: int) -> None:
        if depth == 0 or type(value) not in _CONTAINERS:
            return
        if not isinstance(value, tuple):
            self.contents.append((value, value.copy()))
        for _, item in _items(value):
            self._keep(item, depth - 1)

    def restore(self) -> None:
        if type(self.holder) is not self.cls:
            self.holder.__class__ = self.cls
        self.holder.__dict__.clear()
        self.holder.__dict__.update(self.attributes)
        for container, copy in self.contents:
            container.clear()
            (container.extend if isinstance(container, list | deque) else container.update)(copy)


def _holders(roots: Iterable[object]) -> Iterator[Any]:
    """Modules (with their submodules) and optimizers among `roots` and in what callables among them refer to."""
    seen: set[int] = set()
    for found in _reachable(roots):
        members = found.modules() if isinstance(found, nn.Module) else (found,)
        for member in members:
            if id(member) not in seen:
                seen.add(id(member))
                yield member


def _reachable(roots: Iterable[object]) -> Iterator[nn.Module | torch.optim.Optimizer]:
    todo, seen = list(roots), set[int]()
    while todo:
        value = todo.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, nn.Module | torch.optim.Optimizer):
            yield value
        elif isinstance(value, list | tuple):
            todo.extend(value)
        elif isinstance(value, dict):
            todo.extend(value.values())
        elif callable(value):
            todo.extend(_referred_to(value))


def _referred_to(function: Callable[..., Any]) -> list[object]:
    """What a callable can reach: its bound object, partial arguments, closure, defaults and the globals it names."""
    if isinstance(function, functools.partial):
        return [function.func, *function.args, *function.keywords.values()]
    if isinstance(function, MethodType):
        return [function.__self__, *getattr(function.__self__, "__dict__", {}).values(), function.__func__]
    if not isinstance(function, FunctionType):
        return list(getattr(function, "__dict__", {}).values())
    cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
    named = [function.__globals__[name] for name in function.__code__.co_names if name in function.__globals__]
    return [*cells, *(function.__defaults__ or ()), *(value for value in named if not isinstance(value, type))]


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
