"""Memory that a constructor leaves unwritten: parameters and buffers that nothing initialises.

# Note [Written or not]
A mode watches the ops that a constructor runs. Memory is unwritten from the op that allocates it until an op writes to
any part of it: one written view counts for all of it. What copies unwritten memory, or does sums with nothing else, has
a result that is unwritten too. Wherever a write could pass unseen the memory counts as written: handed to an op that is
not ATen's, or to Python by its address. On meta, code that asks a tensor for its device may be leaving its
initialisation for later, so then nothing is said of that model at all: a false alarm is worse than silence.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from opscan.trace.graph import ModuleSite, SourceLine, Unwritten
from opscan.trace.provenance import is_users, look_out
from opscan.trace.traits import traits_of
from opscan.trace.values import is_lazy, tensors_in

UNWRITTEN = "_opscan_unwritten"
"""Attribute under which a module built by opscan remembers, by name, its tensors that lie in unwritten memory."""

_ALLOCATE = {"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "empty_permuted"}
_CARRY = {"clone", "_to_copy", "copy", "neg", "add", "sub", "mul", "div"}
"""Ops, in place or not, whose result is unwritten memory's where all they are given is."""

_ASK_DEVICE = {f"torch.Tensor.{name}" for name in ("is_meta", "is_cpu", "is_cuda", "device")}
_HAND_OUT = {f"torch.Tensor.{name}" for name in ("numpy", "__array__", "__dlpack__", "data_ptr", "storage")} | {
    "torch.Tensor.untyped_storage"
}


class Allocation(NamedTuple):
    """The op that allocated memory nothing wrote to, and the user's line that called it."""

    op: Any
    line: SourceLine | None


class _Memory(TorchDispatchMode):
    """Knows which memory is unwritten; holds on to it, so that no other takes its address."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch does not annotate it
        self._unwritten: dict[int, tuple[torch.UntypedStorage, Allocation]] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # see Note [Sparing torch._dynamo]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        with torch._C.DisableTorchFunction():
            grows = traits_of(func).name == "resize_" and args[0].untyped_storage().nbytes() == 0
            result = func(*args, **kwargs)
            if grows or (func.namespace == "aten" and traits_of(func).name in _ALLOCATE):
                self._hold(result, Allocation(func, look_out(sys._getframe(1))[0]))
            elif self._unwritten:
                self._follow(func, args, kwargs, result)
            return result

    def allocation_of(self, tensor: torch.Tensor) -> Allocation | None:
        """Where the memory of a tensor comes from, if nothing wrote to it."""
        if is_lazy(tensor) or tensor.layout is not torch.strided or not tensor.numel():
            return None
        found = self._unwritten.get(tensor.untyped_storage()._cdata)
        return found[1] if found else None

    def forget(self, tensor: torch.Tensor) -> None:
        """Count the memory of a tensor as written."""
        if tensor.layout is torch.strided:
            self._unwritten.pop(tensor.untyped_storage()._cdata, None)

    def _hold(self, tensor: torch.Tensor, allocation: Allocation) -> None:
        if tensor.layout is torch.strided:
            storage = tensor.untyped_storage()
            self._unwritten[storage._cdata] = storage, allocation

    def _follow(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """What an op that allocates nothing makes of the memory it is given."""
        given: list[torch.Tensor] = []
        tensors_in((*args, *kwargs.values()), given)
        known = [self.allocation_of(tensor) for tensor in given]
        source = known[-1] if known else None
        if source is not None and all(known) and traits_of(func).name.removesuffix("_") in _CARRY:
            if traits_of(func).pure:
                self._hold(result, source)
        elif any(known):
            for tensor in given if func.namespace != "aten" else _written(func, args, kwargs):
                self.forget(tensor)


class _Handed(TorchFunctionMode):
    """Hears which memory is handed out by its address, and whether the user's code asks where a tensor is."""

    def __init__(self, memory: _Memory) -> None:
        super().__init__()
        self.asked = False
        self._memory = memory

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        short = getattr(func, "__name__", "")
        name = f"torch.Tensor.{getattr(func.__self__, '__name__', '') if short == '__get__' else short}"
        if name in _HAND_OUT:
            self._memory.forget(args[0])
        if name in _ASK_DEVICE and is_users(sys._getframe(1)):
            self.asked = True
        return func(*args, **(kwargs or {}))


@contextmanager
def unwritten_remembered(on_meta: bool = False) -> Iterator[None]:
    """While active, modules are built that remember which of their parameters and buffers were left unwritten."""
    memory, modules = _Memory(), dict[int, weakref.ref[nn.Module]]()
    handed = _Handed(memory)

    def note(module: nn.Module, name: str, tensor: object) -> None:
        modules[id(module)] = weakref.ref(module)

    handles = [register_module_parameter_registration_hook(note), register_module_buffer_registration_hook(note)]
    try:
        with handed, memory:
            yield
    finally:
        for handle in handles:
            handle.remove()
    if not (on_meta and handed.asked):
        for found in modules.values():
            if (module := found()) is not None:
                _remember(module, memory)


def _remember(module: nn.Module, memory: _Memory) -> None:
    tensors = {**module._parameters, **module._buffers}.items()
    left = {name: memory.allocation_of(tensor) for name, tensor in tensors if tensor is not None}
    if any(left.values()):
        module.__dict__[UNWRITTEN] = {name: allocation for name, allocation in left.items() if allocation}


def left_unwritten(modules: Mapping[str, nn.Module], prefix: str, name: str) -> Unwritten | None:
    """What is remembered of a parameter or buffer, None if it was written; `prefix` is what its root goes by."""
    owner, _, attribute = name.rpartition(".")
    module = modules.get(owner)
    found: Allocation | None = module.__dict__.get(UNWRITTEN, {}).get(attribute) if module is not None else None
    if module is None or found is None:
        return None
    path = ".".join(part for part in (prefix, name) if part)
    return Unwritten(found.op, ModuleSite(path, type(module).__name__, found.line))


def _written(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[torch.Tensor]:
    """The arguments that an ATen op writes to; one that only changes how memory is seen writes to none."""
    found: list[torch.Tensor] = []
    if torch.Tag.inplace_view not in func.tags:
        arguments = [*zip(func._schema.arguments, args, strict=False)]
        named = [(each, kwargs[each.name]) for each in func._schema.arguments if each.name in kwargs]
        tensors_in((value for each, value in (*arguments, *named) if _is_written(each)), found)
    return found


def _is_written(argument: Any) -> bool:
    return argument.alias_info is not None and argument.alias_info.is_write
