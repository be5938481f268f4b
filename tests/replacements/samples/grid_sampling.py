from __future__ import annotations

import math
from typing import Any

import torch
from hypothesis import strategies as st

from tests.replacements.samples import Sample, leaf

_INNER = [(4, 5), (1, 3), (2, 1), (7, 2), (3, 2, 4), (1, 1, 2), (2, 3, 1)]


def _drawn(draw: Any, dtype: torch.dtype) -> Sample:
    inner = draw(st.sampled_from(_INNER))
    batch, channels = draw(st.sampled_from([1, 2, 3, 0])), draw(st.sampled_from([1, 2, 5]))
    images = torch.randn(batch, channels, *inner)
    if draw(st.booleans()):
        images = images.movedim(1, -1).contiguous().movedim(-1, 1)
    elif draw(st.booleans()):
        images = images[:, :1].expand(images.shape)
    fewest = 0 if dtype in (torch.float32, torch.float64) else 1  # the original fails without samples in half precision
    outer = tuple(draw(st.integers(fewest, 6)) for _ in inner)
    reach = draw(st.sampled_from([0.9, 1.4, 6.0]))
    grid = (torch.rand(batch, *outer, len(inner)) * 2 - 1) * reach
    if draw(st.booleans()):  # many samples in few cells
        grid = grid * 0.2
    kwargs = {
        "mode": draw(st.sampled_from(["bilinear", "nearest", "bicubic"])),
        "padding_mode": draw(st.sampled_from(["zeros", "border", "reflection"])),
        "align_corners": draw(st.booleans()),
    }
    images, grid = images.to(dtype), grid.to(dtype)
    which = draw(st.sampled_from(["both", "images", "grid"]))
    return Sample((leaf(images) if which != "grid" else images, leaf(grid) if which != "images" else grid), kwargs)


def _extreme(value: float, **kwargs: Any) -> Any:
    def sample(dtype: torch.dtype) -> Sample:
        images = torch.arange(12.0).reshape(1, 1, 3, 4).to(dtype)
        grid = torch.tensor([[0.3, value], [value, -0.1], [0.15, 0.35]]).reshape(1, 1, 3, 2).to(dtype)
        return Sample((leaf(images), leaf(grid)), {"align_corners": False, **kwargs})

    return sample


def _wrong(images: tuple[int, ...], grid: tuple[int, ...], **kwargs: Any) -> Any:
    return lambda dtype: Sample((torch.ones(images, dtype=dtype), torch.ones(grid, dtype=dtype)), kwargs)


_EXTREME = (
    _extreme(1e3),
    _extreme(1e3, padding_mode="border"),
    _extreme(57.3, padding_mode="reflection"),
    _extreme(math.nan, mode="nearest"),
    _wrong((1, 1, 2, 2), (1, 1, 2, 3)),
    _wrong((2, 1, 2, 2), (1, 1, 2, 2)),
    _wrong((1, 1, 2, 2), (1, 1, 2, 2), mode="cubic"),
    _wrong((1, 1, 2, 2), (1, 1, 2, 2), padding_mode="circular"),
    _wrong((1, 1, 0, 2), (1, 1, 2, 2)),
)


def _smooth() -> Sample:
    """Places between the pixels, some of them outside."""
    places = torch.tensor([[-0.83, 0.37], [0.21, -0.42], [0.61, 1.17], [-1.23, 0.11]], dtype=torch.float64)
    images = torch.randn(1, 2, 4, 4, dtype=torch.float64)
    return Sample((leaf(images), leaf(places.reshape(1, 2, 2, 2))), {"mode": "bicubic", "align_corners": False})


def _of(batch: int, channels: int, height: int, width: int, **options: Any) -> Sample:
    images = torch.randn(batch, channels, height, width, **options)
    grid = torch.rand(batch, height, width, 2, **options) * 2.2 - 1.1
    return Sample((leaf(images), leaf(grid)), {"align_corners": False})


DRAWN = {"grid_sample": _drawn}
EXTREME = {"grid_sample": _EXTREME}
SMOOTH = {"grid_sample": _smooth}
TYPICAL = {"grid_sample": lambda dtype, device: _of(4, 32, 64, 64, dtype=dtype, device=device)}
SCALED = {"grid_sample": lambda n: _of(1, 2, 8, n)}
