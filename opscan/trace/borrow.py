"""Borrow the user's modules for a trace: every tensor they hold is on meta meanwhile, and all is put back after.

For the time of the trace each object's attribute dictionary holds meta twins instead of tensors (integer buffers as
concrete clones), also in nested containers, of which it holds copies. Whatever forward does to attributes,
containers, buffers, gradients, training flags, hooks or the class of a module is undone in `finally`, value by value.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import torch
from torch import nn

from opscan.trace.kept import DEPTH, KeptCache, KeptClass, KeptFunction, KeptObject, KeptSlots
from opscan.trace.reach import CONTAINERS, LONGEST, functions, holders, is_users_class, items_of
from opscan.trace.scripted import script_twin
from opscan.trace.values import is_lazy, meta_like
from opscan.trace.wrapped import around, is_sharded, local_of

StandIn = Callable[[torch.Tensor], torch.Tensor]
"""Makes what stands for a tensor of the user's while something runs: new memory, none of the tensor's history."""


def meta_or_known(tensor: torch.Tensor) -> torch.Tensor:
    """A meta tensor for real values, a clone for integers and masks: the regime of Note [Known and unknown values]."""
    if tensor.dtype.is_floating_point or tensor.dtype.is_complex:
        return meta_like(tensor)
    return tensor.detach() if tensor.is_meta else tensor.detach().clone()


class Twins:
    """One twin per tensor, so that tied parameters stay tied."""

    def __init__(self, holders: tuple[object, ...] = (), stand_in: StandIn = meta_or_known) -> None:
        self.holders = holders
        self._stand_in = stand_in
        self._scripted: dict[int, tuple[torch.jit.ScriptModule, torch.jit.ScriptModule]] = {}
        self._twins: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor's stand-in; a leaf if it is one."""
        found = self._twins.get(id(tensor))
        if found is None:
            found = self._twins[id(tensor)] = (tensor, _make_twin(tensor, self._stand_in))
        return found[1]

    def script(self, module: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
        """What stands for a TorchScript module."""
        found = self._scripted.get(id(module))
        if found is None:
            device = self._stand_in(torch.empty(0)).device
            found = self._scripted[id(module)] = (module, script_twin(module, device))
        return found[1]

    def swap(self, value: Any, depth: int = DEPTH) -> Any:
        """Nested containers with their tensors replaced: copies of those that hold any, the others as they are."""
        if isinstance(value, torch.Tensor):
            return self.of(value)
        if isinstance(value, torch.jit.ScriptModule):
            return self.script(value)
        if depth == 0 or not isinstance(value, CONTAINERS) or len(value) > LONGEST:
            return value
        items = [(self.swap(key, depth - 1), self.swap(item, depth - 1)) for key, item in items_of(value)]
        if all(new[0] is old[0] and new[1] is old[1] for new, old in zip(items, items_of(value), strict=True)):
            return value
        if isinstance(value, dict):
            copied = copy.copy(value)
            copied.clear()
            copied.update(items)
            return copied
        if isinstance(value, tuple) and hasattr(value, "_make"):
            return value._make(item for _, item in items)
        return type(value)(item for _, item in items)


def _make_twin(tensor: torch.Tensor, stand_in: StandIn) -> torch.Tensor:
    if is_lazy(tensor):
        lazy: Callable[..., torch.Tensor] = type(tensor)
        return lazy(requires_grad=tensor.requires_grad, device=stand_in(torch.empty(0)).device)
    twin = around(tensor, stand_in(local_of(tensor))) if is_sharded(tensor) else stand_in(tensor)
    if not isinstance(tensor, nn.Parameter):
        return twin.requires_grad_(tensor.requires_grad) if tensor.requires_grad else twin
    twin = nn.Parameter(twin, requires_grad=tensor.requires_grad)
    for hook in (tensor._backward_hooks or {}).values():
        twin.register_hook(hook)
    for hook in (getattr(tensor, "_post_accumulate_grad_hooks", None) or {}).values():
        twin.register_post_accumulate_grad_hook(hook)
    return twin


class Belongings:
    """What `roots` reach, as it is now. It can be lent any number of times, if nothing else changes it between."""

    def __init__(self, roots: Iterable[object]) -> None:
        found = list(holders(roots))
        called = [each for each in found if isinstance(each, FunctionType)]
        objects = [each for each in found if not isinstance(each, FunctionType)]
        self.kept = [KeptObject(each) for each in objects if hasattr(each, "__dict__")]
        classes = dict.fromkeys(cls for each in objects for cls in type(each).__mro__ if is_users_class(cls))
        self.beside = [
            *(KeptSlots(each) for each in objects if not hasattr(each, "__dict__")),
            *(KeptClass(cls) for cls in classes),
            *(
                KeptFunction(each) if isinstance(each, FunctionType) else KeptCache(each)
                for each in functions(called, classes)
            ),
        ]
        self.some_train = any(each.holder.training for each in self.kept if isinstance(each.holder, nn.Module))
        self._with_tensors = [
            [name for name, value in each.attributes.items() if _holds_tensors(value, DEPTH)] for each in self.kept
        ]

    def lend(self, twins: Twins, training: bool) -> None:
        """Put the twins in the place of the tensors, and modules into training or eval mode."""
        for each, names in zip(self.kept, self._with_tensors, strict=True):
            attributes = each.holder.__dict__
            attributes.update({name: twins.swap(each.attributes[name]) for name in names})
            if isinstance(each.holder, nn.Module):
                attributes["training"] = training and (each.attributes.get("training", True) or not self.some_train)

    def restore(self) -> None:
        """Put everything back."""
        for was in (*self.kept, *self.beside):
            was.restore()


def _holds_tensors(value: Any, depth: int) -> bool:
    if isinstance(value, torch.Tensor | torch.jit.ScriptModule):
        return True
    if depth == 0 or not isinstance(value, CONTAINERS) or len(value) > LONGEST:
        return False
    return any(_holds_tensors(part, depth - 1) for item in items_of(value) for part in item)


@contextmanager
def borrowed(belongings: Sequence[Belongings], training: bool, stand_in: StandIn = meta_or_known) -> Iterator[Twins]:
    """Hold stand-ins for all tensors that belong to them, in training or eval mode, while active.

    In training mode modules that are frozen (in eval mode while others train) stay so.
    """
    twins = Twins(tuple(each.holder for some in belongings for each in some.kept), stand_in)
    try:
        for some in belongings:
            some.lend(twins, training)
        yield twins
    finally:
        for some in belongings:
            some.restore()
