"""Sums at repeated indices, in one order: what the other replacements stand on."""

from __future__ import annotations

import torch
from torch import Tensor

from opscan import traced_for


def runs_on(tensor: Tensor) -> str:
    """The device type whose kernels will run: the one a trace is for, else the tensor's own ("meta" is CUDA's)."""
    own = tensor.device.type
    return traced_for.device or ("cuda" if own == "meta" else own)


def sum_at(cells: Tensor, index: Tensor, values: Tensor) -> Tensor:
    """`cells` (n, ...) with `values` (m, ...) added to the rows that `index` (m,) names; the dtype is that of `cells`.

    A row that is named several times adds in the order of the positions in `index`, in every run. Differentiable twice.
    Source: on CUDA index_put(accumulate=True) always sorts its indices, in default mode too (index_put_with_sort,
    aten/src/ATen/native/TensorAdvancedIndexing.cpp and cuda/Indexing.cu); on the CPU it adds in parallel (OPS431),
    and index_add does not.
    """
    if runs_on(cells) == "cpu":
        return cells.index_add(0, index, values)
    return cells.index_put((index,), values, accumulate=True)


def rows_at(rows: Tensor, index: Tensor) -> Tensor:
    """The rows (n, ...) that `index` (any shape) names; their gradient is `sum_at`."""
    if runs_on(rows) == "cpu":
        return rows.index_select(0, index.reshape(-1)).view(*index.shape, *rows.shape[1:])
    return rows[index]


def latest_at(index: Tensor, count: int) -> Tensor:
    """Of each of `count` cells the last position in `index` (m,) that names it, -1 where none does: int64 (count,).

    So a store with repeated indices can be read back as a choice: the last one wins, in every run. The greatest of
    integers does not hang on any order (OPS404).
    """
    positions = torch.arange(index.numel(), device=index.device)
    nothing = torch.full((count,), -1, dtype=torch.int64, device=index.device)
    return nothing.scatter_reduce(0, index, positions, "amax", include_self=True)
