"""Interpolation: the native forward, and a backward that gathers each input cell's outputs in one order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import index
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn, ops

from opscan.replacements.average_pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from opscan.replacements.band_sums import transposed
from opscan.replacements.bands import Band, unchanged
from opscan.replacements.cells import runs_on
from opscan.replacements.interpolation_bands import interpolation_band
from opscan.replacements.linear import mapped

_KINDS = {
    ("linear", 3, False): ("upsample_linear1d", "linear"),
    ("bilinear", 4, False): ("upsample_bilinear2d", "linear"),
    ("bicubic", 4, False): ("upsample_bicubic2d", "cubic"),
    ("trilinear", 5, False): ("upsample_trilinear3d", "linear"),
    ("bilinear", 4, True): ("_upsample_bilinear2d_aa", "linear_antialias"),
    ("bicubic", 4, True): ("_upsample_bicubic2d_aa", "cubic_antialias"),
}
_AREA = {3: adaptive_avg_pool1d, 4: adaptive_avg_pool2d, 5: adaptive_avg_pool3d}
Size = int | Sequence[int] | None
Scale = float | Sequence[float] | None
_original: Any = F.interpolate


def interpolate(
    input: Tensor,
    size: Size = None,
    scale_factor: Scale = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """`torch.nn.functional.interpolate` with a gradient that is added up in one order.

    The gradient is that of the values. (The original's is another one where a scale factor other than 1 leaves all
    sizes as they are: there PyTorch scales in one direction and copies in the other.)
    """
    native, kind = _KINDS.get((mode, input.dim(), bool(antialias)), ("", ""))
    area = mode == "area" and input.dim() in _AREA and align_corners is None and not antialias
    sizes, scales = _asked_for(input, size, scale_factor, area or bool(recompute_scale_factor))
    if not (native or area) or (sizes is None and scales is None) or (recompute_scale_factor and size is not None):
        plain: Tensor = _original(input, size, scale_factor, mode, align_corners, recompute_scale_factor, antialias)
        return plain
    if area:
        return _AREA[input.dim()](input, sizes)
    taps = partial(
        _bands,
        cells=tuple(input.shape[2:]),
        kind=kind,
        align=bool(align_corners),
        scales=scales,
        wide=input.dtype == torch.float64,
        device=runs_on(input),
    )
    there = partial(_resized, native=native, sizes=sizes, align=bool(align_corners), scales=scales)
    return mapped(input, there, partial(_gathered, taps=taps, dtype=input.dtype))


def _asked_for(x: Tensor, size: Size, scale: Scale, recompute: bool) -> tuple[list[int] | None, list[float] | None]:
    """The output's sizes or the scale factors, whichever the original uses; neither where it would raise."""
    if (size is None) == (scale is None):
        return None, None
    asked: Any = scale if size is None else size
    each = list(asked) if isinstance(asked, list | tuple) else [asked] * (x.dim() - 2)
    if len(each) != x.dim() - 2:
        return None, None
    if size is not None:
        return [index(one) for one in each], None
    if recompute:
        return [int(cells * factor) for cells, factor in zip(x.shape[2:], each, strict=True)], None
    return None, [float(factor) for factor in each]


def _resized(x: Tensor, native: str, sizes: list[int] | None, align: bool, scales: list[float] | None) -> Tensor:
    result: Tensor = getattr(ops.aten, native).vec(x, sizes, align, scales)
    return result


def _gathered(grad: Tensor, taps: Callable[[tuple[int, ...]], list[Band]], dtype: torch.dtype) -> Tensor:
    return transposed(grad, taps(tuple(grad.shape[2:])), dtype)


def _bands(
    results: tuple[int, ...],
    cells: tuple[int, ...],
    kind: str,
    align: bool,
    scales: list[float] | None,
    wide: bool,
    device: str,
) -> list[Band]:
    """The taps of each dimension. What is copied was read from the kernels, and probed on the CPU (torch 2.13).

    The CPU copies a dimension that keeps its size, but for bicubic; CUDA copies where all sizes stay
    (UpSampleBilinear2d.cu and UpSampleBicubic2d.cu in aten/src/ATen/native/cuda).
    """
    found = []
    for at, (size, result) in enumerate(zip(cells, results, strict=True)):
        copied = (kind != "cubic" and size == result) if device == "cpu" else cells == results
        scale = scales[at] if scales else None
        found.append(unchanged(size) if copied else interpolation_band(size, result, kind, align, scale, wide))
    return found


class Upsample(nn.Upsample):
    """`torch.nn.Upsample` with a gradient that is added up in one order."""

    def forward(self, input: Tensor) -> Tensor:
        """The input at its new size."""
        return interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )


class UpsamplingBilinear2d(nn.UpsamplingBilinear2d):
    """`torch.nn.UpsamplingBilinear2d` with a gradient that is added up in one order."""

    forward = Upsample.forward
