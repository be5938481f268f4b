"""Borrow the user's modules for a trace: every tensor they hold is on meta meanwhile, and all is put back after.

For the time of the trace each module's attribute dictionary holds meta twins instead of tensors (integer buffers as
concrete clones), also in nested containers, of which it holds copies. Whatever forward does to attributes,
containers, buffers, gradients, training flags, hooks or the class of a module is undone in `finally`, value by value.
"""

from __future__ import annotations

import copy
import functools
import sys
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import _lru_cache_wrapper
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import nn

from opscan.trace.values import is_lazy, meta_like

_CONTAINERS = (dict, OrderedDict, defaultdict, list, tuple, set, deque)
_DEPTH = 12
_LONGEST = 10_000
"""Longer containers are data, not state: they are neither looked through nor copied."""


class Twins:
    """One twin per tensor, so that tied parameters stay tied."""

    def __init__(self, holders: tuple[object, ...] = ()) -> None:
        self.holders = holders
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
        if depth == 0 or not isinstance(value, _CONTAINERS) or len(value) > _LONGEST:
            return value
        items = [(self.swap(key, depth - 1), self.swap(item, depth - 1)) for key, item in _items(value)]
        if all(new[0] is old[0] and new[1] is old[1] for new, old in zip(items, _items(value), strict=True)):
            return value
        if isinstance(value, dict):
            copied = copy.copy(value)
            copied.clear()
            copied.update(items)
            return copied
        if isinstance(value, tuple) and hasattr(value, "_make"):
            return value._make(item for _, item in items)
        return type(value)(item for _, item in items)


def _is_array(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray) and value.dtype != object and value.flags.writeable


def _refill(container: Any, items: list[tuple[Any, Any]]) -> None:
    """Make a container hold these items again and nothing else."""
    container.clear()
    if isinstance(container, dict):  # not Counter.update, which counts, nor one of the user's
        (OrderedDict if isinstance(container, OrderedDict) else dict).update(container, items)
    else:
        (container.extend if isinstance(container, list | deque) else container.update)(item for _, item in items)


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
    if not isinstance(tensor, nn.Parameter):
        return twin.requires_grad_(tensor.requires_grad)
    twin = nn.Parameter(twin, requires_grad=tensor.requires_grad)
    for hook in (tensor._backward_hooks or {}).values():
        twin.register_hook(hook)
    for hook in (getattr(tensor, "_post_accumulate_grad_hooks", None) or {}).values():
        twin.register_post_accumulate_grad_hook(hook)
    return twin


@contextmanager
def borrowed(roots: Iterable[object], training: bool) -> Iterator[Twins]:
    """Hold the modules and optimizers reachable from `roots` on meta, in training or eval mode, while active."""
    kept = [_Kept(holder) for holder in _holders(roots)]
    caches = [_KeptCache(cache) for cache in _caches({type(each.holder) for each in kept})]
    twins = Twins(tuple(each.holder for each in kept))
    as_set = any(each.holder.training for each in kept if isinstance(each.holder, nn.Module))  # some may be frozen
    try:
        for each in kept:
            attributes = each.holder.__dict__
            attributes.update({name: twins.swap(value) for name, value in each.attributes.items()})
            if isinstance(each.holder, nn.Module):
                attributes["training"] = training and (each.attributes.get("training", True) or not as_set)
        yield twins
    finally:
        for each in (*kept, *caches):
            each.restore()


class _Kept:
    """What a module or an optimizer was before: its class, its attributes, and what their containers held."""

    def __init__(self, holder: Any) -> None:
        self.holder = holder
        self.cls = type(holder)
        self.attributes = dict(holder.__dict__)
        self.contents: list[tuple[Any, Any]] = []
        self.generators: list[tuple[torch.Generator, torch.Tensor]] = []
        self.arrays: list[tuple[Any, Any]] = []
        for value in self.attributes.values():
            self._keep(value, _DEPTH)

    def _keep(self, value: Any, depth: int) -> None:
        if isinstance(value, torch.Generator):
            self.generators.append((value, value.get_state()))
        if _is_array(value):
            self.arrays.append((value, value.copy()))
        if depth == 0 or not isinstance(value, _CONTAINERS) or len(value) > _LONGEST:
            return
        if not isinstance(value, tuple):
            self.contents.append((value, _items(value)))
        for _, item in _items(value):
            self._keep(item, depth - 1)

    def restore(self) -> None:
        if type(self.holder) is not self.cls:
            self.holder.__class__ = self.cls
        self.holder.__dict__.clear()
        self.holder.__dict__.update(self.attributes)
        for container, items in self.contents:
            _refill(container, items)
        for generator, state in self.generators:
            generator.set_state(state)
        for array, values in self.arrays:
            array[...] = values


class _KeptCache:
    """A table that functions of the model's module fill: what it held, or how often a function's cache missed."""

    def __init__(self, cache: Any) -> None:
        self.cache = cache
        self.held = cache.cache_info().misses if isinstance(cache, _lru_cache_wrapper) else _items(cache)

    def restore(self) -> None:
        if isinstance(self.cache, _lru_cache_wrapper):
            if self.cache.cache_info().misses != self.held:  # what the trace computed has no values
                self.cache.cache_clear()
        else:
            now = _items(self.cache)
            if len(now) != len(self.held) or any(new[1] is not old[1] for new, old in zip(now, self.held, strict=True)):
                _refill(self.cache, self.held)


def _caches(classes: Iterable[type]) -> Iterator[Any]:
    """Dicts, lists and lru_caches that the forward of these classes, and functions beside it, use by a global name."""
    forwards = {forward for cls in classes if isinstance(forward := getattr(cls, "forward", None), FunctionType)}
    todo: list[Any] = [each for each in forwards if each.__module__.partition(".")[0] != "torch"]
    seen: set[int] = set()
    while todo:
        function = todo.pop()
        for name in function.__code__.co_names:
            value = function.__globals__.get(name)
            if id(value) in seen:
                continue
            seen.add(id(value))
            if type(value) in (dict, list) and len(value) <= _LONGEST:
                yield value
            elif isinstance(value, _lru_cache_wrapper):
                yield value
                todo.extend([value.__wrapped__] if isinstance(value.__wrapped__, FunctionType) else ())
            elif isinstance(value, FunctionType) and value.__module__ == function.__module__:
                todo.append(value)


_NO_HOLDERS = (type, ModuleType, torch.Tensor, torch.Generator, torch.utils.data.DataLoader, torch.utils.data.Dataset)


def _holders(roots: Iterable[object]) -> Iterator[Any]:
    """All reachable from `roots` that has attributes of its own: modules, optimizers, schedulers, meters, batches."""
    todo, seen, met = list(roots), set[int](), []
    while todo:
        value = todo.pop()
        if id(value) in seen or isinstance(value, _NO_HOLDERS):
            continue
        seen.add(id(value))
        met.append(value)  # an object that stays keeps its id
        if isinstance(value, list | tuple | set | frozenset | deque):
            todo.extend(value if len(value) <= _LONGEST else ())
        elif isinstance(value, dict):
            todo.extend(value.values() if len(value) <= _LONGEST else ())
        elif isinstance(value, FunctionType | MethodType | functools.partial | BuiltinFunctionType):
            todo.extend(_referred_to(value))
        elif isinstance(attributes := getattr(value, "__dict__", None), dict):
            yield value
            todo.extend(attributes.values())
            if not isinstance(value, nn.Module) and isinstance(
                called := type(value).__dict__.get("__call__"), FunctionType
            ):
                todo.extend(_referred_to(called))


def _referred_to(function: Callable[..., Any]) -> list[object]:
    """What a callable can reach: its bound object, partial arguments, closure, defaults and the globals it names."""
    if isinstance(function, functools.partial):
        return [function.func, *function.args, *function.keywords.values()]
    if isinstance(function, MethodType):
        return [function.__self__, function.__func__]
    if not isinstance(function, FunctionType):
        return list(getattr(function, "__dict__", {}).values())
    cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
    named = [function.__globals__[name] for name in function.__code__.co_names if name in function.__globals__]
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    return [*cells, *defaults, *named]


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
