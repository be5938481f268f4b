"""median, nanmedian, kthvalue and topk by a stable sort; cummax, cummin and quantile with gather's backward.

Of several equal values the first is the one that is named, in every run. On the CPU those without a rule are torch's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.return_types import cummax as Cummax
from torch.return_types import cummin as Cummin
from torch.return_types import kthvalue as Kthvalue
from torch.return_types import median as Median
from torch.return_types import nanmedian as Nanmedian
from torch.return_types import topk as Topk

from opscan.replacements.cells import runs_on
from opscan.replacements.gathering import gather, scatter_add, wrapped


def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """`torch.median`: the lower median; NaN where there is one. Along a `dim` also the first index that holds it."""
    if dim is None:
        return torch.median(input)
    if runs_on(input) == "cpu":
        return torch.median(input, dim, keepdim)
    last = _size(input, dim) - 1
    rank = torch.where(input.isnan().any(dim, keepdim=True), last, last // 2)
    return Median(_picked(input, dim, rank, keepdim))


def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """`torch.nanmedian`: the lower median of what is not NaN. Along a `dim` also the first index that holds it."""
    if dim is None:
        return torch.nanmedian(input)
    if runs_on(input) == "cpu":
        return torch.nanmedian(input, dim, keepdim)
    _size(input, dim)
    count = input.isnan().logical_not().sum(dim, keepdim=True)
    return Nanmedian(_picked(input, dim, (count - 1).clamp(min=0) // 2, keepdim))


def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """`torch.kthvalue`: the k-th smallest, counted from 1, and the first index that holds it."""
    if runs_on(input) == "cpu":
        return torch.kthvalue(input, k, dim, keepdim)
    size = _size(input, dim)
    if not 1 <= k <= size:
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {dim}")
    rank = torch.full_like(input.detach().sum(dim, keepdim=True), k - 1, dtype=torch.int64)
    return Kthvalue(_picked(input, dim, rank, keepdim))


def _size(input: Tensor, dim: int) -> int:
    size = input.shape[wrapped(dim, input.dim())] if input.dim() else 1
    if not size:
        raise IndexError(f"Expected reduction dim {dim} to have non-zero size.")
    return size


def _picked(input: Tensor, dim: int, rank: Tensor, keepdim: bool) -> tuple[Tensor, Tensor]:
    """The value of that rank along `dim`, and the first index that holds it. One index per row: no two meet."""
    if not input.dim():
        return input.clone(), torch.zeros_like(rank)
    rows = input.detach()
    value = rows.sort(dim=dim, stable=True).values.gather(dim, rank)
    holds = (rows == value) | (rows.isnan() & value.isnan())
    index = holds.to(torch.uint8).argmax(dim, keepdim=True)
    picked = input.gather(dim, index)
    return (picked, index) if keepdim else (picked.squeeze(dim), index.squeeze(dim))


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """`torch.topk`: of equal values those with the smallest index, in order whether `sorted` or not."""
    if runs_on(input) == "cpu":
        return torch.topk(input, k, dim, largest, sorted)
    size = input.shape[wrapped(dim, input.dim())] if input.dim() else 1
    if not 0 <= k <= size:
        raise RuntimeError("selected index k out of range")
    index = input.detach().sort(dim=dim, descending=largest, stable=True).indices
    index = index.narrow(dim, 0, k) if input.dim() else index
    return Topk((gather(input, dim, index), index))


class _RunningExtreme(torch.autograd.Function):
    @staticmethod
    def forward(input: Tensor, dim: int, largest: bool) -> tuple[Tensor, Tensor]:
        values, indices = torch.cummax(input, dim) if largest else torch.cummin(input, dim)
        return values, indices

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int, bool], output: tuple[Tensor, Tensor]) -> None:
        ctx.dim = inputs[1]
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (indices,) = ctx.saved_tensors
        return scatter_add(torch.zeros_like(grads[0]), ctx.dim, indices, grads[0]), None, None


def cummax(input: Tensor, dim: int) -> Any:
    """`torch.cummax`: the largest up to each position, and where it is. Errors are torch's own."""
    return Cummax(_RunningExtreme.apply(input, dim, True))  # type: ignore[no-untyped-call]


def cummin(input: Tensor, dim: int) -> Any:
    """`torch.cummin`: the smallest up to each position, and where it is. Errors are torch's own."""
    return Cummin(_RunningExtreme.apply(input, dim, False))  # type: ignore[no-untyped-call]
