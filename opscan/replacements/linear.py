"""A linear map of one tensor whose two directions are given: each is the other's gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]


def mapped(x: Tensor, there: Map, back: Map) -> Tensor:
    """`there(x)`, with `back` as its gradient and `there` again as the gradient of that.

    Both act on the last dimensions alone, so that vmap can fold its dimension into the first; neither may look at the
    size of the first dimension. Works under torch.func, in forward mode too.
    """
    result: Tensor = _Mapped.apply(x, there, back)  # type: ignore[no-untyped-call]
    return result


class _Mapped(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, there: Map, back: Map) -> Tensor:
        return there(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        _, ctx.there, ctx.back = inputs

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
        return mapped(grads[0], ctx.back, ctx.there), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return mapped(tangents[0], ctx.there, ctx.back)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], x: Tensor, there: Map, back: Map) -> tuple[Tensor, int]:
        batches = x.movedim(in_dims[0], 0)
        return mapped(batches.flatten(0, 1), there, back).unflatten(0, batches.shape[:2]), 0
