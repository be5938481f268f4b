"""Sampling at the places of a grid, whose gradients are sums in one order."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from opscan.replacements.cells import rows_at, runs_on, sum_at

_MODES = ("bilinear", "nearest", "bicubic")  # their numbers, and those of the paddings, in the kernels
_PADDINGS = ("zeros", "border", "reflection")
_AT_ONCE = 4  # neighbours of every sample whose values are held at once: each is a tensor as large as the result


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """`F.grid_sample`: input (N, C, H, W) or (N, C, D, H, W), grid (N, ..., 2 or 3), result (N, C, ...).

    The forward is the original's, as are its errors. Differentiable twice, also where the original is not.
    """
    result: Tensor = _GridSample.apply(input, grid, mode, padding_mode, align_corners)  # type: ignore[no-untyped-call]
    return result


class _GridSample(torch.autograd.Function):
    @staticmethod
    def forward(input: Tensor, grid: Tensor, mode: str, padding_mode: str, align_corners: bool | None) -> Tensor:
        return F.grid_sample(input, grid, mode, padding_mode, align_corners)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        input, grid, mode, padding_mode, align_corners = inputs
        ctx.save_for_backward(input, grid)
        ctx.rule = _Rule(mode, padding_mode, bool(align_corners))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        input, grid = ctx.saved_tensors
        of_input, of_grid = ctx.needs_input_grad[:2]
        if runs_on(grad) == "cpu" and grad.dtype == input.dtype == grid.dtype and not torch.is_grad_enabled():
            return *_by_kernel(grad, input, grid, ctx.rule, [of_input, of_grid]), None, None, None
        samples = _samples(grid, input, ctx.rule)
        upstream = _rows(grad)
        images = _spread(samples, upstream, input) if of_input else None
        places = _slopes(samples, upstream, input).view_as(grid).to(grid.dtype) if of_grid else None
        return images, places, None, None, None


class _Rule(NamedTuple):
    """How a grid is read: the options of the call."""

    mode: str
    padding: str
    align: bool


def _by_kernel(
    grad: Tensor, input: Tensor, grid: Tensor, rule: _Rule, wanted: list[bool]
) -> tuple[Tensor | None, Tensor | None]:
    """The CPU's own backward: one thread per image, so it repeats; it cannot be differentiated again."""
    aten = torch.ops.aten
    kernel = aten.grid_sampler_2d_backward if input.dim() == 4 else aten.grid_sampler_3d_backward
    options = _MODES.index(rule.mode), _PADDINGS.index(rule.padding), rule.align
    images, places = kernel(grad, input, grid, *options, wanted)
    return images if wanted[0] else None, places if wanted[1] else None


class _Taps(NamedTuple):
    """Along one dimension, for K neighbours of M samples: where they lie, and how they are weighed; each (K, M).

    `slopes` are derivatives of the weights by the coordinate, and `scale` (M,) is that of the coordinate by the grid.
    """

    places: Tensor
    inside: Tensor
    weights: Tensor
    slopes: Tensor
    scale: Tensor


class _Samples(NamedTuple):
    """All neighbours of M samples, the K of each dimension combined: `cells` and `inside` are (K^D, M).

    `cells` numbers the positions of the whole input, one more stands for everything outside; `taps` come in the order
    of the input's dimensions.
    """

    taps: tuple[_Taps, ...]
    cells: Tensor
    inside: Tensor

    def weights(self, slope_of: int | None = None) -> Tensor:
        """The products of all dimensions' weights (K^D, M), those of one dimension replaced by their slopes."""
        product = None
        for at, taps in enumerate(self.taps):
            factor = taps.slopes if at == slope_of else taps.weights
            product = factor if product is None else (product[:, None] * factor).flatten(0, 1)
        assert product is not None
        return product.where(self.inside, 0)  # a place that is not finite is weighed by NaN


def _wide(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _rows(tensor: Tensor) -> Tensor:
    """(N, C, ...) as rows of C values, one per position, in float32 or wider."""
    return _wide(tensor).movedim(1, -1).reshape(math.prod(tensor.shape[2:]) * tensor.size(0), tensor.size(1))


def _samples(grid: Tensor, input: Tensor, rule: _Rule) -> _Samples:
    """Where every sample reads; the last coordinate of the grid is that of the first dimension of the input."""
    count = grid.size(0)
    spatial = input.shape[2:]
    coordinates = _wide(grid).reshape(-1, len(spatial)).unbind(-1)
    taps = tuple(_taps(place, size, rule) for place, size in zip(reversed(coordinates), spatial, strict=True))
    per_image = grid.shape[1:-1].numel()
    cells = torch.arange(count, device=grid.device).repeat_interleave(per_image)[None]
    inside = torch.ones_like(cells, dtype=torch.bool)
    for along, size in zip(taps, spatial, strict=True):
        inside = (inside[:, None] & along.inside).flatten(0, 1)
        cells = (cells[:, None] * size + along.places).flatten(0, 1)
    return _Samples(taps, cells.where(inside, count * spatial.numel()), inside)


def _taps(grid: Tensor, size: int, rule: _Rule) -> _Taps:
    """The neighbours along a dimension of `size`; bicubic sampling pads each of them, the others the coordinate.

    Source: aten/src/ATen/native/GridSampler.h (torch 2.15): grid_sampler_compute_source_index_set_grad.
    """
    place = (grid + 1) / 2 * (size - 1) if rule.align else ((grid + 1) * size - 1) / 2
    scale = torch.full_like(place, (size - 1 if rule.align else size) / 2)
    if rule.mode == "bicubic":
        base = place.detach().floor()
        weights, slopes = _cubic(place - base)
        places = torch.stack([_padded(base + step, size, rule)[0] for step in (-1, 0, 1, 2)])
    else:
        place, turned = _padded(place, size, rule)
        scale = scale * turned
        if rule.mode == "nearest":
            places = place.detach().round()[None]
            weights, slopes = torch.ones_like(places), torch.zeros_like(places)
        else:
            base = place.detach().floor()
            places, after = torch.stack([base, base + 1]), place - base
            weights = torch.stack([1 - after, after])
            slopes = torch.stack([-torch.ones_like(after), torch.ones_like(after)])
    inside = (places >= 0) & (places <= size - 1)
    return _Taps(places.where(inside, 0).long(), inside, weights, slopes, scale)


def _padded(place: Tensor, size: int, rule: _Rule) -> tuple[Tensor, Tensor]:
    """A coordinate brought into the input, and its derivative: 1, -1 where reflected, 0 at the border and beyond."""
    derivative = torch.ones_like(place)
    if rule.padding == "zeros":
        return place, derivative
    if rule.padding == "reflection":
        low, high = (0.0, size - 1.0) if rule.align else (-0.5, size - 0.5)
        place, derivative = _reflected(place, low, high - low)
    below, above = place <= 0, place >= size - 1
    clipped = place.masked_fill(below, 0).masked_fill(above & ~below, size - 1)
    return clipped, derivative.masked_fill(below | above, 0)


def _reflected(place: Tensor, low: float, span: float) -> tuple[Tensor, Tensor]:
    if span == 0:
        return torch.zeros_like(place), torch.zeros_like(place)
    beyond = place - low
    mirrored = beyond < 0
    beyond = torch.where(mirrored, -beyond, beyond)
    rest = beyond.fmod(span)
    odd = (beyond.detach() / span).floor().remainder(2) != 0
    reflected = torch.where(odd, span - rest, rest) + low
    return reflected, torch.ones_like(place).masked_fill(mirrored ^ odd, -1)


def _cubic(after: Tensor) -> tuple[Tensor, Tensor]:
    """Weights of the four neighbours, and their derivatives, by the distance from the second.

    Source: aten/src/ATen/native/UpSample.h (torch 2.15): get_cubic_upsample_coefficients, with a = -0.75.
    """
    a = -0.75

    def near(x: Tensor) -> tuple[Tensor, Tensor]:
        return ((a + 2) * x - (a + 3)) * x * x + 1, (3 * (a + 2) * x - 2 * (a + 3)) * x

    def far(x: Tensor) -> tuple[Tensor, Tensor]:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a, (3 * a * x - 10 * a) * x + 8 * a

    pairs = far(after + 1), near(after), near(1 - after), far(2 - after)
    slopes = (pairs[0][1], pairs[1][1], -pairs[2][1], -pairs[3][1])
    return torch.stack([pair[0] for pair in pairs]), torch.stack(slopes)


def _chunks(*tensors: Tensor) -> zip[tuple[Tensor, ...]]:
    return zip(*(each.split(_AT_ONCE) for each in tensors), strict=True)


def _spread(samples: _Samples, upstream: Tensor, like: Tensor) -> Tensor:
    """The gradient of the input: what is outside goes to a cell of its own, which is dropped."""
    positions = like.size(0) * like.shape[2:].numel()
    sums = upstream.new_zeros(positions + 1, like.size(1))
    for cells, weights in _chunks(samples.cells, samples.weights()):
        values = weights[..., None] * upstream
        sums = sum_at(sums, cells.flatten(), values.flatten(0, 1))
    return sums[:positions].view(like.size(0), *like.shape[2:], like.size(1)).movedim(-1, 1).to(like.dtype)


def _slopes(samples: _Samples, upstream: Tensor, input: Tensor) -> Tensor:
    """The gradient of the grid (M, D)."""
    dimensions = range(len(samples.taps))
    if samples.cells.size(0) == 1:  # the nearest pixel: a step function
        return upstream[:, :0].sum(1, keepdim=True).expand(-1, len(dimensions))  # zeros, differentiable as any other
    rows = _rows(input)
    of_dimensions = [samples.weights(slope_of=at) for at in dimensions]
    found: list[Any] = [0] * len(dimensions)
    for cells, inside, *slopes in _chunks(samples.cells, samples.inside, *of_dimensions):
        products = (rows_at(rows, cells.where(inside, 0)) * upstream).sum(-1).where(inside, 0)
        found = [so_far + (products * each).sum(0) for so_far, each in zip(found, slopes, strict=True)]
    scaled = [each * taps.scale for each, taps in zip(found, samples.taps, strict=True)]
    return torch.stack(scaled[::-1], -1)
