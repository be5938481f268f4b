"""max_unpool1d, 2d and 3d: where an index repeats the value at the last position stays, and that is never a race."""

from __future__ import annotations

import math
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.utils import _ntuple

from opscan.replacements.scattering import scatter


def max_unpool1d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """`torch.nn.functional.max_unpool1d`: of equal indices the last one's value stays."""
    return _unpooled(1, input, indices, (kernel_size, stride, padding), output_size)


def max_unpool2d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """`torch.nn.functional.max_unpool2d`: of equal indices the last one's value stays."""
    return _unpooled(2, input, indices, (kernel_size, stride, padding), output_size)


def max_unpool3d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """`torch.nn.functional.max_unpool3d`: of equal indices the last one's value stays."""
    return _unpooled(3, input, indices, (kernel_size, stride, padding), output_size)


def _unpooled(spatial: int, input: Tensor, indices: Tensor, windows: tuple[Any, Any, Any], size: Any) -> Tensor:
    kernel, stride, padding = windows
    each = _ntuple(spatial)
    steps = each(kernel if stride is None else stride)
    sizes = F._unpool_output_size(  # type: ignore[attr-defined]
        input, each(kernel), steps, each(padding), size
    )
    if input.shape != indices.shape:
        raise RuntimeError(f"Expected shape of indices to be {list(input.shape)}, not {list(indices.shape)}")
    if input.dim() not in (spatial + 1, spatial + 2) or not input.numel():
        raise RuntimeError(f"max_unpooling: expected {spatial + 1} or {spatial + 2} dimensions that hold something")
    cells = input.new_zeros(*input.shape[:-spatial], math.prod(sizes))
    return scatter(cells, -1, indices.flatten(-spatial), input.flatten(-spatial)).view(*cells.shape[:-1], *sizes)


class MaxUnpool1d(nn.MaxUnpool1d):
    """`torch.nn.MaxUnpool1d` by `max_unpool1d`."""

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        """As the original's."""
        return max_unpool1d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool2d(nn.MaxUnpool2d):
    """`torch.nn.MaxUnpool2d` by `max_unpool2d`."""

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        """As the original's."""
        return max_unpool2d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool3d(nn.MaxUnpool3d):
    """`torch.nn.MaxUnpool3d` by `max_unpool3d`."""

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        """As the original's."""
        return max_unpool3d(input, indices, self.kernel_size, self.stride, self.padding, output_size)
