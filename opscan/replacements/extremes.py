"""The largest or smallest of the values that meet in a cell, and the gradient split evenly over those that are it.

Integers have one largest in any order, so the floats are compared as integers that sort as they do: the sign of a
zero and the kind of a NaN then hang on no order either.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from opscan.replacements.gathering import gather, scatter_add

_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def extremes_at(input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, include_self: bool) -> Tensor:
    """`torch.scatter_reduce` for "amax" and "amin", with `src` of the shape of `index`."""
    found: Tensor = _Extremes.apply(input, dim, index, src, reduce, include_self)  # type: ignore[no-untyped-call]
    return found


class _Extremes(torch.autograd.Function):
    @staticmethod
    def forward(input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, include_self: bool) -> Tensor:
        if not input.is_floating_point():
            return input.scatter_reduce(dim, index, src, reduce, include_self=include_self)
        keys, others = _keys(input, reduce), _keys(src, reduce)
        return _turned(keys.scatter_reduce(dim, index, others, reduce, include_self=include_self)).view(input.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        input, ctx.dim, index, src, _, ctx.include_self = inputs
        ctx.save_for_backward(input, index, src, output)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        input, index, src, result = ctx.saved_tensors
        own = (input == result).to(input.dtype)
        others = (src == gather(result, ctx.dim, index)).to(input.dtype)
        share = grads[0] / scatter_add(own, ctx.dim, index, others)
        mine = own * share
        if not ctx.include_self:
            mine = torch.scatter(mine, ctx.dim, index, 0)
        return mine, None, None, others * gather(share, ctx.dim, index), None, None


def _keys(values: Tensor, reduce: str) -> Tensor:
    """Integers that sort as the values do; a NaN comes out on top for amax, at the bottom for amin."""
    keys = _turned(values.view(_INTEGERS[values.element_size()]))
    limits = torch.iinfo(keys.dtype)
    return keys.masked_fill(values.isnan(), limits.max if reduce == "amax" else limits.min)


def _turned(bits: Tensor) -> Tensor:
    """Negative numbers with their size turned round: floats compare as these integers do. Its own inverse."""
    return torch.where(bits < 0, bits ^ torch.iinfo(bits.dtype).max, bits)
