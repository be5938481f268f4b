"""scatter: the last position wins, or all that meet in a cell are added or multiplied in their order.

On the CPU torch's own scatter keeps one order by itself.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from opscan.replacements.cells import runs_on
from opscan.replacements.gathering import aligned, scatter_add
from opscan.replacements.reducing import scatter_reduce
from opscan.replacements.stores import coordinates, last_named, numbers, store_


def scatter(
    input: Tensor, dim: int, index: Tensor, src: Tensor | float | None = None, *, value: Any = None, reduce: Any = None
) -> Tensor:
    """`torch.scatter`: where an index repeats the last position wins, or all are added or multiplied in their order.

    `src` (or `value`) is a tensor or a number. Unlike the original's, `reduce` has a gradient.
    """
    if isinstance(src, Tensor) and reduce is not None:
        return _reduced(input, dim, index, src, reduce)
    if not isinstance(src, Tensor) or runs_on(input) == "cpu":
        return torch.scatter(input, dim, index, **_given(src, value, reduce))
    return scatter_(input.clone(), dim, index, src)


def scatter_(
    input: Tensor, dim: int, index: Tensor, src: Tensor | float | None = None, *, value: Any = None, reduce: Any = None
) -> Tensor:
    """`torch.Tensor.scatter_`: `scatter` in place."""
    if isinstance(src, Tensor) and reduce is not None:
        return input.copy_(_reduced(input.clone(), dim, index, src, reduce))
    if not isinstance(src, Tensor) or runs_on(input) == "cpu":
        return input.scatter_(dim, index, **_given(src, value, reduce))
    cells, at, named, values = aligned("scatter_()", input, dim, index, src)
    places = coordinates(named, at)
    store_(cells, places, values, last_named(numbers(places, cells.shape)))
    return input


def _given(src: Any, value: Any, reduce: Any) -> dict[str, Any]:
    """The arguments as torch's overloads name them: a number is a `value`."""
    key = "src" if isinstance(src, Tensor) else "value"
    return {key: value if src is None else src} | ({} if reduce is None else {"reduce": reduce})


def _reduced(input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str) -> Tensor:
    if reduce == "add":
        return scatter_add(input, dim, index, src)
    if reduce == "multiply":
        return scatter_reduce(input, dim, index, src, "prod")
    raise RuntimeError("reduce argument must be either add or multiply.")
