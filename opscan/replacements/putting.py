"""index_put, put and take: cells named by several index tensors and masks, or by their number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from opscan.replacements.cells import runs_on
from opscan.replacements.stores import check_bounds, last_named, numbers, store_, widest


def index_put(input: Tensor, indices: Sequence[Tensor], values: Tensor, accumulate: bool = False) -> Tensor:
    """`torch.index_put`: where indices repeat the last position wins, or all are added in their order."""
    if _torch_keeps_order(input, indices, values, accumulate):
        return torch.index_put(input, tuple(indices), values, accumulate)
    input, values = widest(input, values, "cuda")
    return index_put_(input.clone(), indices, values, accumulate)


def index_put_(input: Tensor, indices: Sequence[Tensor], values: Tensor, accumulate: bool = False) -> Tensor:
    """`torch.Tensor.index_put_`: `index_put` in place. What it writes to is the tensor, not its overlaps."""
    if _torch_keeps_order(input, indices, values, accumulate):
        return input.index_put_(tuple(indices), values, accumulate)
    places = index_places(input, indices)
    if input.dtype != values.dtype:
        raise RuntimeError(
            f"Index put requires the source and destination dtypes match, got {input.dtype} for the destination and "
            f"{values.dtype} for the source."
        )
    rest = input.shape[len(places) :]
    source = values.expand(*places[0].shape, *rest)
    cells = numbers(places, input.shape[: len(places)])
    if runs_on(input) == "cpu":
        check_bounds(places, input.shape[: len(places)])
        _put_on_the_cpu(input, cells, source, accumulate)
    else:
        store_(input, places, source, last_named(cells).view(*cells.shape, *[1] * len(rest)))
    return input


def _torch_keeps_order(input: Tensor, indices: Sequence[Tensor], values: Tensor, accumulate: bool) -> bool:
    """One value for all and a mask alone leave no order; sums are sorted on CUDA, and not on the CPU (OPS431)."""
    if accumulate:
        return runs_on(input) != "cpu" or input.dtype != torch.float32
    return values.numel() == 1 or (len(indices) == 1 and indices[0].dtype in (torch.bool, torch.uint8))


def index_places(input: Tensor, indices: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The indices broadcast, with a tensor of positions for each dimension of a mask. Raises IndexError."""
    found: list[Tensor] = []
    for index in indices:
        found.extend(_positions(input, index, len(found)))
    if len(found) > input.dim():
        raise IndexError(f"too many indices for tensor of dimension {input.dim()} (got {len(found)})")
    if not found:
        raise IndexError("index_put needs one index at least")
    try:
        return tuple(torch.broadcast_tensors(*found))
    except RuntimeError as error:
        raise IndexError(f"shape mismatch: indexing tensors could not be broadcast together: {error}") from error


def _positions(input: Tensor, index: Tensor, dim: int) -> Sequence[Tensor]:
    if index.dtype not in (torch.bool, torch.uint8):
        if index.dtype not in (torch.int64, torch.int32):
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        return [index.long().to(input.device)]
    if index.shape != input.shape[dim : dim + index.dim()]:
        raise IndexError(
            f"The shape of the mask {list(index.shape)} at index {dim} does not match the shape of the indexed tensor "
            f"{list(input.shape)}"
        )
    return index.to(input.device).nonzero().unbind(1)


def _put_on_the_cpu(input: Tensor, cells: Tensor, source: Tensor, accumulate: bool) -> None:
    """By index_add and scatter, which keep the order there. Rows that lie apart are copied and copied back."""
    named = cells.reshape(-1)
    rest = source.shape[cells.dim() :]
    count = math.prod(input.shape[: input.dim() - len(rest)])
    values = source.reshape(named.numel(), *rest)
    rows, shared = _viewed(input, count, *rest)
    if accumulate:
        rows.index_add_(0, named, values)
    else:
        rows.scatter_(0, named.view(-1, *[1] * len(rest)).expand(values.shape), values)
    if not shared:
        input.copy_(rows.view(input.shape))


def _viewed(input: Tensor, *shape: int) -> tuple[Tensor, bool]:
    """The input in another shape, and whether that is a view of it."""
    try:
        return input.view(shape), True
    except RuntimeError:  # dimensions that lie apart in memory
        return input.reshape(shape), False


class _Take(torch.autograd.Function):
    @staticmethod
    def forward(input: Tensor, index: Tensor) -> Tensor:
        return torch.take(input, index)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.shape = inputs[0].shape
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (index,) = ctx.saved_tensors
        return put(grads[0].new_zeros(ctx.shape), index, grads[0], accumulate=True), None


def take(input: Tensor, index: Tensor) -> Tensor:
    """`torch.take`: the cells of the flat input that `index` names. Errors are torch's own."""
    taken: Tensor = _Take.apply(input, index)  # type: ignore[no-untyped-call]
    return taken


def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """`torch.put`: where an index repeats the last position wins, or all are added in their order."""
    return put_(input.clone(memory_format=torch.contiguous_format), index, source, accumulate)


def put_(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """`torch.Tensor.put_`: `put` in place."""
    if index.dtype != torch.int64:
        raise RuntimeError("put_(): Expected a long tensor for index, but got another dtype")
    if input.dtype != source.dtype:
        raise RuntimeError("put_(): self and source expected to have the same dtype")
    if source.numel() != index.numel():
        raise IndexError("put_(): Expected source and index to have the same number of elements")
    flat, shared = _viewed(input, -1)
    _put_flat(flat, index.reshape(-1), source.reshape(-1), accumulate)
    if not shared:
        input.copy_(flat.view(input.shape))
    return input


def _put_flat(flat: Tensor, index: Tensor, values: Tensor, accumulate: bool) -> None:
    on_cpu = runs_on(flat) == "cpu"
    check_bounds([index], flat.shape)
    cells = torch.where(index < 0, index + flat.numel(), index)
    if accumulate and on_cpu:
        flat.index_add_(0, cells, values)
    elif accumulate:
        flat.index_put_((cells,), values, accumulate=True)
    elif on_cpu:
        flat.scatter_(0, cells, values)
    else:
        store_(flat, (cells,), values, last_named(cells))
