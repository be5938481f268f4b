"""Classification losses over images and sequences: one loss per pixel, then torch's own sum in a fixed order."""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn import _reduction


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`F.nll_loss`; input (N, C, d1, ...) is reduced outside the kernel, any other is passed on.

    Errors are the original's. Source: aten/src/ATen/native/cuda/NLLLoss2d.cu (torch 2.15): with reduction="none" the
    kernel stores one loss per pixel and adds nothing.
    """
    reduction = _legacy(size_average, reduce, reduction)
    if input.dim() < 3 or reduction not in ("mean", "sum"):
        return F.nll_loss(input, target, weight, ignore_index=ignore_index, reduction=reduction)
    losses = F.nll_loss(input, target, weight, ignore_index=ignore_index, reduction="none")
    return _reduced(losses, target, weight, ignore_index, reduction)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """`F.cross_entropy`; class indices of input (N, C, d1, ...) are reduced outside the kernel, all else is passed on.

    Errors are the original's. Source: aten/src/ATen/native/LossNLL.cpp (torch 2.15): the two terms of label smoothing
    are divided by the same sum of weights.
    """
    reduction = _legacy(size_average, reduce, reduction)
    by_kernel = input.dim() < 3 or input.shape == target.shape or reduction not in ("mean", "sum")
    inner = reduction if by_kernel else "none"
    losses = F.cross_entropy(
        input, target, weight, ignore_index=ignore_index, reduction=inner, label_smoothing=label_smoothing
    )
    return losses if by_kernel else _reduced(losses, target, weight, ignore_index, reduction)


def _legacy(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    if size_average is None and reduce is None:
        return reduction
    return _reduction.legacy_get_string(size_average, reduce)


def _reduced(losses: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str) -> Tensor:
    """The sum of losses, or its quotient by the weights of all targets that count; half precision is added in float32.

    As in the kernel, there is nothing to divide by where all targets are ignored: 0 / 0.
    """
    wide = torch.float32 if losses.dtype in (torch.float16, torch.bfloat16) else losses.dtype
    total = losses.sum(dtype=wide)
    if reduction == "mean":
        total = total / _total_weight(target, weight, ignore_index, wide)
    return total.to(losses.dtype)


def _total_weight(target: Tensor, weight: Tensor | None, ignore_index: int, dtype: torch.dtype) -> Tensor:
    counted = target != ignore_index
    if weight is None:
        return counted.sum().to(dtype)
    each = weight.detach().index_select(0, target.where(counted, 0).reshape(-1).long())
    return each.where(counted.reshape(-1), 0).sum(dtype=dtype)


class NLLLoss(nn.NLLLoss):
    """`nn.NLLLoss`; see `nll_loss`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return nll_loss(input, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # the name is deprecated: using it warns, not importing this

    class NLLLoss2d(nn.NLLLoss2d):
        """`nn.NLLLoss2d`, the deprecated name of `nn.NLLLoss`; see `nll_loss`."""

        def forward(self, input: Tensor, target: Tensor) -> Tensor:
            return nll_loss(input, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class CrossEntropyLoss(nn.CrossEntropyLoss):
    """`nn.CrossEntropyLoss`; see `cross_entropy`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )
