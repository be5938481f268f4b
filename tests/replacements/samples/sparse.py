"""Sparse matrices want no gradient here: that of the original is dense. test_sparse.py looks at their gradients."""

from __future__ import annotations

import math
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from tests.replacements.samples import Drawn, Sample, leaf


def _entries(count: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """A sparse COO tensor of `count` values, some at the same place."""
    places = torch.stack([torch.randint(max(size, 1), (count if size else 0,)) for size in shape])
    return torch.sparse_coo_tensor(places, torch.randn(places.size(1)).to(dtype), shape, check_invariants=True)


def _drawn(name: str) -> Drawn:
    def sample(draw: Any, dtype: torch.dtype) -> Sample:
        size, inner, width = draw(st.integers(1, 5)), draw(st.integers(1, 5)), draw(st.integers(1, 4))
        count = draw(st.sampled_from([0, 1, 3, 40]))
        if name == "bmm":
            matrix = _entries(count, 2, size, inner, dtype=dtype)
            return Sample((matrix, leaf(torch.randn(2, inner, width).to(dtype))))
        matrix = _entries(count, size, inner, dtype=dtype)
        layout = draw(st.sampled_from(["coo", "coalesced", "csr", "strided"]))
        convert = {"coo": lambda each: each, "coalesced": Tensor.coalesce, "csr": Tensor.to_sparse_csr}
        matrix = convert.get(layout, Tensor.to_dense)(matrix)
        if name == "mv":
            return Sample((matrix, leaf(torch.randn(inner).to(dtype))))
        dense = torch.randn(inner, width).to(dtype)
        dense = leaf(dense.t().contiguous().t() if draw(st.booleans()) else dense)
        if name == "mm":
            return Sample((matrix, dense))
        scales = {"beta": draw(st.sampled_from([0, 1, 0.5])), "alpha": draw(st.sampled_from([1, 2.0]))}
        return Sample((leaf(torch.randn(size, width).to(dtype)), matrix, dense), scales)

    return sample


def _of(
    name: str, size: int, count: int, width: int = 32, *, device: Any = "cpu", dtype: torch.dtype = torch.float32
) -> Sample:
    batch = (2,) if name == "bmm" else ()
    matrix = _entries(count, *batch, size, size).coalesce()
    options = {"device": device, "dtype": dtype}
    matrix = torch.sparse_coo_tensor(
        matrix.indices().to(device), matrix.values().to(**options), matrix.shape, is_coalesced=True
    )
    dense = leaf(torch.randn(*batch, size, *(() if name == "mv" else (width,)), **options))
    added = (leaf(torch.randn(size, width, **options)),) if name == "addmm" else ()
    return Sample((*added, matrix, dense))


def _extreme(value: float) -> Any:
    def sample(dtype: torch.dtype) -> Sample:
        matrix = torch.sparse_coo_tensor([[0, 0], [1, 1]], torch.tensor([value, 1.0]).to(dtype), (2, 3))
        return Sample((matrix, leaf(torch.ones(3, 2, dtype=dtype))))

    return sample


def _misfit(dtype: torch.dtype) -> Sample:
    return Sample((_entries(3, 2, 3, dtype=dtype), torch.ones(2, 2, dtype=dtype)))


_NAMES = ("mm", "addmm", "mv", "bmm")
DRAWN = {name: _drawn(name) for name in _NAMES}
EXTREME = {"mm": (_extreme(math.inf), _extreme(math.nan), _misfit)}
SMOOTH = {name: lambda name=name: _of(name, 3, 5, 2, dtype=torch.float64) for name in _NAMES}
TYPICAL = {name: lambda dtype, device, name=name: _of(name, 2000, 40000, device=device, dtype=dtype) for name in _NAMES}
SCALED = {name: lambda n, name=name: _of(name, n, 4 * n) for name in _NAMES}
