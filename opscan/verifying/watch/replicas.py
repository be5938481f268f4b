"""One rank of several: which of its parameters are to be copies of those of others, and what became of gradients.

# Note [What is to be equal]
Nothing but what somebody keeps equal: the parameters of a DistributedDataParallel, over its process group; the local
part of a DTensor, over the dimensions of its mesh where its placement is Replicate; any other parameter whose gradient
an all-reduce of the program's own was seen to sum up. Shards, and parameters left to each rank, are no copies.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils._python_dispatch import _disable_current_modes

from opscan.blame import lines_of
from opscan.verifying.stream import Record
from opscan.verifying.watch.marks import mark_of, numbers_of
from opscan.verifying.watch.modules import Modules
from opscan.verifying.watch.patches import Patches
from opscan.verifying.watch.recording import Recording, local_of
from opscan.verifying.watch.storages import Storages

Copies = tuple[str, tuple[int, ...]]
"""Why a parameter is to be the same (a key of COPIES in opscan.verifying.drift), and on which ranks."""

ALONE: Copies = ("sharded", ())


def several_ranks() -> bool:
    """Whether this process is one of several that have a process group."""
    distributed = torch.distributed
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


class _Passes(NamedTuple):
    """Backward passes: all, those in which a reducer was at work, those under no_sync."""

    all: int
    reduced: int
    unsynced: int


class Replicas:
    """Follows DistributedDataParallel, backward passes and all-reduces of one rank."""

    def __init__(self, recording: Recording, modules: Modules) -> None:
        self._recording = recording
        self._modules = modules
        self._told: dict[int, list[Copies]] = {}
        self._wrappers: weakref.WeakKeyDictionary[Any, tuple[bool, frozenset[int]]] = weakref.WeakKeyDictionary()
        self._summed: Storages[tuple[int, ...]] = Storages()
        self._by_hand: dict[int, tuple[int, ...]] = {}
        self._in_backward = self._is_reduced = False
        self._count = _Passes(0, 0, 0)
        self._counted: dict[int, _Passes] = {}
        self._after_backward: dict[int, torch.Tensor | None] = {}

    def install(self, patches: Patches) -> None:
        """Watch wrappers being made."""
        wrapper: Any = getattr(nn.parallel, "DistributedDataParallel", None)
        if torch.distributed.is_available():
            patches.replace(wrapper, "__init__", self._making)

    def _making(self, original: Any) -> Any:
        def __init__(wrapper: Any, module: nn.Module, *args: Any, **kwargs: Any) -> None:  # noqa: N807 (it replaces one)
            original(wrapper, module, *args, **kwargs)
            reduced = frozenset(id(each) for each in wrapper._module_parameters if each.requires_grad)
            self._wrappers[wrapper] = (bool(kwargs.get("init_sync", True)), reduced)

        return __init__

    # -- what gradients go through

    def summed(self, args: Sequence[Any]) -> None:
        """An all-reduce is called: within backward by a reducer, or a hook of the program's own."""
        self._is_reduced |= self._in_backward
        ranks = next((found for each in args if (found := _ranks_of(each))), ())
        for tensor in args[0] if isinstance(args[0], list | tuple) else args[:1]:
            if isinstance(tensor, torch.Tensor) and ranks:
                self._summed.put(tensor, ranks)

    @contextmanager
    def backward(self, parameters: Sequence[torch.Tensor]) -> Iterator[None]:
        """Around a backward pass; if a reducer was at work in it, gradients are marked as it left them."""
        self._summed.clear()
        self._after_backward = {}
        self._in_backward, self._is_reduced = True, False
        try:
            yield
        finally:
            self._in_backward = False
        unsynced = any(not each.require_forward_param_sync for each in self._wrappers)
        self._count = _Passes(*map(sum, zip(self._count, (1, self._is_reduced, unsynced), strict=True)))
        if self._is_reduced:
            with self._recording.silenced(), torch.no_grad(), _disable_current_modes():
                self._after_backward = {id(each): mark_of(each.grad) for each in parameters}

    def tell_copies(self, number: int, parameters: Sequence[torch.Tensor]) -> None:
        """Record which parameters of an optimizer are to be the same on which ranks, where that is new."""
        copies = self._copies(parameters)
        if self._told.get(number) != copies:
            self._told[number] = copies
            kinds = list(dict.fromkeys(copies))
            names = self._names(parameters)
            of = [kinds.index(each) for each in copies]
            self._recording.put("copies", o=number, rank=torch.distributed.get_rank(), names=names, kinds=kinds, of=of)

    def _names(self, parameters: Sequence[torch.Tensor]) -> list[str]:
        """A name for each, that no other has."""
        names: dict[str, None] = {}
        for at, each in enumerate(parameters):
            name = self._modules.name_of(each) or f"parameter {at}"
            names[f"{name} (parameter {at})" if name in names else name] = None
        return list(names)

    def tell(self, number: int, optimizer: Any, parameters: Sequence[torch.Tensor]) -> Record:
        """Record copies and buffers; the rest, of a step, is for its own record.

        passes: backward passes so far; since: those since the last step, how many of these had a reducer at work, and
        how many were under no_sync; by_hand: gradients that the program itself summed up; other: those that are laid
        out otherwise than their parameters; join: whether ranks may end early; set: the optimizer's settings; after:
        the marks of gradients as a reducer left them.
        """
        self.tell_copies(number, parameters)
        for at, (ranks, names, buffers) in enumerate(self._buffers()):
            marks = numbers_of([mark_of(each) for each in buffers])
            self._recording.put("buffers", n=at, ranks=ranks, names=names, d=marks)
        gradients = [each.grad for each in parameters]
        last = self._counted.get(number, _Passes(0, 0, 0))
        self._counted[number] = self._count
        left = [self._after_backward.get(id(each)) for each in parameters] if self._after_backward else []
        return {
            "passes": self._count.all,
            "since": [now - before for now, before in zip(self._count, last, strict=True)],
            "by_hand": [at for at, each in enumerate(gradients) if each is not None and self._summed_over(each)],
            "other": [at for at, pair in enumerate(zip(parameters, gradients, strict=True)) if _is_other(*pair)],
            "join": any(each._join_config.enable for each in self._wrappers),
            "set": _settings(optimizer),
            "at": lines_of(sys._getframe(1))[0],
            **({"after": numbers_of(left)} if left else {}),
        }

    def _summed_over(self, gradient: torch.Tensor) -> tuple[int, ...]:
        local = local_of(gradient)
        return (self._summed.get(local) or ()) if local.layout is torch.strided else ()

    # -- who has a copy

    def _copies(self, parameters: Sequence[torch.Tensor]) -> list[Copies]:
        """For each parameter why it is to be the same on other ranks, and on which; see Note [What is to be equal]."""
        wrapped = {key: found for wrapper in self._wrappers for key, found in self._in_wrapper(wrapper)}
        return [self._copies_of(each, wrapped) for each in parameters]

    def _copies_of(self, parameter: torch.Tensor, wrapped: dict[int, Copies]) -> Copies:
        key = id(parameter)
        if hasattr(parameter, "device_mesh"):
            ranks = _with_equal_parts(parameter)
            return ("dtensor", ranks) if len(ranks) > 1 else ALONE
        if getattr(parameter, "_fsdp_flattened", False) or type(parameter).__name__ == "FlatParameter":
            return ALONE
        if key in wrapped:
            return wrapped[key]
        if parameter.grad is not None and (ranks := self._summed_over(parameter.grad)):
            self._by_hand[key] = ranks
        return ("by hand", self._by_hand[key]) if key in self._by_hand else ("", ())

    def _in_wrapper(self, wrapper: Any) -> Iterator[tuple[int, Copies]]:
        ranks = tuple(torch.distributed.get_process_group_ranks(wrapper.process_group))
        there = {id(each) for each in wrapper._module_parameters}
        copied, reduced = self._wrappers[wrapper]
        local = any("localSGD" in getattr(hook, "__name__", "") for hook, _ in wrapper._comm_hooks)
        for name, parameter in wrapper.module.named_parameters():
            key = id(parameter)
            if local or name in wrapper.parameters_to_ignore:
                yield key, ("", ())
            elif key in reduced:
                yield key, ("ddp" if copied else "ddp without init_sync", ranks)
            else:
                yield key, ("ddp, frozen" if key in there else "ddp, late", ranks)

    def _buffers(self) -> Iterator[tuple[tuple[int, ...], list[str], list[torch.Tensor]]]:
        """Of each wrapper that does not broadcast them: the ranks, and the names and buffers that a checkpoint has."""
        for wrapper in list(self._wrappers):
            if getattr(wrapper, "forward_sync_buffers", getattr(wrapper, "broadcast_buffers", True)):
                continue
            found = {
                f"{path}.{name}".removeprefix("."): buffer
                for path, module in wrapper.module.named_modules()
                for name, buffer in module._buffers.items()
                if buffer is not None and buffer.is_floating_point() and name not in module._non_persistent_buffers_set
            }
            names = sorted(found.keys() - wrapper.parameters_to_ignore)
            if names:
                ranks = tuple(torch.distributed.get_process_group_ranks(wrapper.process_group))
                yield ranks, names, [found[name] for name in names]


def _ranks_of(argument: Any) -> tuple[int, ...]:
    """The ranks of a process group that comes boxed to a dispatch mode; () for any other argument."""
    if not isinstance(argument, torch.ScriptObject):
        return ()
    try:
        return tuple(torch.distributed.get_process_group_ranks(torch.distributed.ProcessGroup.unbox(argument)))
    except (RuntimeError, KeyError):
        return ()


def _with_equal_parts(parameter: Any) -> tuple[int, ...]:
    """The ranks whose local part of a DTensor is to be that of this one: those beside it where it is replicated."""
    here = parameter.device_mesh.get_coordinate()
    if here is None:
        return ()
    at = tuple(
        slice(None) if place.is_replicate() else where for place, where in zip(parameter.placements, here, strict=True)
    )
    return tuple(parameter.device_mesh.mesh[at].reshape(-1).tolist())


def _is_other(parameter: Any, gradient: Any) -> bool:
    """Whether a DTensor's gradient is laid out otherwise: as parts of a sum that the optimizer will add up, say."""
    return getattr(parameter, "placements", None) != getattr(gradient, "placements", None)


def _settings(optimizer: Any) -> dict[str, list[Any]]:
    """The numbers that each group of parameters is stepped with: the learning rate, momentum, ..."""
    found: dict[str, list[Any]] = {}
    for group in optimizer.param_groups:
        for name, value in group.items():
            if isinstance(value, torch.Tensor) and value.numel() == 1:
                value = value.item()
            if isinstance(value, bool | int | float) or (isinstance(value, tuple) and name == "betas"):
                found.setdefault(name, []).append(value)
    return found
