"""x[key] = values and x[key] with tensors among the indices: index_put and index_select on a view of the tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from opscan.replacements.cells import runs_on
from opscan.replacements.indexing import index_select
from opscan.replacements.putting import index_places, index_put_
from opscan.replacements.stores import check_bounds, numbers


@dataclass(frozen=True)
class _Key:
    """What is left of a key when slices, numbers, None and ... have been applied.

    `view` has the indexed dimensions first, as `indices` go; `at` is where those of the indices come in the result.
    """

    view: Tensor
    indices: tuple[Tensor, ...]
    at: int


def setitem_(input: Tensor, key: Any, value: Any) -> Tensor:
    """`torch.Tensor.__setitem__`: x[key] = value, where an index repeats the last position wins; returns `input`."""
    found = _split(input, key) if isinstance(value, Tensor) and value.numel() != 1 else None
    if found is None:
        input[key] = value
        return input
    places = index_places(found.view, found.indices)
    count, rest = places[0].dim(), found.view.shape[len(places) :]
    shape = [*rest[: found.at], *places[0].shape, *rest[found.at :]]
    values = _without_leading_ones(value.to(input.device, input.dtype), len(shape)).expand(shape)
    index_put_(found.view, places, values.movedim(_span(found.at, count), _span(0, count)))
    return input


def getitem(input: Tensor, key: Any) -> Tensor:
    """`torch.Tensor.__getitem__`: x[key], whose gradients are added at repeated indices in their order.

    On CUDA torch's own does that, and on the CPU for all dtypes but float32 (OPS431).
    """
    on_cpu = runs_on(input) == "cpu" and input.dtype == torch.float32 and input.requires_grad
    found = _split(input, key) if on_cpu else None
    if found is None:
        plain: Tensor = input[key]
        return plain
    places = index_places(found.view, found.indices)
    count, rest = places[0].dim(), found.view.shape[len(places) :]
    check_bounds(places, found.view.shape[: len(places)])
    if len(places) == 1:
        rows, named = found.view, torch.where(places[0] < 0, places[0] + len(found.view), places[0])
    else:
        rows, named = found.view.reshape(-1, *rest), numbers(places, found.view.shape[: len(places)])
    picked = index_select(rows, 0, named.reshape(-1)).view(*named.shape, *rest)
    return picked.movedim(_span(0, count), _span(found.at, count))


def _span(start: int, count: int) -> list[int]:
    return list(range(start, start + count))


def _split(input: Tensor, key: Any) -> _Key | None:
    """None where no tensor indexes, or something that is left to torch: a bool, a mask alone."""
    parts = [_as_index(part) for part in (key if isinstance(key, tuple) else (key,))]
    if any(isinstance(part, bool) or not _known(part) for part in parts):
        return None
    tensors = [part for part in parts if isinstance(part, Tensor)]
    if not tensors or (len(parts) == 1 and _is_mask(tensors[0])):
        return None
    basic: list[Any] = []
    for part in parts:
        basic.extend([slice(None)] * _takes(part) if isinstance(part, Tensor) else [part])
    view = input[tuple(basic)]
    dims = _dims_of_tensors(input, parts)
    adjacent = dims == list(range(dims[0], dims[0] + len(dims)))
    return _Key(view.movedim(dims, list(range(len(dims)))), tuple(tensors), dims[0] if adjacent else 0)


def _as_index(part: Any) -> Any:
    """Lists become tensors, tensors without dimensions numbers, as torch reads them."""
    if isinstance(part, (list, range)) and not any(isinstance(each, (slice, type(None))) for each in part):
        part = torch.as_tensor(list(part))
    if isinstance(part, Tensor) and not part.dim() and not _is_mask(part):
        return int(part)
    return part


def _known(part: Any) -> bool:
    if isinstance(part, Tensor):
        return part.dim() > 0
    return part is None or part is ... or isinstance(part, (int, slice))


def _is_mask(part: Tensor) -> bool:
    return part.dtype in (torch.bool, torch.uint8)


def _takes(part: Any) -> int:
    """How many dimensions of the input a part of the key takes."""
    if part is None or part is ...:
        return 0
    return part.dim() if isinstance(part, Tensor) and _is_mask(part) else 1


def _dims_of_tensors(input: Tensor, parts: list[Any]) -> list[int]:
    """The dimensions of the view that tensors index."""
    found: list[int] = []
    at = 0
    for part in parts:
        if isinstance(part, Tensor):
            found.extend(range(at, at + _takes(part)))
        at += _leaves(input, parts, part)
    return found


def _leaves(input: Tensor, parts: list[Any], part: Any) -> int:
    """How many dimensions of the view come of a part of the key."""
    if part is ...:
        return input.dim() - sum(map(_takes, parts))
    if isinstance(part, int):
        return 0
    return 1 if part is None else _takes(part)


def _without_leading_ones(value: Tensor, dims: int) -> Tensor:
    while value.dim() > dims and value.shape[0] == 1:
        value = value[0]
    return value
