"""The taps of interpolation along one dimension, computed as ATen does, in float32 but for float64 tensors.

Source: area_pixel_compute_scale, area_pixel_compute_source_index, guard_index_and_lambda and
get_cubic_upsample_coefficients in aten/src/ATen/native/UpSample.h; upsample_antialias in
aten/src/ATen/native/cuda/UpSample.cuh; torch 2.13.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from opscan.replacements.bands import Band, Floats, Ints, band, real_type

_CUBIC = -0.75
_CUBIC_ANTIALIAS = -0.5


@lru_cache(maxsize=256)
def interpolation_band(size: int, result: int, kind: str, align: bool, scale: float | None, wide: bool) -> Band:
    """From `size` cells to `result`; `kind` is linear, cubic, linear_antialias or cubic_antialias.

    `scale` is the scale factor where it counts, else None.
    """
    real = real_type(wide)
    step = _step(size, result, align, scale, real)
    outputs = np.arange(result, dtype=real)
    if kind.endswith("_antialias"):
        return band(*_antialiased(step, outputs, size, kind.removesuffix("_antialias"), real), size)
    source = outputs * step if align else (outputs + real(0.5)) * step - real(0.5)
    return band(*(_linear if kind == "linear" else _cubic)(source, size), size)


def _step(size: int, result: int, align: bool, scale: float | None, real: type[Any]) -> Any:
    if align:
        return real(size - 1) / real(result - 1) if result > 1 else real(0)
    return real(1 / scale) if scale is not None and scale > 0 else real(size) / real(result)


def _linear(source: Floats, size: int) -> tuple[Ints, Floats]:
    source = source.clip(0, None)
    first = np.minimum(source.astype(np.int64), size - 1)
    share = (source - first.astype(source.dtype)).clip(0, 1)
    return np.stack([first, np.minimum(first + 1, size - 1)], 1), np.stack([1 - share, share], 1)


def _cubic(source: Floats, size: int) -> tuple[Ints, Floats]:
    first = np.minimum(np.floor(source), size - 1)
    share = (source - first).clip(0, 1)
    distance = np.stack([share + 1, share, 1 - share, 2 - share], 1)
    cells = first.astype(np.int64)[:, None] + np.arange(-1, 3)
    return cells.clip(0, size - 1), _cubic_weight(distance, _CUBIC)


def _cubic_weight(distance: Floats, a: float) -> Floats:
    x = np.abs(distance)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0)).astype(distance.dtype)


def _linear_weight(distance: Floats) -> Floats:
    return (1 - np.abs(distance)).clip(0, None)


def _antialiased(step: Any, outputs: Floats, size: int, kind: str, real: type[Any]) -> tuple[Ints, Floats]:
    weight: Callable[[Floats], Floats] = (
        _linear_weight if kind == "linear" else lambda distance: _cubic_weight(distance, _CUBIC_ANTIALIAS)
    )
    stretch = max(step, real(1))
    reach = real(1 if kind == "linear" else 2) * stretch
    center = (outputs + real(0.5)) * step
    first = (center - reach + real(0.5)).astype(np.int64).clip(0, None)
    end = (center + reach + real(0.5)).astype(np.int64).clip(None, size)
    cells = first[:, None] + np.arange(max(int((end - first).max()), 1))
    distance = (cells.astype(real) - center[:, None] + real(0.5)) / stretch
    found = np.where(cells < end[:, None], weight(distance), real(0))
    total = found.sum(1, keepdims=True, dtype=real)
    return cells.clip(0, size - 1), found / np.where(total == 0, real(1), total)
