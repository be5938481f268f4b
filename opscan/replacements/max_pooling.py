"""Max pools whose windows overlap: the forward is torch's own, the backward adds at the winning cells in one order.

That is `torch.nn.functional.max_pool3d`, the adaptive and the fractional max pools and their modules. On the CPU
they are torch's own altogether.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from opscan.replacements.cells import runs_on
from opscan.replacements.gathering import scatter_add

_Pool = Callable[[Tensor], tuple[Tensor, Tensor]]


class _MaxPool(torch.autograd.Function):
    """`pool` gives values and, over the last `spatial` dimensions, the numbers of the cells they come from."""

    @staticmethod
    def forward(input: Tensor, spatial: int, pool: _Pool) -> tuple[Tensor, Tensor]:
        values, indices = pool(input)
        return values, indices

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int, _Pool], output: tuple[Tensor, Tensor]) -> None:
        ctx.shape, ctx.spatial = inputs[0].shape, inputs[1]
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (indices,) = ctx.saved_tensors
        cells = grads[0].new_zeros(ctx.shape).flatten(-ctx.spatial)
        named, grad = (each.flatten(-ctx.spatial) for each in (indices, grads[0]))
        return scatter_add(cells, -1, named, grad).view(ctx.shape), None, None


def _pooled(input: Tensor, spatial: int, pool: _Pool, return_indices: bool) -> Any:
    values, indices = _MaxPool.apply(input, spatial, pool)  # type: ignore[no-untyped-call]
    return (values, indices) if return_indices else values


def max_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """`torch.nn.functional.max_pool3d`, with the indices where they are asked for. Errors are torch's own."""
    settings = (kernel_size, stride, padding, dilation, ceil_mode)
    if runs_on(input) == "cpu":
        torchs: Callable[..., Any] = F.max_pool3d
        return torchs(input, *settings, return_indices=return_indices)
    return _pooled(input, 3, partial(_max_pool3d, settings), return_indices)


def _max_pool3d(settings: tuple[Any, ...], input: Tensor) -> tuple[Tensor, Tensor]:
    """The op itself: in strict mode torch 2.13 puts a slower one in its place for the sake of the backward."""
    kernel_size, stride, *others = settings
    values, indices = torch.ops.aten.max_pool3d_with_indices(
        input, kernel_size, [] if stride is None else stride, *others
    )
    return values, indices


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """`torch.nn.functional.adaptive_max_pool1d`, with the indices where they are asked for. Errors are torch's own."""
    return _adapted(F.adaptive_max_pool1d, 1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """`torch.nn.functional.adaptive_max_pool2d`, with the indices where they are asked for. Errors are torch's own."""
    return _adapted(F.adaptive_max_pool2d, 2, input, output_size, return_indices)


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """`torch.nn.functional.adaptive_max_pool3d`, with the indices where they are asked for. Errors are torch's own."""
    return _adapted(F.adaptive_max_pool3d, 3, input, output_size, return_indices)


def _adapted(pool: Callable[..., Any], spatial: int, input: Tensor, output_size: Any, return_indices: bool) -> Any:
    if runs_on(input) == "cpu":
        return pool(input, output_size, return_indices)
    return _pooled(input, spatial, partial(pool, output_size=output_size, return_indices=True), return_indices)


def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """`torch.nn.functional.fractional_max_pool2d`: draws what the original draws. Errors are torch's own."""
    settings = (kernel_size, output_size, output_ratio)
    return _fractional(F.fractional_max_pool2d, 2, input, settings, return_indices, _random_samples)


def fractional_max_pool3d(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """`torch.nn.functional.fractional_max_pool3d`: draws what the original draws. Errors are torch's own."""
    settings = (kernel_size, output_size, output_ratio)
    return _fractional(F.fractional_max_pool3d, 3, input, settings, return_indices, _random_samples)


def _fractional(
    pool: Callable[..., Any],
    spatial: int,
    input: Tensor,
    settings: tuple[Any, ...],
    return_indices: bool,
    samples: Tensor | None,
) -> Any:
    if runs_on(input) == "cpu":
        return pool(input, *settings, return_indices, samples)

    def drawn(given: Tensor) -> tuple[Tensor, Tensor]:
        values, indices = pool(given, *settings, True, samples)
        return values, indices

    return _pooled(input, spatial, drawn, return_indices)


class MaxPool3d(nn.MaxPool3d):
    """`torch.nn.MaxPool3d` by `max_pool3d`."""

    def forward(self, input: Tensor) -> Any:
        """As the original's."""
        settings = (self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)
        return max_pool3d(input, *settings, return_indices=self.return_indices)


class AdaptiveMaxPool1d(nn.AdaptiveMaxPool1d):
    """`torch.nn.AdaptiveMaxPool1d` by `adaptive_max_pool1d`."""

    def forward(self, input: Tensor) -> Any:
        """As the original's."""
        return adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(nn.AdaptiveMaxPool2d):
    """`torch.nn.AdaptiveMaxPool2d` by `adaptive_max_pool2d`."""

    def forward(self, input: Tensor) -> Any:
        """As the original's."""
        return adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(nn.AdaptiveMaxPool3d):
    """`torch.nn.AdaptiveMaxPool3d` by `adaptive_max_pool3d`."""

    def forward(self, input: Tensor) -> Any:
        """As the original's."""
        return adaptive_max_pool3d(input, self.output_size, self.return_indices)


class FractionalMaxPool2d(nn.FractionalMaxPool2d):
    """`torch.nn.FractionalMaxPool2d` by `fractional_max_pool2d`."""

    def forward(self, input: Tensor) -> Any:
        """As the original's."""
        settings = (self.kernel_size, self.output_size, self.output_ratio, self.return_indices)
        samples: Any = self._random_samples
        return fractional_max_pool2d(input, *settings, _random_samples=samples)


class FractionalMaxPool3d(nn.FractionalMaxPool3d):
    """`torch.nn.FractionalMaxPool3d` by `fractional_max_pool3d`."""

    def forward(self, input: Tensor) -> Any:
        """As the original's."""
        settings = (self.kernel_size, self.output_size, self.output_ratio, self.return_indices)
        samples: Any = self._random_samples
        return fractional_max_pool3d(input, *settings, _random_samples=samples)
