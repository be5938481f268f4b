"""Samples for ops that take an index tensor of as many dimensions as the cells: gather and scatter."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st

from tests.replacements.samples import Sample, leaf
from tests.replacements.samples.indexing import (
    CPU,
    EDGES,
    REDUCTIONS,
    both,
    reducing,
    scaled,
)
from tests.replacements.samples.values import Draw, dimension, floats, named, sizes, smooth, usual


def _index_like(draw: Draw, shape: list[int], dim: int, count: int) -> torch.Tensor:
    """Indices for gather and scatter: beside `dim` at most as many as there are cells."""
    drawn = [draw(st.integers(1, size)) for size in shape]
    drawn[dim] = draw(st.integers(0, 7))
    return torch.randint(count, drawn)


def _gathered(draw: Draw, dtype: torch.dtype) -> Sample:
    shape = sizes(draw, draw(st.integers(1, 3)))
    dim = dimension(draw, len(shape))
    return Sample((floats(draw, dtype, shape), dim, _index_like(draw, shape, dim, shape[dim])))


def _taken_along(draw: Draw, dtype: torch.dtype) -> Sample:
    shape = sizes(draw, 3)
    input = floats(draw, dtype, shape)
    if draw(st.booleans()):
        flat = leaf(input.detach().contiguous())  # without a dimension torch takes no other layout
        return Sample((flat, torch.randint(input.numel(), (2, 3))))
    dim = dimension(draw, 3)
    index = [draw(st.sampled_from([1, size])) for size in shape]
    index[dim] = draw(st.integers(0, 6))
    return Sample((input, torch.randint(shape[dim], index), dim))


def _scattered(draw: Draw, dtype: torch.dtype, away_from_zero: bool = False) -> tuple[Any, ...]:
    shape = sizes(draw, draw(st.integers(1, 3)))
    dim = dimension(draw, len(shape))
    index = _index_like(draw, shape, dim, shape[dim])
    source = list(index.shape)
    return (floats(draw, dtype, shape, away_from_zero), dim, index, floats(draw, dtype, source, away_from_zero))


def _scatter(draw: Draw, dtype: torch.dtype) -> Sample:
    args = _scattered(draw, dtype)
    kind = draw(st.sampled_from(["src", "number", "add", "multiply"]))
    if kind == "src":
        return Sample(args)
    if kind == "number":
        return Sample((*args[:3], 2.5))
    plain = (args[0].detach(), args[1], args[2], args[3].detach())
    return Sample(plain, {"reduce": kind})  # torch has no gradient for these


def _scatter_reduced(draw: Draw, dtype: torch.dtype) -> Sample:
    input, *others = _scattered(draw, dtype, away_from_zero=True)
    reduce, include_self = draw(st.sampled_from(REDUCTIONS)), draw(st.booleans())
    if reduce == "prod" and not include_self:
        input = input.detach()  # torch's second derivative for it is not quite zero
    return Sample((input, *others, reduce), {"include_self": include_self})


def _without_dimensions(dtype: torch.dtype) -> Sample:
    return Sample((leaf(torch.tensor(2.0, dtype=dtype)), 0, torch.tensor([0, 0]), leaf(torch.ones(2, dtype=dtype))))


def _smooth_scatter() -> Sample:
    return Sample((smooth(4, 3), 0, torch.tensor([[0, 2, 1], [3, 0, 2]]), smooth(2, 3)))


def _smooth_sum() -> Sample:
    return Sample((smooth(3, 2), 0, torch.tensor([[0, 2], [2, 2], [1, 0]]), smooth(3, 2)))


def _usual_scatter(dtype: torch.dtype, device: torch.device) -> tuple[Any, ...]:
    index = named(device, 500, 2000, 64)
    return (usual(dtype, device, 500, 64), 0, index, usual(dtype, device, 2000, 64))


DRAWN: dict[str, Any] = (
    {"gather": _gathered}
    | {"take_along_dim": _taken_along}
    | both("scatter_add", lambda draw, dtype: Sample(_scattered(draw, dtype)))
    | both("scatter", _scatter)
    | both("scatter_reduce", _scatter_reduced)
)

EXTREME: dict[str, Any] = (
    both("scatter_add", (_without_dimensions, *EDGES))
    | both("scatter", (_without_dimensions, *EDGES))
    | both("scatter_reduce", tuple(reducing(make, each) for make in EDGES for each in REDUCTIONS))
)

SMOOTH: dict[str, Any] = (
    {"gather": lambda: Sample((smooth(3, 2), 0, torch.tensor([[0, 1], [0, 1], [2, 1]])))}
    | {"take_along_dim": lambda: Sample((smooth(3, 2), torch.tensor([[0], [2], [0], [0]]), 0))}
    | both("scatter_add", _smooth_sum)
    | both("scatter", _smooth_scatter)
    | both("scatter_reduce", lambda: Sample((*_smooth_sum().args, "prod")))
)

TYPICAL: dict[str, Any] = (
    {"gather": lambda dtype, device: Sample(_usual_scatter(dtype, device)[:3])}
    | {"take_along_dim": lambda d, device: Sample((usual(d, device, 500, 64), named(device, 500, 2000, 64), 0))}
    | both("scatter_add", lambda dtype, device: Sample(_usual_scatter(dtype, device)))
    | both("scatter", lambda dtype, device: Sample(_usual_scatter(dtype, device)))
    | both("scatter_reduce", lambda dtype, device: Sample((*_usual_scatter(dtype, device), "prod")))
)

SCALED: dict[str, Any] = (
    {"gather": lambda n: Sample(scaled(n)[:3])}
    | {"take_along_dim": lambda n: Sample((smooth(n), named(CPU, n, 2 * n)))}
    | both("scatter_add", lambda n: Sample(scaled(n)))
    | both("scatter", lambda n: Sample(scaled(n)))
    | both("scatter_reduce", lambda n: Sample((*scaled(n), "prod")))
)
