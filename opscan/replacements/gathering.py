"""gather, whose backward is scatter_add, and scatter_add, whose backward is gather.

On CUDA scatter_add is index_put(accumulate=True), which sorts; on the CPU torch's own keeps one order.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from opscan.replacements.cells import runs_on
from opscan.replacements.stores import coordinates


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(input: Tensor, dim: int, index: Tensor) -> Tensor:
        return torch.gather(input, dim, index)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int, Tensor], output: Tensor) -> None:
        ctx.shape, ctx.dim = inputs[0].shape, inputs[1]
        ctx.save_for_backward(inputs[2])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (index,) = ctx.saved_tensors
        return scatter_add(grads[0].new_zeros(ctx.shape), ctx.dim, index, grads[0]), None, None


def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """`torch.gather`: the cells that `index` names along `dim`. Errors are torch's own."""
    if sparse_grad:
        return torch.gather(input, dim, index, sparse_grad=True)
    gathered: Tensor = _Gather.apply(input, dim, index)  # type: ignore[no-untyped-call]
    return gathered


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """`torch.take_along_dim`: gather with broadcasting, over the flat input where no `dim` is given."""
    if dim is None:
        return gather(input.reshape(-1), 0, indices.reshape(-1))
    if input.dim() != indices.dim():
        raise RuntimeError(
            f"torch.take_along_dim(): input and indices should have the same number of dimensions, but got "
            f"{input.dim()} dimensions for input, and {indices.dim()} dimensions for indices"
        )
    picked = wrapped(dim, input.dim())
    one = list(torch.broadcast_shapes(_but_for(input, picked, 1), _but_for(indices, picked, 1)))
    source = input.broadcast_to([*one[:picked], input.shape[picked], *one[picked + 1 :]])
    return gather(source, picked, indices.broadcast_to([*one[:picked], indices.shape[picked], *one[picked + 1 :]]))


def _but_for(tensor: Tensor, dim: int, size: int) -> list[int]:
    return [size if at == dim else each for at, each in enumerate(tensor.shape)]


def wrapped(dim: int, dims: int) -> int:
    """The dimension, counted from the front. Raises IndexError, as torch does."""
    most = max(dims, 1)
    if not -most <= dim < most:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-most}, {most - 1}], but got {dim})")
    return dim % most


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """`torch.scatter_add`: adds where an index repeats in the order of the positions."""
    if runs_on(input) == "cpu":
        return torch.scatter_add(input, dim, index, src)
    cells, at, named, values = aligned("scatter_add()", input, dim, index, src)
    return cells.index_put(coordinates(named, at), values, accumulate=True).view(input.shape)


def scatter_add_(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """`torch.Tensor.scatter_add_`: `scatter_add` in place."""
    if runs_on(input) == "cpu":
        return input.scatter_add_(dim, index, src)
    cells, at, named, values = aligned("scatter_add_()", input, dim, index, src)
    cells.index_put_(coordinates(named, at), values, accumulate=True)
    return input


def aligned(name: str, input: Tensor, dim: int, index: Tensor, src: Tensor) -> tuple[Tensor, int, Tensor, Tensor]:
    """A view of the input, the dimension, the index, and as much of `src` as it reads; one dimension at least.

    Raises what scatter raises for arguments that do not fit.
    """
    at = wrapped(dim, input.dim())
    if index.dtype not in (torch.int64, torch.int32):
        raise RuntimeError(f"{name}: Expected dtype int32/int64 for index")
    if not index.numel():  # whatever its shape is: nothing is written
        return input.reshape(-1), 0, index.reshape(-1), src.reshape(-1)[:0]
    cells, named, values = (each.reshape(1) if not each.dim() else each for each in (input, index, src))
    if not cells.dim() == named.dim() == values.dim():
        raise RuntimeError("Index tensor must have the same number of dimensions as self and src tensor")
    for d, size in enumerate(named.shape):
        if size > values.shape[d] or (d != at and size > cells.shape[d]):
            raise RuntimeError(
                f"Expected index {list(index.shape)} to be no larger than self {list(input.shape)} apart from "
                f"dimension {dim} and to be no larger size than src {list(src.shape)}"
            )
    return cells, at, named, values[tuple(slice(size) for size in named.shape)]
