"""Borrow the user's modules for a trace: every tensor they hold is on meta meanwhile, and all is put back after.

For the time of the trace each module's attribute dictionary holds copies of its containers with meta twins
instead of tensors (integer buffers as concrete clones). What forward does to attributes, buffers, gradients,
training flags or hooks happens to the copies; the originals go back in `finally`, value by value.
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

from opscan.trace.values import meta_like

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
        """A copy of nested containers with tensors replaced; anything else is returned as it is."""
        if isinstance(value, torch.Tensor):
            return self.of(value)
        if depth == 0 or type(value) not in _CONTAINERS:
            return value
        if isinstance(value, dict):
            copy = value.copy()
            copy.clear()
            copy.update((self.swap(key, depth - 1), self.swap(item, depth - 1)) for key, item in value.items())
            return copy
        return type(value)(self.swap(item, depth - 1) for item in value)


def _make_twin(tensor: torch.Tensor) -> torch.Tensor:
    if isinstance(tensor, nn.parameter.UninitializedTensorMixin):
        return type(tensor)(requires_grad=tensor.requires_grad, device="meta")  # type: ignore[call-arg]
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
    holders = list(_holders(roots))
    kept = [(holder, type(holder), dict(holder.__dict__)) for holder in holders]
    try:
        for holder, _, attributes in kept:
            holder.__dict__.update({name: twins.swap(value) for name, value in attributes.items()})
        for holder in holders:
            if isinstance(holder, nn.Module):
                holder.__dict__["training"] = training
        yield twins
    finally:
        for holder, cls, attributes in kept:
            if type(holder) is not cls:
                holder.__class__ = cls
            holder.__dict__.clear()
            holder.__dict__.update(attributes)


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
