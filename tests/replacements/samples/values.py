"""Tensors for the samples: sizes, layouts and ties are drawn, numbers come from torch's generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import strategies as st

from tests.replacements.samples import leaf

Draw = Callable[..., Any]


def sizes(draw: Draw, dims: int, least: int = 1, most: int = 5) -> list[int]:
    """As many sizes as there are dimensions."""
    return [draw(st.integers(least, most)) for _ in range(dims)]


def floats(draw: Draw, dtype: torch.dtype, shape: list[int], away_from_zero: bool = False) -> torch.Tensor:
    """A leaf of that shape: contiguous, permuted or a part of a larger tensor, with many equal values or none."""
    layout = draw(st.sampled_from(["contiguous", "permuted", "strided"]))
    if layout == "permuted":
        values = torch.randn(shape[::-1]).permute(*reversed(range(len(shape))))
    elif layout == "strided" and shape:
        values = torch.randn([*shape[:-1], 2 * shape[-1]])[..., ::2]
    else:
        values = torch.randn(shape)
    if draw(st.booleans()):
        values = values.round()
    if away_from_zero:
        values = torch.where(values.abs() < 0.25, torch.ones(()), values)
    return leaf(values.to(dtype))


def dimension(draw: Draw, dims: int) -> int:
    """A dimension, counted from the front or from the end."""
    return int(draw(st.integers(-dims, dims - 1)))


def smooth(*shape: int) -> torch.Tensor:
    """A leaf in float64 whose values are all different, none near zero, none near another."""
    count = torch.Size(shape).numel()
    values = 0.4 + torch.randperm(count, generator=torch.Generator().manual_seed(0)).double() / max(count, 1)
    return leaf(values.view(shape))


def usual(dtype: torch.dtype, device: torch.device, *shape: int) -> torch.Tensor:
    """A leaf of random numbers."""
    return leaf(torch.randn(shape, device=device).to(dtype))


def named(device: torch.device, count: int, *shape: int) -> torch.Tensor:
    """Indices below `count`, many of them equal."""
    return torch.randint(count, shape, device=device)
