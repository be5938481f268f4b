"""Samples for scans, ranks and draws."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st

from tests.replacements.samples import Sample, leaf
from tests.replacements.samples.values import Draw, dimension, floats, sizes, smooth, usual


def _row(draw: Draw, dtype: torch.dtype) -> Sample:
    shape = draw(st.sampled_from([[], [1], [7], [1, 5], [5, 1, 1], [3, 4], [0], [1025], [2048], [3000]]))
    input = leaf((1 + floats(draw, dtype, shape).detach() / 64).to(dtype))  # products stay finite
    return Sample((input, dimension(draw, len(shape)) if shape else 0))


def _ranked(draw: Draw, dtype: torch.dtype) -> Sample:
    shape = sizes(draw, 3)
    input = leaf(torch.randperm(torch.Size(shape).numel()).view(shape).to(dtype))  # no two are equal
    if draw(st.booleans()):
        input = leaf(torch.where(torch.rand(shape) < 0.2, torch.nan, input.detach()))
    return Sample((input, dimension(draw, 3), draw(st.booleans())))


def _distinct(like: torch.Tensor) -> torch.Tensor:
    """A leaf of that shape and dtype in which no two are equal."""
    return leaf(torch.randperm(like.numel()).view(like.shape).to(like.dtype))


def _kth(draw: Draw, dtype: torch.dtype) -> Sample:
    input, dim, keepdim = _ranked(draw, dtype).args
    return Sample((_distinct(input), draw(st.integers(1, input.shape[dim])), dim, keepdim))


def _top(draw: Draw, dtype: torch.dtype) -> Sample:
    input, dim, _ = _ranked(draw, dtype).args
    input = _distinct(input)
    return Sample((input, draw(st.integers(0, input.shape[dim])), dim, draw(st.booleans())))


def _running(draw: Draw, dtype: torch.dtype) -> Sample:
    shape = sizes(draw, draw(st.integers(1, 3)))
    return Sample((floats(draw, dtype, shape), dimension(draw, len(shape))))


def _levels(draw: Draw, dtype: torch.dtype) -> Sample:
    input, dim, keepdim = _ranked(draw, dtype).args
    q = draw(st.sampled_from([0.5, torch.tensor(0.3, dtype=dtype), torch.tensor([0.0, 0.25, 0.8, 1.0], dtype=dtype)]))
    if bool(input.isnan().any()):
        input = input.detach()  # which of several NaN gets the gradient is not said
    mode = draw(st.sampled_from(["linear", "lower", "higher", "midpoint", "nearest"]))
    return Sample((input, q, draw(st.sampled_from([dim, None])), keepdim), {"interpolation": mode})


def _drawn(draw: Draw, dtype: torch.dtype) -> Sample:
    shape = draw(st.sampled_from([[5], [1, 5], [3, 5]]))
    return Sample((torch.rand(shape).to(dtype) + 0.5, draw(st.integers(1, 4)), draw(st.booleans())))


_SCANS = ("cumsum", "cumsum_", "cumprod", "cumprod_", "logcumsumexp")
_RANKS = ("median", "nanmedian")
_RUNNING = ("cummax", "cummin")
_QUANTILES = ("quantile", "nanquantile")


def _each(names: tuple[str, ...], value: Any) -> dict[str, Any]:
    return dict.fromkeys(names, value)


DRAWN: dict[str, Any] = (
    _each(_SCANS, _row)
    | _each(_RANKS, _ranked)
    | {"kthvalue": _kth, "topk": _top, "multinomial": _drawn}
    | _each(_RUNNING, _running)
    | _each(_QUANTILES, _levels)
)


def _infinite(dtype: torch.dtype) -> Sample:
    return Sample((torch.tensor([1.0, torch.inf, -2.0, 0.0, torch.nan, 3.0], dtype=dtype), 0))


def _minus_infinite(dtype: torch.dtype) -> Sample:
    return Sample((torch.tensor([-torch.inf, -torch.inf, 1.0, -torch.inf, 2.0], dtype=dtype), 0))


def _in_integers(dtype: torch.dtype) -> Sample:
    return Sample((torch.arange(1, 9), 0))


def _nothing(dtype: torch.dtype) -> Sample:
    return Sample((torch.zeros(3, 0, dtype=dtype), 1))


def _one(dtype: torch.dtype) -> Sample:
    return Sample((leaf(torch.tensor(2.0, dtype=dtype)), 0))


EXTREME: dict[str, Any] = (
    _each(("cumsum", "cumprod"), (_infinite, _in_integers, _nothing, _one))
    | {"logcumsumexp": (_infinite, _minus_infinite, _nothing, _one)}
    | _each(_RANKS, (_infinite, _in_integers, _nothing, _one))
    | _each(_RUNNING, (_infinite, _in_integers, _nothing, _one))
)

SMOOTH: dict[str, Any] = (
    _each(_SCANS, lambda: Sample((smooth(6), 0)))
    | _each(_RANKS, lambda: Sample((smooth(3, 5), 1)))
    | _each(_RUNNING, lambda: Sample((smooth(3, 5), 1)))
    | _each(_QUANTILES, lambda: Sample((smooth(3, 5), torch.tensor([0.2, 0.3], dtype=torch.float64), 1)))
    | {"kthvalue": lambda: Sample((smooth(3, 5), 2)), "topk": lambda: Sample((smooth(3, 5), 2))}
    | {"multinomial": lambda: Sample((smooth(5).detach(), 2, True))}
)


def _usual_levels(dtype: torch.dtype, device: torch.device) -> Sample:
    return Sample((usual(dtype, device, 64, 1000), torch.tensor([0.1, 0.5, 0.9], dtype=dtype, device=device), 1))


TYPICAL: dict[str, Any] = (
    _each(_SCANS, lambda dtype, device: Sample((usual(dtype, device, 100000), 0)))
    | _each((*_RANKS, *_RUNNING), lambda dtype, device: Sample((usual(dtype, device, 64, 1000), 1)))
    | _each(_QUANTILES, _usual_levels)
    | {"kthvalue": lambda dtype, device: Sample((usual(dtype, device, 64, 1000), 100))}
    | {"topk": lambda dtype, device: Sample((usual(dtype, device, 128, 4096), 64))}
    | {"multinomial": lambda dtype, device: Sample((torch.ones(1000, dtype=dtype, device=device), 500, True))}
)

SCALED: dict[str, Any] = (
    _each(_SCANS, lambda n: Sample((smooth(n), 0)))
    | _each((*_RANKS, *_RUNNING), lambda n: Sample((smooth(4, n), 1)))
    | _each(_QUANTILES, lambda n: Sample((smooth(4, n), torch.tensor([0.1, 0.5], dtype=torch.float64), 1)))
    | {"kthvalue": lambda n: Sample((smooth(4, n), 3)), "topk": lambda n: Sample((smooth(4, n), 3))}
    | {"multinomial": lambda n: Sample((torch.ones(n), n, True))}
)
