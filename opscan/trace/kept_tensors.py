"""Tensors of the user's own that a step writes to where no stand-in takes their place: restored bit by bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from opscan.trace.values import tensors_in


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
                    self.keep(met)

    def keep(self, tensor: torch.Tensor) -> None:
        """Keep the values of a tensor as they are now."""
        with torch._C._DisableTorchDispatch():
            self._written.append((tensor, tensor.detach().clone(), tensor._version))

    def restore(self) -> None:
        """Write the values back, and the version that autograd counts writes by."""
        for tensor, values, version in self._written:
            with torch.no_grad():
                tensor.data.copy_(values)
            _set_version(tensor, version)
        self._written.clear()


@contextmanager
def tensors_unchanged(tensors: Sequence[torch.Tensor]) -> Iterator[None]:
    """Afterwards these have the values, versions and gradients they had, whoever wrote to them."""
    kept = KeptTensors()
    grads = [(each, each.grad) for each in tensors if each.is_leaf and each.requires_grad]
    for each in (*tensors, *(grad for _, grad in grads if grad is not None)):
        kept.keep(each)
    try:
        yield
    finally:
        kept.restore()
        for tensor, grad in grads:
            tensor.grad = grad


def _set_version(tensor: torch.Tensor, version: int) -> None:
    try:
        torch._C._autograd._unsafe_set_version_counter((tensor,), (version,))
    except TypeError:  # torch 2.6
        torch._C._autograd._unsafe_set_version_counter(tensor, version)  # type: ignore[arg-type]  # stubs are of 2.13
