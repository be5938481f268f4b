"""quantile and nanquantile: a sort, and gather, whose backward keeps one order."""

from __future__ import annotations

import torch
from torch import Tensor

from opscan.replacements.cells import runs_on
from opscan.replacements.gathering import gather

_ROUNDED = {"lower": torch.floor, "higher": torch.ceil, "nearest": torch.round}


def quantile(
    input: Tensor, q: Tensor | float, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """`torch.quantile`: NaN where a row holds one. Errors are torch's own."""
    if runs_on(input) == "cpu" or not _several(input, q):
        return torch.quantile(input, q, dim, keepdim, interpolation=interpolation)
    rows, shape = _sorted_rows(input, dim)
    last = rows.shape[-1] - 1
    ranks = _levels(rows, q) * last
    ranks = torch.where(rows.isnan().any(-1, keepdim=True), last, ranks)
    return _shaped(_at(rows, ranks, interpolation), q, shape, dim, keepdim)


def nanquantile(
    input: Tensor, q: Tensor | float, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """`torch.nanquantile`: of what is not NaN. Errors are torch's own."""
    if runs_on(input) == "cpu" or not _several(input, q):
        return torch.nanquantile(input, q, dim, keepdim, interpolation=interpolation)
    rows, shape = _sorted_rows(input, dim)
    count = rows.isnan().logical_not().sum(-1, keepdim=True)
    ranks = (_levels(rows, q) * (count - 1)).clamp(min=0)
    return _shaped(_at(rows, ranks, interpolation), q, shape, dim, keepdim)


def _several(input: Tensor, q: Tensor | float) -> bool:
    """Whether several levels are asked for, which may fall on one cell; a single one has a single addend."""
    if not isinstance(q, Tensor) or input.dtype not in (torch.float32, torch.float64):
        return False
    return q.dim() == 1 and q.numel() > 1 and q.dtype == input.dtype and input.numel() > 0


def _sorted_rows(input: Tensor, dim: int | None) -> tuple[Tensor, list[int]]:
    """Sorted along the last dimension, which is `dim`, and the sizes that the result has there: 1 for `dim`."""
    if dim is None:
        return input.reshape(-1).sort(stable=True).values, [1] * input.dim()
    if not input.dim():
        return input.reshape(1), []
    shape = list(input.shape)
    shape[dim] = 1
    return input.movedim(dim, -1).sort(dim=-1, stable=True).values, shape


def _levels(rows: Tensor, q: Tensor | float) -> Tensor:
    levels = torch.as_tensor(q, dtype=rows.dtype, device=rows.device).reshape(-1)
    return levels.view(*[1] * (rows.dim() - 1), -1).expand(*rows.shape[:-1], -1)


def _at(rows: Tensor, ranks: Tensor, interpolation: str) -> Tensor:
    if interpolation in _ROUNDED:
        return gather(rows, -1, _ROUNDED[interpolation](ranks).long())
    if interpolation not in ("linear", "midpoint"):
        raise RuntimeError(
            "quantile() interpolation must be one of linear, lower, higher, midpoint or nearest, but got "
            f"{interpolation}"
        )
    below = ranks.long()
    weights = torch.full_like(ranks, 0.5) if interpolation == "midpoint" else ranks - below
    return torch.lerp(gather(rows, -1, below), gather(rows, -1, ranks.ceil().long()), weights)


def _shaped(found: Tensor, q: Tensor | float, shape: list[int], dim: int | None, keepdim: bool) -> Tensor:
    """The levels first where there are several, as the original gives them."""
    found = found.movedim(-1, 0)
    if keepdim:
        return found.reshape(found.shape[0], *shape)
    return found
