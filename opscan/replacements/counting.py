"""bincount with weights, and histc of floating point numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from opscan.replacements.cells import runs_on, sum_at


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """`torch.bincount`: the weights of a bin are added in the order of their positions. Errors are torch's own."""
    if weights is None or runs_on(input) == "cpu":
        return torch.bincount(input, weights, minlength)
    counts = torch.bincount(input, minlength=minlength)
    if not input.numel():
        return counts
    if weights.shape != input.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    dtype = torch.float32 if weights.dtype == torch.float32 else torch.float64
    return sum_at(torch.zeros_like(counts, dtype=dtype), input.long(), weights.to(dtype))


def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """`torch.histc`: counts in whole numbers, so that no order matters; outside of the range nothing is counted.

    Where `min` and `max` are equal the range is that of the data; it may then hold no infinity and no NaN.
    Source: getBin in aten/src/ATen/native/cuda/SummaryOps.cu (torch 2.15).
    """
    if runs_on(input) == "cpu" or not input.is_floating_point() or bins <= 0 or min > max:
        return torch.histc(input, bins, min, max)
    values = input.detach().reshape(-1)
    low, high = _range(values, min, max)
    inside = (values >= low) & (values <= high)
    place = ((values - low) * bins / (high - low)).to(torch.int64).clamp(0, bins - 1)
    counts = torch.zeros(bins + 1, dtype=torch.int64, device=input.device)
    counted = sum_at(counts, torch.where(inside, place, bins), torch.ones_like(place))
    return counted[:bins].to(input.dtype)


def _range(values: Tensor, low: float, high: float) -> tuple[Tensor, Tensor]:
    """Both ends on the device: those given, or those of the data, a unit apart from a single value on either side."""
    ends = torch.tensor(low, dtype=values.dtype), torch.tensor(high, dtype=values.dtype)
    first, last = (end.to(values.device) for end in ends)
    if low == high and values.numel():
        first, last = torch.aminmax(values)
    single = first == last
    return torch.where(single, first - 1, first), torch.where(single, last + 1, last)
