"""Stores and sums at coordinates that may repeat, in one order: index_put as the other replacements need it.

A store is a sum onto -0.0, which changes no number: of the values that go to one cell only the last is added, and
of the others -0.0. Such a sum is sorted on CUDA, where a store with repeated indices is a race.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from opscan.replacements.cells import runs_on


def widest(input: Tensor, values: Tensor, device: str) -> tuple[Tensor, Tensor]:
    """Both in the wider of their dtypes, where they run in autocast on that device type: there torch promotes them."""
    if input.dtype == values.dtype or runs_on(input) != device or not torch.is_autocast_enabled(device):
        return input, values
    dtype = torch.promote_types(input.dtype, values.dtype)
    return input.to(dtype), values.to(dtype)


def coordinates(index: Tensor, dim: int) -> tuple[Tensor, ...]:
    """The cells that `index` names along `dim`, as gather and scatter read it: one index tensor per dimension."""
    found = []
    for at, size in enumerate(index.shape):
        along = [-1 if other == at else 1 for other in range(index.dim())]
        found.append(index if at == dim else torch.arange(size, device=index.device).view(along))
    return tuple(found)


def numbers(indices: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
    """The cells that the broadcast `indices` name in a tensor of `sizes`, counted row by row; negative ones wrap."""
    found = torch.zeros((), dtype=torch.int64, device=indices[0].device)
    for index, size in zip(indices, sizes, strict=True):
        found = found * size + torch.where(index < 0, index + size, index)
    return found


def check_bounds(indices: Sequence[Tensor], sizes: Sequence[int]) -> None:
    """Raise IndexError for an index on the CPU that is out of range, as torch does; on CUDA the kernels see to it."""
    for index, size in zip(indices, sizes, strict=True):
        if index.device.type == "cpu" and bool(((index < -size) | (index >= size)).any()):
            raise IndexError(f"index out of bounds for dimension with size {size}")


def last_named(cells: Tensor) -> Tensor:
    """Of each position in `cells` (integers, any shape) whether no later one names the same cell.

    Memory and time follow the number of positions, not that of cells.
    """
    flat = cells.reshape(-1)
    ordered = flat.sort(stable=True)
    last = torch.searchsorted(ordered.values, flat, right=True) - 1
    return (ordered.indices[last] == torch.arange(flat.numel(), device=flat.device)).view(cells.shape)


class _Kept(torch.autograd.Function):
    """`values` where `kept` holds, else what changes no sum; all of them get the gradient, as those of a store do."""

    @staticmethod
    def forward(values: Tensor, kept: Tensor) -> Tensor:
        return torch.where(kept, values, no_addend(values))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return grads[0], None


def no_addend(like: Tensor) -> Tensor:
    """What changes no number it is added to, the sign of a zero included: -0.0."""
    return torch.full((), complex(-0.0, -0.0) if like.is_complex() else -0.0, dtype=like.dtype, device=like.device)


def store_(cells: Tensor, indices: tuple[Tensor, ...], values: Tensor, kept: Tensor) -> Tensor:
    """`cells[indices] = values` in place, for the values that are `kept`: one of each cell.

    `values` and `kept` broadcast to the same shape; the gradient is that of index_put: it goes to all values.
    """
    shape = torch.broadcast_shapes(values.shape, kept.shape)
    cells.index_put_(indices, no_addend(cells))
    return cells.index_put_(indices, _Kept.apply(values.expand(shape), kept), accumulate=True)  # type: ignore[no-untyped-call]
