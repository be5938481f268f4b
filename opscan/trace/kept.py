"""What was, so that it can be again: snapshots of objects, containers, tables and caches, restored in place."""

from __future__ import annotations

import functools
import sys
from collections import OrderedDict, deque
from typing import Any

import torch

from opscan.trace.reach import CONTAINERS, LONGEST, items_of
from opscan.trace.values import tensors_in

DEPTH = 12
"""How deep nested containers are looked through."""


class KeptObject:
    """An object's class, its attributes, and what containers, generators and arrays in them held."""

    def __init__(self, holder: Any) -> None:
        self.holder = holder
        self.attributes = dict(holder.__dict__)
        self._cls = type(holder)
        self._contents: list[tuple[Any, list[tuple[Any, Any]]]] = []
        self._generators: list[tuple[torch.Generator, torch.Tensor]] = []
        self._arrays: list[tuple[Any, Any]] = []
        for value in self.attributes.values():
            self._keep(value, DEPTH)

    def _keep(self, value: Any, depth: int) -> None:
        if isinstance(value, torch.Generator):
            self._generators.append((value, value.get_state()))
        elif _is_array(value):
            self._arrays.append((value, value.copy()))
        elif depth and isinstance(value, CONTAINERS) and len(value) <= LONGEST:
            if not isinstance(value, tuple):
                self._contents.append((value, items_of(value)))
            for _, item in items_of(value):
                self._keep(item, depth - 1)

    def restore(self) -> None:
        """Put everything back, value by value."""
        if type(self.holder) is not self._cls:
            self.holder.__class__ = self._cls
        self.holder.__dict__.clear()
        self.holder.__dict__.update(self.attributes)
        for container, items in self._contents:
            _refill(container, items)
        for generator, state in self._generators:
            generator.set_state(state)
        for array, values in self._arrays:
            array[...] = values


class KeptTable:
    """A global dict or list that functions of the model's module fill."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self._items = items_of(table)

    def restore(self) -> None:
        """Put the items back, if any is another one now."""
        now = items_of(self._table)
        if len(now) != len(self._items) or any(new[1] is not old[1] for new, old in zip(now, self._items, strict=True)):
            _refill(self._table, self._items)


class KeptCache:
    """A function's lru_cache: what a trace computed for it has no values, so it must not stay there."""

    def __init__(self, cache: functools._lru_cache_wrapper[Any]) -> None:
        self._cache = cache
        self._misses = cache.cache_info().misses

    def restore(self) -> None:
        """Empty the cache, if anything was added to it."""
        if self._cache.cache_info().misses != self._misses:
            self._cache.cache_clear()


class KeptTensors:
    """Tensors of the user's own that a trace meets, in a closure or an object, as they were before it wrote to them."""

    def __init__(self) -> None:
        self._met: dict[int, torch.Tensor] = {}
        self._written: list[tuple[torch.Tensor, torch.Tensor, int]] = []

    def meet(self, tensor: torch.Tensor) -> None:
        """Note a tensor with memory of its own that no recorded op made."""
        if not tensor.is_meta and tensor.layout is torch.strided:
            self._met[tensor.untyped_storage()._cdata] = tensor

    def before_writing(self, args: tuple[Any, ...]) -> None:
        """Keep the values of tensors met among the arguments, or seen through a view there."""
        found: list[torch.Tensor] = []
        if self._met:
            tensors_in(args, found)
        for tensor in found:
            if tensor.layout is torch.strided and not tensor.is_meta:
                met = self._met.pop(tensor.untyped_storage()._cdata, None)
                if met is not None:
                    with torch._C._DisableTorchDispatch():
                        self._written.append((met, met.detach().clone(), met._version))

    def restore(self) -> None:
        """Write the values back, and the version that autograd counts writes by."""
        for tensor, values, version in self._written:
            with torch.no_grad():
                tensor.data.copy_(values)
            _set_version(tensor, version)
        self._written.clear()


def _set_version(tensor: torch.Tensor, version: int) -> None:
    try:
        torch._C._autograd._unsafe_set_version_counter((tensor,), (version,))
    except TypeError:  # torch 2.6
        torch._C._autograd._unsafe_set_version_counter(tensor, version)  # type: ignore[arg-type]  # stubs are of 2.13


def _refill(container: Any, items: list[tuple[Any, Any]]) -> None:
    container.clear()
    if isinstance(container, dict):  # not Counter.update, which counts, nor one of the user's
        (OrderedDict if isinstance(container, OrderedDict) else dict).update(container, items)
    else:
        (container.extend if isinstance(container, list | deque) else container.update)(item for _, item in items)


def _is_array(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray) and value.dtype != object and value.flags.writeable
