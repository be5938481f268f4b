"""A linear map along one dimension, its taps known from sizes alone: what each cell's gradient is made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[Any]


def real_type(wide: bool) -> type[Any]:
    """What ATen computes taps in: float64 (`wide`) for float64 tensors, float32 for the others."""
    return np.float64 if wide else np.float32


@dataclass(frozen=True, eq=False)
class Band:
    """`y[outputs[t]] += weights[t] * x[cell]` for the taps t from `starts[cell]` to the next cell's.

    Taps are sorted by cell, and those of a cell by output. `same` says that y is x.
    """

    outputs: Ints
    weights: Floats
    starts: Ints
    same: bool = False


def band(cells: Ints, weights: Floats, size: int) -> Band:
    """A band from the tables (n_out, taps) that say which of `size` cells each output reads, and how much of it.

    Taps of no weight are left out, so that an infinite gradient stays where it belongs.
    """
    outputs = np.repeat(np.arange(cells.shape[0]), cells.shape[1])
    flat, weight = cells.reshape(-1), weights.reshape(-1)
    taken = np.flatnonzero(weight)
    order = taken[np.argsort(flat[taken], kind="stable")]
    return Band(outputs[order], weight[order], np.searchsorted(flat[order], np.arange(size)))


@lru_cache(maxsize=256)
def unchanged(size: int) -> Band:
    """The band of a dimension that stays as it is."""
    cells = np.arange(size)
    return Band(cells, np.ones(size), cells, same=True)


def windows(first: Ints, end: Ints, weights: Floats, size: int) -> Band:
    """A band of outputs that weight all cells from `first` (n_out,) to before `end` alike, by `weights` (n_out,)."""
    steps = np.arange(max(int((end - first).max(initial=0)), 1))
    cells = first[:, None] + steps
    return band(cells.clip(0, size - 1), np.where(cells < end[:, None], weights[:, None], 0), size)
