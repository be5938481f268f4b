"""The transpose of bands, applied to a gradient: one dimension after the other, each cell's sum in one order."""

from __future__ import annotations

import math
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor

from opscan.replacements.bands import Band

_LONG_ROW = 32  # elements: from here on an index for each row is little beside the row
_kept: WeakKeyDictionary[Band, dict[torch.device, tuple[Tensor, Tensor, Tensor]]] = WeakKeyDictionary()


def transposed(grad: Tensor, bands: list[Band], dtype: torch.dtype) -> Tensor:
    """The gradient (..., n_in...) of the last dimensions' input from that of their output (..., n_out...), in `dtype`.

    Half precision is added up in float32. Memory layout, as channels_last, is kept. Not differentiable by itself.
    """
    sizes = [*grad.shape[: grad.dim() - len(bands)], *(len(each.starts) for each in bands)]
    if 0 in sizes or grad.numel() == 0:
        return grad.new_zeros(sizes, dtype=dtype)
    layout = sorted(range(grad.dim()), key=grad.stride, reverse=True)
    x = grad.permute(layout).to(torch.float64 if dtype == torch.float64 else torch.float32).contiguous()
    for dim, each in sorted(enumerate(bands, grad.dim() - len(bands)), key=lambda item: _turn(layout, *item)):
        if not each.same:
            x = _summed(x, layout.index(dim), each)
    return x.to(dtype).permute([layout.index(dim) for dim in range(grad.dim())])


def _turn(layout: list[int], dim: int, band: Band) -> tuple[float, int]:
    """What shrinks comes first, what grows last; and last dimensions, which are slow, while there is least of them."""
    growth = len(band.starts) / (int(band.outputs.max(initial=0)) + 1)
    return growth, layout.index(dim) if growth <= 1 else -layout.index(dim)


def _summed(x: Tensor, at: int, band: Band) -> Tensor:
    """A weighted sum of the slices along dimension `at` for each cell of the band; x and the result are contiguous.

    Source: embedding_bag's sum adds the rows of a bag in their order, on CUDA one thread for each column
    (EmbeddingBag_updateOutputKernel_sum_mean, aten/src/ATen/native/cuda/EmbeddingBag.cu, torch 2.13).
    """
    blocks, length, row = math.prod(x.shape[:at]), x.shape[at], math.prod(x.shape[at + 1 :])
    sizes = [*x.shape[:at], len(band.starts), *x.shape[at + 1 :]]
    if row >= _LONG_ROW:
        outputs, weights, starts = _tables(band, x.device)
        if blocks > 1:
            block = torch.arange(blocks, device=x.device)[:, None]
            starts = (block * len(outputs) + starts).view(-1)
            outputs, weights = (block * length + outputs).view(-1), weights.repeat(blocks)
        return _bags(x.view(blocks * length, row), outputs, weights, starts).view(sizes)
    rows = x.view(blocks, length, row).transpose(0, 1).reshape(length, blocks * row)
    cells = _bags(rows, *_tables(band, x.device)).view(len(band.starts), blocks, row)
    return cells.transpose(0, 1).contiguous().view(sizes)


def _bags(rows: Tensor, outputs: Tensor, weights: Tensor, starts: Tensor) -> Tensor:
    return F.embedding_bag(outputs, rows, starts, mode="sum", per_sample_weights=weights)


def _tables(band: Band, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """The band on the device, kept there as long as the band is."""
    kept = _kept.setdefault(band, {})
    found = kept.get(device)
    if found is None:
        with torch.inference_mode(False):
            outputs, weights, starts = (
                torch.from_numpy(each).to(device) for each in (band.outputs, band.weights, band.starts)
            )
        found = outputs, weights, starts
        if type(outputs) is Tensor:  # a fake tensor would outlive its trace
            kept[device] = found
    return found
