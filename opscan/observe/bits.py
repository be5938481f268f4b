"""Comparing results bit by bit on the device they lie on, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

CHUNK = 1 << 22
"""Elements compared at once: what a comparison may allocate is a few times this."""

_INTEGER_OF_SIZE = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def bits_of(tensor: torch.Tensor) -> torch.Tensor:
    """The bits of a strided or sparse tensor's values as a flat tensor of integers; equal ones are equal to the NaN."""
    values = _plain(tensor)
    if values.dtype.is_complex:
        values = torch.view_as_real(values.resolve_conj())
    if values.dtype == torch.bool:
        return values.reshape(-1).to(torch.int8)
    flat = values.contiguous().reshape(-1)
    return flat.view(_INTEGER_OF_SIZE[flat.element_size()])


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    """The values as one dense tensor: all that a sparse tensor stores, and the codes of a quantized one."""
    if tensor._is_zerotensor():  # zeros without memory, which torch.equal would read
        return torch.zeros(tensor.shape, dtype=tensor.dtype, device=tensor.device)
    if tensor.is_quantized:
        return tensor.int_repr()
    if tensor.layout == torch.strided:
        return tensor.resolve_neg()
    if tensor.layout == torch.sparse_coo:
        parts = [tensor._values(), tensor._indices()]
    elif tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        parts = [tensor.values(), tensor.crow_indices(), tensor.col_indices()]
    else:
        parts = [tensor.values(), tensor.ccol_indices(), tensor.row_indices()]
    return torch.cat([bits_of(part).to(torch.int64) for part in parts])


def _chunks(flat: torch.Tensor) -> Iterator[torch.Tensor]:
    for start in range(0, flat.numel(), CHUNK):
        yield flat[start : start + CHUNK]


def same_bits(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> bool:
    """Whether two results agree in sizes, dtypes and every bit. The only thing that leaves the device is one bool."""
    if [(each.shape, each.dtype) for each in one] != [(each.shape, each.dtype) for each in other]:
        return False
    return all(torch.equal(bits_of(left), bits_of(right)) for left, right in zip(one, other, strict=True))


def max_ulps(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> int | None:
    """The greatest distance of two floating values at the same place, in units in the last place of their dtype.

    None where nothing floating differs, or where the sizes do. A NaN and a number are as far apart as their bits say.
    """
    greatest: int | None = None
    for left, right in zip(one, other, strict=False):
        if left.dtype != right.dtype or left.shape != right.shape or left.dtype not in _FLOATS:
            continue
        for mine, theirs in zip(_chunks(bits_of(left)), _chunks(bits_of(right)), strict=True):
            if not torch.equal(mine, theirs):
                greatest = max(greatest or 0, int(_distance(_ordered(mine), _ordered(theirs)).max()))
    return greatest


def _distance(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """|one - other| of int64, at most 2**62 where it would overflow."""
    roughly = (one.to(torch.float64) - other.to(torch.float64)).abs()
    return torch.where(roughly > 2**62, torch.full_like(one, 2**62), (one - other).abs())


def _ordered(bits: torch.Tensor) -> torch.Tensor:
    """Float bits as integers in the order of the floats: neighbours differ by one, and both zeros are 0."""
    lowest = torch.iinfo(bits.dtype).min
    wide = bits.to(torch.int64)
    return torch.where(wide < 0, lowest - wide, wide)
