"""scatter_reduce and index_reduce: sums, means, products and extremes of what meets in a cell, in one order.

On the CPU torch's own keep one order by themselves.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from opscan.replacements.cells import runs_on
from opscan.replacements.extremes import extremes_at
from opscan.replacements.gathering import aligned, scatter_add
from opscan.replacements.indexing import index_add, row_places
from opscan.replacements.products import products_at


def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """`torch.scatter_reduce` for its five reductions: sum, prod, mean, amax, amin."""
    if runs_on(input) == "cpu":
        return torch.scatter_reduce(input, dim, index, src, reduce, include_self=include_self)
    cells, at, named, values = aligned("scatter_reduce()", input, dim, index, src)
    return _scattered(cells, at, named, values, reduce, include_self).view(input.shape)


def scatter_reduce_(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """`torch.Tensor.scatter_reduce_`: `scatter_reduce` in place."""
    if runs_on(input) == "cpu":
        return input.scatter_reduce_(dim, index, src, reduce, include_self=include_self)
    return input.copy_(scatter_reduce(_kept(input), dim, index, src, reduce, include_self=include_self))


def index_reduce(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """`torch.index_reduce` for its four reductions: prod, mean, amax, amin."""
    if runs_on(input) == "cpu":
        return torch.index_reduce(input, dim, index, source, reduce, include_self=include_self)
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(f"reduce argument must be either prod, mean, amax or amin, got {reduce}.")
    cells, at, rows, values = row_places("index_reduce()", input, dim, index, source)
    along = rows.view([-1 if d == at else 1 for d in range(cells.dim())])
    if reduce in ("amax", "amin"):
        found = extremes_at(cells, at, along.expand(values.shape), values, reduce, include_self)
    elif reduce == "prod":
        base = cells if include_self else cells.index_fill(at, rows, 1)
        found = base * _products(cells, at, along, values)
    else:
        found = _row_means(cells, at, rows, values, include_self)
    return found.view(input.shape)


def index_reduce_(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """`torch.Tensor.index_reduce_`: `index_reduce` in place."""
    if runs_on(input) == "cpu":
        return input.index_reduce_(dim, index, source, reduce, include_self=include_self)
    return input.copy_(index_reduce(_kept(input), dim, index, source, reduce, include_self=include_self))


def _kept(input: Tensor) -> Tensor:
    """What the backward may need of the input when its own memory holds the result."""
    return input.clone() if input.requires_grad else input


def _scattered(cells: Tensor, dim: int, index: Tensor, values: Tensor, reduce: str, include_self: bool) -> Tensor:
    if reduce in ("amax", "amin"):
        return extremes_at(cells, dim, index, values, reduce, include_self)
    if reduce == "prod":
        base = cells if include_self else torch.scatter(cells, dim, index, 1)
        return base * _products(cells, dim, index, values)
    if reduce not in ("sum", "mean"):
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}.")
    base = cells if include_self else torch.scatter(cells, dim, index, 0)
    total = scatter_add(base, dim, index, values)
    if reduce == "sum":
        return total
    start = torch.full_like(cells, int(include_self), dtype=_counting(cells), requires_grad=False)
    return _divided(total, scatter_add(start, dim, index, torch.ones_like(values, dtype=start.dtype)))


def _row_means(cells: Tensor, dim: int, rows: Tensor, values: Tensor, include_self: bool) -> Tensor:
    base = cells if include_self else cells.index_fill(dim, rows, 0)
    total = index_add(base, dim, rows, values)
    start = torch.full((cells.shape[dim],), int(include_self), dtype=_counting(cells), device=cells.device)
    counts = index_add(start, 0, rows, torch.ones_like(rows, dtype=start.dtype))
    return _divided(total, counts.view([-1 if d == dim else 1 for d in range(cells.dim())]))


def _counting(cells: Tensor) -> torch.dtype:
    """A dtype that counts exactly, whatever the cells are."""
    return torch.float64 if cells.dtype == torch.float64 else torch.float32 if _floats(cells) else torch.int64


def _divided(total: Tensor, counts: Tensor) -> Tensor:
    counts = counts.clamp(min=1)
    exact = total / counts if _floats(total) else total.div(counts, rounding_mode="floor")
    return exact.to(total.dtype)


def _floats(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _products(cells: Tensor, dim: int, index: Tensor, values: Tensor) -> Tensor:
    """The product of what goes to each cell; 1 where nothing does. `index` may have sizes of one beside `dim`."""
    rows, named = values.movedim(dim, -1), index.movedim(dim, -1)
    found = products_at(_as_rows(named), _as_rows(rows), cells.shape[dim])
    found = found.view(*rows.shape[:-1], cells.shape[dim]).movedim(-1, dim)
    missing = [size for d in reversed(range(cells.dim())) for size in (0, cells.shape[d] - found.shape[d])]
    return F.pad(found, missing, value=1) if any(missing) else found


def _as_rows(tensor: Tensor) -> Tensor:
    """All dimensions but the last as one, also where there is nothing."""
    return tensor.reshape(math.prod(tensor.shape[:-1]), tensor.shape[-1])
