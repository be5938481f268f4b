"""Replicate and reflect padding: the native forward, and a backward of slices that are added in one order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import index

import torch.nn.functional as F
from torch import Tensor, nn, ops

from opscan.replacements.linear import mapped

Fold = Callable[[Tensor, Tensor, int, int, int], None]
_NATIVE = {"replicate": "replication_pad{}d", "reflect": "reflection_pad{}d"}


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """`torch.nn.functional.pad`; with `mode` "replicate" or "reflect" its gradient is added up in one order.

    Source of what the cells are: aten/src/ATen/native/cpu/PaddingKernel.cpp, torch 2.13.
    """
    dims = len(pad) // 2
    if mode not in _NATIVE or len(pad) != 2 * dims or input.dim() - dims not in (1, 2) or dims not in (1, 2, 3):
        return F.pad(input, list(pad), mode, value)
    if value is not None and value != 0:
        return F.pad(input, list(pad), mode, value)
    amounts = tuple(map(index, pad))
    sizes = tuple(input.shape[input.dim() - dims :])
    return mapped(
        input, partial(_padded, pad=amounts, mode=mode), partial(_folded, pad=amounts, mode=mode, sizes=sizes)
    )


def _padded(x: Tensor, pad: tuple[int, ...], mode: str) -> Tensor:
    native = getattr(ops.aten, _NATIVE[mode].format(len(pad) // 2))
    result: Tensor = native(x, pad)
    return result


def _folded(grad: Tensor, pad: tuple[int, ...], mode: str, sizes: tuple[int, ...]) -> Tensor:
    """The transpose of `_padded`: every padded cell is added to the cell of `sizes` that it was copied from."""
    fold = _add_copies if mode == "replicate" else _add_mirrored
    for at, size in enumerate(reversed(sizes)):
        grad = _fold_dimension(grad, grad.dim() - 1 - at, size, pad[2 * at], fold)
    return grad


def _fold_dimension(grad: Tensor, dim: int, size: int, before: int, fold: Fold) -> Tensor:
    """`before` cells were put in front (cut off, where negative) of `size`, and the rest of them behind."""
    length = grad.shape[dim]
    if before == 0 and length == size:
        return grad
    start = min(max(before, 0), length)  # the cells from here to `end` are the input's own
    end = min(max(before + size, 0), length)
    if end - start == size:
        cells = grad.narrow(dim, start, size).clone()
    else:
        cells = grad.new_zeros([*grad.shape[:dim], size, *grad.shape[dim + 1 :]])
        if end > start:
            cells.narrow(dim, start - before, end - start).copy_(grad.narrow(dim, start, end - start))
    if start > 0:
        fold(cells, grad.narrow(dim, 0, start), dim, before - start + 1, 0)
    if end < length:
        fold(cells, grad.narrow(dim, end, length - end), dim, 2 * size - 1 - length + before, size - 1)
    return cells


def _add_copies(cells: Tensor, strip: Tensor, dim: int, mirrored: int, border: int) -> None:
    cells.select(dim, border).add_(strip.sum(dim))


def _add_mirrored(cells: Tensor, strip: Tensor, dim: int, mirrored: int, border: int) -> None:
    cells.narrow(dim, mirrored, strip.shape[dim]).add_(strip.flip(dim))


class ReplicationPad1d(nn.ReplicationPad1d):
    """`torch.nn.ReplicationPad1d` with a gradient that is added up in one order."""

    def forward(self, input: Tensor) -> Tensor:
        """The padded input."""
        return pad(input, self.padding, "replicate")


class ReplicationPad2d(nn.ReplicationPad2d):
    """`torch.nn.ReplicationPad2d` with a gradient that is added up in one order."""

    def forward(self, input: Tensor) -> Tensor:
        """The padded input."""
        return pad(input, self.padding, "replicate")


class ReplicationPad3d(nn.ReplicationPad3d):
    """`torch.nn.ReplicationPad3d` with a gradient that is added up in one order."""

    def forward(self, input: Tensor) -> Tensor:
        """The padded input."""
        return pad(input, self.padding, "replicate")


class ReflectionPad1d(nn.ReflectionPad1d):
    """`torch.nn.ReflectionPad1d` with a gradient that is added up in one order."""

    def forward(self, input: Tensor) -> Tensor:
        """The padded input."""
        return pad(input, self.padding, "reflect")


class ReflectionPad2d(nn.ReflectionPad2d):
    """`torch.nn.ReflectionPad2d` with a gradient that is added up in one order."""

    def forward(self, input: Tensor) -> Tensor:
        """The padded input."""
        return pad(input, self.padding, "reflect")


class ReflectionPad3d(nn.ReflectionPad3d):
    """`torch.nn.ReflectionPad3d` with a gradient that is added up in one order."""

    def forward(self, input: Tensor) -> Tensor:
        """The padded input."""
        return pad(input, self.padding, "reflect")
