"""Layers that repeat one another run once, where only the sizes are of interest.

# Note [Layers run once]
While inputs are sought a forward is run many times, each time to learn whether it runs and what sizes come out. A model
of 60 equal layers need not run all of them for that: of modules in one list, with the same class, attributes and sizes
of their tensors, the first is run, and a later one that is called with arguments of the same sizes gives back what came
out of the first. Nothing of this is ever part of a trace. It may be wrong about a layer that keeps state for others to
read; so an attempt that fails after a layer was passed over is made again with all of them, and so is a search whose
inputs no trace runs on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any

import torch
from torch import nn

from opscan.trace.values import map_tensors, meta_like

_FEW = 3  # a shorter list is run as it is
_LISTS = (nn.ModuleList, nn.Sequential)
_PLAIN = (int, float, complex, bool, str, bytes, type(None), torch.dtype, torch.device, torch.Size, range, slice)


class _UnknownError(Exception):
    """An argument, or a result, that holds more than tensors and plain values."""


class Repeats:
    """The lists of modules among `holders`, each module with a forward that may be passed over."""

    def __init__(self) -> None:
        self.passed_over = 0
        self._made: dict[Any, tuple[Any, Any]] = {}

    def install(self, holders: Iterable[object]) -> None:
        """Give the items of the lists such forwards, as attributes of their own: whoever installs takes them away."""
        for each in holders:
            listed = list(each) if isinstance(each, _LISTS) else []
            modules = [item for item in listed if isinstance(item, nn.Module)]  # a list may have None for some
            modules = [item for item in modules if not isinstance(item, torch.jit.ScriptModule)]
            if len(modules) >= _FEW:
                numbers = cache(partial(_numbers, *modules[:2]))
                for module in modules:
                    module.__dict__["forward"] = self._once(module, numbers, module.forward)

    def _once(
        self, module: nn.Module, numbers: Callable[[], set[Any]], forward: Callable[..., Any]
    ) -> Callable[..., Any]:
        kind: list[Any] = []

        def once(*args: Any, **kwargs: Any) -> Any:
            try:
                kind[:] = kind or [_kind(module, numbers())]
                asked = (kind[0], torch.is_grad_enabled(), _sizes((args, kwargs)))
            except _UnknownError:
                return forward(*args, **kwargs)
            if asked in self._made:
                self.passed_over += 1
                return _like(*self._made[asked], (args, kwargs))
            made = forward(*args, **kwargs)
            try:
                _sizes(made)
            except _UnknownError:
                return made
            self._made[asked] = (args, kwargs), made  # the arguments stay, and so keep their ids
            return made

        return once


def _numbers(first: nn.Module, second: nn.Module) -> set[tuple[str, str]]:
    """The attributes that number the modules of a list (`layer_idx`): one more in the second than in the first."""
    later = dict(second.named_modules())
    return {
        (name, key)
        for name, each in first.named_modules()
        for key, value in each.__dict__.items()
        if type(value) is int and name in later and later[name].__dict__.get(key) == value + 1
    }


def _kind(module: nn.Module, numbers: set[tuple[str, str]]) -> tuple[Any, ...]:
    """What two modules have in common that do the same to sizes: all but their weights and `numbers`."""
    kind: list[Any] = []
    for name, each in module.named_modules():
        values = each.__dict__
        kind.append((name, type(each)))
        kind.extend(item for item in values.items() if type(item[1]) in _PLAIN and (name, item[0]) not in numbers)
        kind.extend(
            (key, tensor.shape, tensor.dtype)
            for table in (values["_parameters"], values["_buffers"])
            for key, tensor in table.items()
            if tensor is not None
        )
    return tuple(kind)


def _sizes(value: Any) -> Any:
    """The value with what counts in place of each tensor: sizes of an unknown one, identity of a known one."""
    if isinstance(value, torch.Tensor):
        if not value.is_meta:
            return id(value), value._version
        return value.shape, value.stride(), value.dtype, value.requires_grad
    if type(value) in (tuple, list):
        return (type(value), *map(_sizes, value))
    if type(value) is dict:
        return (dict, *((key, _sizes(item)) for key, item in value.items()))
    if type(value) in _PLAIN:
        return type(value), value
    raise _UnknownError


def _like(arguments: Any, made: Any, now: Any) -> Any:
    """What was `made` of the arguments then, as if made of those of `now`."""
    then: list[torch.Tensor] = []
    map_tensors(then.append, arguments)
    given: list[torch.Tensor] = []
    map_tensors(given.append, now)
    same = {id(old): new for old, new in zip(then, given, strict=True)}
    return map_tensors(lambda tensor: same[id(tensor)] if id(tensor) in same else _fresh(tensor), made)


def _fresh(tensor: torch.Tensor) -> torch.Tensor:
    """One more of the kind; one with a history, if it had any."""
    if not tensor.is_meta:
        return tensor.detach().clone()
    fresh = meta_like(tensor)
    return fresh.requires_grad_().clone() if tensor.requires_grad else fresh
