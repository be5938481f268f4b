"""cumsum, cumprod and logcumsumexp of a single row, in two levels.

On CUDA a tensor whose scanned dimension is the only one goes through a scan whose grouping follows the timing of the
blocks; several rows are each scanned in a fixed order. So one row is cut into several, each is scanned, and what
comes before a row is scanned in the same way and joined to it. Elsewhere, and on the CPU, the scans are torch's own.
Source: scan_dim in aten/src/ATen/native/cuda/ScanUtils.cuh (torch 2.15).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from opscan.replacements.cells import runs_on

_SHORT = 1024
"""Up to this length a row is scanned as it is, beside a second one."""


@dataclass(frozen=True)
class _Scan:
    """A scan along a dimension, how two partial results join, and what changes no result."""

    along: Callable[[Tensor, int], Tensor]
    join: Callable[[Tensor, Tensor], Tensor]
    nothing: float


_SUM = _Scan(torch.cumsum, torch.add, 0.0)
_PRODUCT = _Scan(torch.cumprod, torch.mul, 1.0)
_LOG_SUM = _Scan(torch.logcumsumexp, torch.logaddexp, -math.inf)


def cumsum(input: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> Tensor:
    """`torch.cumsum`: running sums along `dim`."""
    if not _one_row(input, dim):
        return torch.cumsum(input, dim, dtype=dtype)
    return _scanned(_SUM, _cast(input, dtype))


def cumsum_(input: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> Tensor:
    """`torch.Tensor.cumsum_`: `cumsum` in place."""
    return input.copy_(cumsum(input, dim, dtype=dtype)) if _one_row(input, dim) else input.cumsum_(dim, dtype=dtype)


def cumprod(input: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> Tensor:
    """`torch.cumprod`: running products along `dim`."""
    if not _one_row(input, dim):
        return torch.cumprod(input, dim, dtype=dtype)
    return _scanned(_PRODUCT, _cast(input, dtype))


def cumprod_(input: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> Tensor:
    """`torch.Tensor.cumprod_`: `cumprod` in place."""
    return input.copy_(cumprod(input, dim, dtype=dtype)) if _one_row(input, dim) else input.cumprod_(dim, dtype=dtype)


def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """`torch.logcumsumexp`: logarithms of running sums of exponentials along `dim`."""
    if not _one_row(input, dim):
        return torch.logcumsumexp(input, dim)
    found: Tensor = _LogSums.apply(input)  # type: ignore[no-untyped-call]
    return found


def _one_row(input: Tensor, dim: int) -> bool:
    """Whether the scanned dimension is the only one, where that matters. What is out of range is left to torch."""
    if runs_on(input) == "cpu" or input.numel() < 2 or not -input.dim() <= dim < input.dim():
        return False
    return input.numel() == input.shape[dim]


def _cast(input: Tensor, dtype: torch.dtype | None) -> Tensor:
    if dtype is None and not (input.is_floating_point() or input.is_complex()):
        dtype = torch.int64
    return input if dtype is None else input.to(dtype)


def _scanned(scan: _Scan, input: Tensor) -> Tensor:
    """The scan of all elements, in the shape of the input."""
    return _row(scan, input.reshape(-1)).view(input.shape)


def _row(scan: _Scan, row: Tensor) -> Tensor:
    count = row.numel()
    length = _SHORT if count > _SHORT else count
    rows = max(2, -(-count // length))
    padded = F.pad(row, (0, rows * length - count), value=scan.nothing).view(rows, length)
    within = scan.along(padded, 1)
    if count <= length:
        return within[0]
    before = _row(scan, within[:-1, -1])
    joined = torch.cat([within[:1], scan.join(within[1:], before[:, None])])
    return joined.view(-1)[:count]


class _LogSums(torch.autograd.Function):
    @staticmethod
    def forward(input: Tensor) -> Tensor:
        return _scanned(_LOG_SUM, input)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], output)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """In logarithms, as the original's, so that nothing overflows: positive and negative gradients apart."""
        (grad,) = grads
        input, result = ctx.saved_tensors
        if grad.is_complex():
            return _from_the_end(grad.log() - result, input).conj()
        least = torch.finfo(grad.dtype).min
        size = grad.abs().log()
        positive, negative = (torch.where(side, size, least) for side in (grad > 0, grad < 0))
        return _from_the_end(positive - result, input) - _from_the_end(negative - result, input)


def _from_the_end(logs: Tensor, input: Tensor) -> Tensor:
    flipped = logs.reshape(-1).flip(0)
    summed: Tensor = _LogSums.apply(flipped)  # type: ignore[no-untyped-call]
    return (summed.flip(0).view(input.shape) + input).exp()
