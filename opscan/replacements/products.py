"""Products of the values that meet in a cell, in one order: a stable sort, and a scan that doubles its reach."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from opscan.replacements.gathering import gather


def products_at(index: Tensor, values: Tensor, count: int) -> Tensor:
    """Of each of `count` cells the product of the `values` (r, m) whose `index` (r or 1, m) names it: (r, count).

    1 where none does. Takes about log2(m) passes over the values; differentiable any number of times, zeros included.
    """
    if not values.shape[-1]:
        return (values.sum(-1, keepdim=True) + 1).expand(-1, count)
    ordered = index.sort(dim=-1, stable=True)
    found: Tensor = _Products.apply(values, ordered.values, ordered.indices, count)  # type: ignore[no-untyped-call]
    return found


class _Products(torch.autograd.Function):
    @staticmethod
    def forward(values: Tensor, named: Tensor, order: Tensor, count: int) -> Tensor:
        products = _up_to(_ordered(values, order), named)
        cells = torch.arange(count, device=values.device).expand(named.shape[0], -1).contiguous()
        last = torch.searchsorted(named, cells, right=True) - 1
        found = last.clamp(min=0)
        hit = (last >= 0) & (named.gather(-1, found) == cells)
        return torch.where(hit, products.gather(-1, found.expand(len(values), -1)), 1)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        values, named, order, _ = inputs
        ctx.save_for_backward(values, named, order)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        values, named, order = ctx.saved_tensors
        rows = grads[0].shape[0]
        ordered = _ordered(values, order)
        after = _up_to(ordered.flip(-1), named.flip(-1)).flip(-1)
        others = _beside(_up_to(ordered, named), named, 1) * _beside(after, named, -1)
        mine = gather(grads[0], -1, named.expand(rows, -1)) * others
        return gather(mine, -1, order.argsort(dim=-1).expand(rows, -1)), None, None, None


def _ordered(values: Tensor, order: Tensor) -> Tensor:
    return gather(values, -1, order.expand(len(values), -1))


def _up_to(values: Tensor, named: Tensor) -> Tensor:
    """Of each position the product of the values up to it that go to the same cell; equal ones are side by side."""
    step = 1
    while step < named.shape[-1]:
        same = named[:, step:] == named[:, :-step]
        reached = torch.where(same, values[:, step:] * values[:, :-step], values[:, step:])
        values = torch.cat([values[:, :step], reached], -1)
        step *= 2
    return values


def _beside(products: Tensor, named: Tensor, step: int) -> Tensor:
    """The product at the position before (or after, for a step of -1), 1 where that one goes to another cell."""
    beside = torch.where(named == named.roll(step, -1), products.roll(step, -1), 1)
    edge = 0 if step > 0 else -1
    at_edge = torch.arange(named.shape[-1], device=named.device) == edge % named.shape[-1]
    return torch.where(at_edge, 1, beside)
