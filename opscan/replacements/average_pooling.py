"""Average pooling: the native forward, and a backward that gathers each cell's windows in one order."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from opscan.replacements.band_sums import transposed
from opscan.replacements.bands import Band, real_type, windows
from opscan.replacements.linear import mapped

Sizes = int | list[int] | tuple[int, ...]
_lp_pool3d: Any = F.lp_pool3d


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """`torch.nn.functional.adaptive_avg_pool1d` with a gradient that is added up in one order."""
    return _adaptive(F.adaptive_avg_pool1d, input, output_size, 1)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """`torch.nn.functional.adaptive_avg_pool2d` with a gradient that is added up in one order."""
    return _adaptive(F.adaptive_avg_pool2d, input, output_size, 2)


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """`torch.nn.functional.adaptive_avg_pool3d` with a gradient that is added up in one order."""
    return _adaptive(F.adaptive_avg_pool3d, input, output_size, 3)


def _adaptive(native: Callable[..., Tensor], x: Tensor, output_size: Any, dims: int) -> Tensor:
    sizes = output_size if isinstance(output_size, list | tuple) else [output_size] * dims
    if all(each == 1 for each in sizes) or x.dim() <= dims:  # a mean: its gradient is a copy
        return native(x, output_size)
    asked = [x.shape[at - dims] if each is None else each for at, each in enumerate(sizes)]
    cells = tuple(x.shape[x.dim() - dims :])
    back = partial(_gathered, cells=cells, make=adaptive_band, options=((),) * dims, dtype=x.dtype)
    return mapped(x, partial(native, output_size=asked), back)


def _gathered(
    grad: Tensor, cells: tuple[int, ...], make: Callable[..., Band], options: tuple[Any, ...], dtype: torch.dtype
) -> Tensor:
    results = grad.shape[grad.dim() - len(cells) :]
    wide = dtype == torch.float64
    bands = [make(cell, result, wide, *each) for cell, result, each in zip(cells, results, options, strict=True)]
    return transposed(grad, bands, dtype)


@lru_cache(maxsize=256)
def adaptive_band(size: int, result: int, wide: bool) -> Band:
    """Windows of `size` cells shared out over `result` outputs.

    Source: start_index and end_index in aten/src/ATen/native/AdaptivePooling.h, torch 2.13.
    """
    outputs = np.arange(result)
    first, end = outputs * size // result, -(-(outputs + 1) * size // result)
    return windows(first, end, (1 / np.maximum(end - first, 1)).astype(real_type(wide)), size)


def avg_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """`torch.nn.functional.avg_pool3d` with a gradient that is added up in one order."""
    native = partial(
        F.avg_pool3d,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
        divisor_override=divisor_override,
    )
    if input.dim() not in (4, 5):
        return native(input)
    kernels = _three(kernel_size)
    strides = kernels if stride is None or stride == [] or stride == () else _three(stride)
    divisors = (divisor_override, 1, 1) if divisor_override else (None, None, None)
    # of other lengths than three: the original says so
    options = tuple(zip(kernels, strides, _three(padding), (bool(count_include_pad),) * 3, divisors, strict=False))
    back = partial(_gathered, cells=tuple(input.shape[-3:]), make=pooling_band, options=options, dtype=input.dtype)
    return mapped(input, native, back)


def _three(value: Sizes) -> tuple[int, ...]:
    given = tuple(value) if isinstance(value, list | tuple) else (value,)
    return given * 3 if len(given) == 1 else given


@lru_cache(maxsize=256)
def pooling_band(
    size: int, result: int, wide: bool, kernel: int, stride: int, padding: int, whole: bool, divisor: int | None
) -> Band:
    """Windows of `kernel` cells, each output divided by `divisor` or by the window's cells.

    `whole` counts the padding's cells as well. Source: cpu_avg_pool3d in aten/src/ATen/native/cpu/AvgPoolKernel.cpp,
    torch 2.13.
    """
    first = np.arange(result) * stride - padding
    end = np.minimum(first + kernel, size + padding)
    inside = np.maximum(first, 0), np.minimum(end, size)
    count = end - first if whole else inside[1] - inside[0]
    weights = 1 / (np.maximum(count, 1) if divisor is None else np.full(result, divisor))
    return windows(*inside, weights.astype(real_type(wide)), size)


def lp_pool3d(
    input: Tensor,
    norm_type: int | float,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """`torch.nn.functional.lp_pool3d` with a gradient that is added up in one order.

    Source: lp_pool3d in torch/nn/functional.py, torch 2.13.
    """
    if norm_type == 0:
        plain: Tensor = _lp_pool3d(input, norm_type, kernel_size, stride, ceil_mode)  # raises
        return plain
    if math.isinf(norm_type):
        sign = math.copysign(1, norm_type)
        return _largest(input.abs() * sign, _three(kernel_size), _three(stride or kernel_size), ceil_mode) * sign
    pooled = avg_pool3d(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    total = (torch.sign(pooled) * F.relu(torch.abs(pooled))).mul(math.prod(_three(kernel_size)))
    result: Tensor = total.pow(1.0 / norm_type)
    return result


def _largest(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...], ceil: bool) -> Tensor:
    """Each window's largest cell: of the planes first, then along the depth, as max_pool2d's backward repeats."""
    planes = F.max_pool2d(x.flatten(0, -4), kernel[1:], stride[1:], ceil_mode=ceil)
    depth = F.max_pool2d(planes.flatten(-2), (kernel[0], 1), (stride[0], 1), ceil_mode=ceil)
    result: Tensor = depth.unflatten(-1, planes.shape[-2:]).unflatten(0, x.shape[:-3])
    return result


class AdaptiveAvgPool1d(nn.AdaptiveAvgPool1d):
    """`torch.nn.AdaptiveAvgPool1d` with a gradient that is added up in one order."""

    def forward(self, input: Tensor) -> Tensor:
        """The windows' means."""
        return adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(nn.AdaptiveAvgPool2d):
    """`torch.nn.AdaptiveAvgPool2d` with a gradient that is added up in one order."""

    def forward(self, input: Tensor) -> Tensor:
        """The windows' means."""
        return adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(nn.AdaptiveAvgPool3d):
    """`torch.nn.AdaptiveAvgPool3d` with a gradient that is added up in one order."""

    def forward(self, input: Tensor) -> Tensor:
        """The windows' means."""
        return adaptive_avg_pool3d(input, self.output_size)


class AvgPool3d(nn.AvgPool3d):
    """`torch.nn.AvgPool3d` with a gradient that is added up in one order."""

    def forward(self, input: Tensor) -> Tensor:
        """The windows' means."""
        return avg_pool3d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class LPPool3d(nn.LPPool3d):
    """`torch.nn.LPPool3d` with a gradient that is added up in one order."""

    def forward(self, input: Tensor) -> Tensor:
        """The windows' power averages."""
        return lp_pool3d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)
