"""index_select, index_add, index_copy and repeat_interleave: whole rows, named by a vector."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from opscan.replacements.cells import runs_on
from opscan.replacements.gathering import wrapped
from opscan.replacements.stores import last_named, store_, widest


class _IndexSelect(torch.autograd.Function):
    @staticmethod
    def forward(input: Tensor, dim: int, index: Tensor) -> Tensor:
        return torch.index_select(input, dim, index)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int, Tensor], output: Tensor) -> None:
        ctx.shape, ctx.dim = inputs[0].shape, inputs[1]
        ctx.save_for_backward(inputs[2])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (index,) = ctx.saved_tensors
        return index_add(grads[0].new_zeros(ctx.shape), ctx.dim, index, grads[0]), None, None


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """`torch.index_select`: the rows along `dim` that `index` names. Errors are torch's own."""
    selected: Tensor = _IndexSelect.apply(input, dim, index)  # type: ignore[no-untyped-call]
    return selected


def repeat_interleave(
    input: Tensor, repeats: Tensor | int | None = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """`torch.repeat_interleave`: each row as often as `repeats` says; with one argument the positions themselves."""
    if not isinstance(repeats, Tensor):
        return _repeated_by_torch(input, repeats, dim, output_size)
    if dim is None:
        input, dim = input.reshape(-1), 0
    rows = input.shape[wrapped(dim, input.dim())] if input.dim() else 1
    if repeats.numel() == 1:
        repeats = repeats.reshape(1).expand(rows)
    if repeats.dim() != 1 or repeats.numel() != rows:
        raise RuntimeError("repeats must have the same size as input along dim, and one dimension")
    return index_select(input, dim, torch.repeat_interleave(repeats, output_size=output_size))


def _repeated_by_torch(input: Tensor, repeats: int | None, dim: int | None, output_size: int | None) -> Tensor:
    if repeats is None:
        return torch.repeat_interleave(input, output_size=output_size)
    return torch.repeat_interleave(input, repeats, dim, output_size=output_size)


def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """`torch.index_add`: adds where an index repeats in the order of the positions."""
    if runs_on(input) == "cpu":
        return torch.index_add(input, dim, index, source, alpha=alpha)
    cells, at, rows, values = row_places("index_add()", input, dim, index, source)
    added = cells.movedim(at, 0).index_put((rows,), _times(values, alpha).movedim(at, 0), accumulate=True)
    return added.movedim(0, at).view(input.shape)


def index_add_(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """`torch.Tensor.index_add_`: `index_add` in place."""
    if runs_on(input) == "cpu":
        return input.index_add_(dim, index, source, alpha=alpha)
    cells, at, rows, values = row_places("index_add_()", input, dim, index, source)
    cells.movedim(at, 0).index_put_((rows,), _times(values, alpha).movedim(at, 0), accumulate=True)
    return input


def _times(values: Tensor, alpha: float) -> Tensor:
    return values if alpha == 1 else values * alpha


def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """`torch.index_copy`: where an index repeats the last position wins."""
    input, source = widest(input, source, "cpu")
    return index_copy_(input.clone(), dim, index, source)


def index_copy_(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """`torch.Tensor.index_copy_`: `index_copy` in place."""
    cells, at, rows, values = row_places("index_copy_()", input, dim, index, source)
    if runs_on(input) == "cpu":  # where index_copy is parallel, and scatter keeps the order (OPS433)
        along = rows.view([-1 if d == at else 1 for d in range(cells.dim())])
        cells.scatter_(at, along.expand(values.shape), values)
        return input
    kept = last_named(rows).view([-1] + [1] * (cells.dim() - 1))
    store_(cells.movedim(at, 0), (rows,), values.movedim(at, 0), kept)
    return input


def row_places(name: str, input: Tensor, dim: int, index: Tensor, source: Tensor) -> tuple[Tensor, int, Tensor, Tensor]:
    """A view of the input, the dimension, the rows as a vector, and the source; one dimension at least.

    Raises what index_add and index_copy raise for arguments that do not fit.
    """
    at = wrapped(dim, input.dim())
    if index.dim() > 1:
        raise IndexError(f"{name}: Index is supposed to be a vector, but got dim: {index.dim()}")
    if index.dtype not in (torch.int64, torch.int32):
        raise RuntimeError(f"{name}: Expected dtype int32/int64 for index")
    if input.dtype != source.dtype:
        raise RuntimeError(f"{name}: self ({input.dtype}) and source ({source.dtype}) must have the same scalar type")
    cells, values = (each.reshape(1) if not each.dim() else each for each in (input, source))
    expected = list(cells.shape)
    expected[at] = index.numel()
    if list(values.shape) != expected:
        raise _misfit(name, index, source, expected)
    return cells, at, index.reshape(-1).long(), values


def _misfit(name: str, index: Tensor, source: Tensor, expected: list[int]) -> Exception:
    kind = IndexError if name.startswith("index_copy") and source.dim() != len(expected) else RuntimeError
    return kind(f"{name}: source has shape {list(source.shape)}, not {expected}, for {index.numel()} indices")
