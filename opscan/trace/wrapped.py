"""Tensors that torch wraps around others (DTensor), and the modes it runs them in: what a trace leaves to them.

# Note [Wrapped tensors]
A DTensor is a tensor around the part of it that this rank holds. An op on DTensors is not what runs: DTensor's own
dispatch turns it into collectives and ops on the parts. So a trace hands such an op back, and sees those. Before that
DTensor asks for the sizes of the whole with fake tensors, which is not part of the step either: while FakeTensorMode is
on, below the trace as it is one of torch's own modes, ops are its. torch's CommDebugMode does the same (torch 2.6 to
2.15: torch/distributed/tensor/debug/_comm_mode.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import torch

dispatch_mode: Callable[[Any], object] = torch._C._get_dispatch_mode
"""The mode of torch's own of a kind that is on; None where there is none."""
FAKE = torch._C._TorchDispatchModeKey.FAKE

_WRAPPERS = {"DTensor", "AsyncCollectiveTensor"}


def is_wrapped(types: Iterable[type]) -> bool:
    """Whether an op with arguments of these types is for a wrapper's own dispatch."""
    return any(_is_wrapper(each) for each in types)


@cache
def _is_wrapper(cls: type) -> bool:
    return any(each.__name__ in _WRAPPERS and each.__module__.startswith("torch.distributed") for each in cls.__mro__)


def local_of(tensor: torch.Tensor) -> torch.Tensor:
    """What this rank holds of a tensor: the part a DTensor is around, any other tensor itself."""
    while _is_wrapper(type(tensor)):
        inner: Any = tensor
        tensor = inner._local_tensor if hasattr(inner, "_local_tensor") else inner.elem
    return tensor


def is_sharded(tensor: torch.Tensor) -> bool:
    """Whether it is a DTensor."""
    return type(tensor).__name__ == "DTensor"


def around(tensor: torch.Tensor, local: torch.Tensor) -> torch.Tensor:
    """A DTensor like `tensor` around another local part; it has no history."""
    wrapper: Any = tensor
    kind: Any = type(tensor)
    with torch.no_grad():
        made: torch.Tensor = kind(local, wrapper._spec, requires_grad=False)
    return made
