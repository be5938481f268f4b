from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from hypothesis import strategies as st

from tests.replacements.samples import Sample, leaf
from tests.replacements.samples.padding import cells, drawn_input, growing, usual

Draw = Callable[..., Any]


def asked(draw: Draw, dims: int) -> Any:
    """Output sizes: one, one for each, or None for one that stays."""
    sizes = tuple(draw(st.integers(1, 13)) for _ in range(dims))
    if dims == 1:
        return draw(st.sampled_from([sizes[0], sizes]))
    return draw(st.sampled_from([sizes[0], sizes, (None, *sizes[1:]), 1, (1,) * dims]))


def adaptive_drawn(dims: int, module: bool) -> Callable[[Draw, torch.dtype], Sample]:
    def drawn(draw: Draw, dtype: torch.dtype) -> Sample:
        x = drawn_input(draw, dtype, [draw(st.integers(1, 12)) for _ in range(dims)])
        size = asked(draw, dims)
        return Sample((x,), init=((size,), {})) if module else Sample((x, size))

    return drawn


def window(draw: Draw) -> tuple[int, int, int]:
    """Kernel, stride and padding of one dimension."""
    kernel = draw(st.integers(1, 4))
    return kernel, draw(st.integers(1, 5)), draw(st.integers(0, kernel // 2))


def pooling_drawn(module: bool) -> Callable[[Draw, torch.dtype], Sample]:
    def drawn(draw: Draw, dtype: torch.dtype) -> Sample:
        kernel, stride, padding = zip(*(window(draw) for _ in range(3)), strict=True)
        if draw(st.booleans()):
            kernel, stride, padding = kernel[0], draw(st.sampled_from([stride[0], None])), padding[0]
        options = {
            "kernel_size": kernel,
            "stride": stride,
            "padding": padding,
            "ceil_mode": draw(st.booleans()),
            "count_include_pad": draw(st.booleans()),
            "divisor_override": draw(st.sampled_from([None, None, 2, 7])),
        }
        x = drawn_input(draw, dtype, [draw(st.integers(4, 9)) for _ in range(3)])
        return Sample((x,), init=((), options)) if module else Sample((x,), options)

    return drawn


def power_drawn(module: bool) -> Callable[[Draw, torch.dtype], Sample]:
    def drawn(draw: Draw, dtype: torch.dtype) -> Sample:
        kernel = draw(st.sampled_from([2, 3, (1, 2, 3)]))
        stride = draw(st.sampled_from([None, 1, 2, (2, 1, 3)]))
        options = {"stride": stride, "ceil_mode": draw(st.booleans())}
        x = leaf(drawn_input(draw, dtype, [draw(st.integers(4, 7)) for _ in range(3)], True).detach().abs() + 0.1)
        power = draw(st.sampled_from([1, 2, 3.0]))
        return Sample((x,), init=((power, kernel), options)) if module else Sample((x, power, kernel), options)

    return drawn


ADAPTIVE = {f"adaptive_avg_pool{dims}d": dims for dims in (1, 2, 3)}
ADAPTIVE_MODULES = {f"AdaptiveAvgPool{dims}d": dims for dims in (1, 2, 3)}
OVERLAPPING = {"kernel_size": 3, "stride": 2, "padding": 1}


def positive(x: torch.Tensor) -> torch.Tensor:
    return leaf(x.detach().abs() + 0.5)


DRAWN = (
    {name: adaptive_drawn(dims, False) for name, dims in ADAPTIVE.items()}
    | {name: adaptive_drawn(dims, True) for name, dims in ADAPTIVE_MODULES.items()}
    | {"avg_pool3d": pooling_drawn(False), "AvgPool3d": pooling_drawn(True)}
    | {"lp_pool3d": power_drawn(False), "LPPool3d": power_drawn(True)}
)
EXTREME = {
    "adaptive_avg_pool2d": (
        lambda dtype: Sample((leaf(torch.randn(0, 2, 3, 4, dtype=dtype)), (2, 3))),
        lambda dtype: Sample((leaf(torch.randn(1, 1, 1, 1, dtype=dtype)), (5, 3))),
        lambda dtype: Sample((leaf(torch.full((1, 1, 4, 4), float("inf"), dtype=dtype)), (3, 3))),
        lambda dtype: Sample((leaf(torch.randn(2, 3, 0, 4, dtype=dtype)), (2, 2))),
        lambda dtype: Sample((leaf(torch.randn(4, dtype=dtype)), (2, 2))),
        lambda dtype: Sample((leaf(torch.randn(2, 3, 4, 4, dtype=dtype)), (2, 2, 2))),
    ),
    "adaptive_avg_pool1d": (
        lambda dtype: Sample((leaf(torch.randn(4, dtype=dtype)), 2)),
        lambda dtype: Sample((leaf(torch.randn(2, 4, dtype=dtype)), -1)),
    ),
    "avg_pool3d": (
        lambda dtype: Sample((leaf(torch.randn(0, 2, 3, 4, 5, dtype=dtype)), 2)),
        lambda dtype: Sample((leaf(torch.randn(2, 3, 4, 5, dtype=dtype)), 9)),  # larger than the input: refused
        lambda dtype: Sample((leaf(torch.randn(2, 3, 4, 5, dtype=dtype)), 2), {"padding": 2}),
        lambda dtype: Sample((leaf(torch.randn(2, 3, 4, 5, dtype=dtype)), 2), {"divisor_override": 0}),
        lambda dtype: Sample((leaf(torch.randn(4, 5, dtype=dtype)), 2)),
        lambda dtype: Sample((leaf(torch.randn(2, 3, 4, 5, dtype=dtype)), (2, 2))),
        lambda dtype: Sample((leaf(torch.randn(2, 3, 4, 5, dtype=dtype)), [2], [1])),
    ),
    "lp_pool3d": (lambda dtype: Sample((leaf(torch.randn(1, 2, 4, 4, 5, dtype=dtype).abs()), 2, (2, 3, 1))),),
}
if hasattr(torch, "__version__") and tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 13):
    EXTREME["lp_pool3d"] += (
        lambda dtype: Sample((leaf(torch.randn(1, 2, 4, 7, 5, dtype=dtype)), math.inf, (2, 3, 2), 2, True)),
        lambda dtype: Sample((leaf(torch.randn(1, 2, 4, 7, 5, dtype=dtype)), -math.inf, 3, 1)),
    )
SMOOTH = (
    {name: lambda dims=dims: Sample((cells(dims), 2)) for name, dims in ADAPTIVE.items()}
    | {name: lambda dims=dims: Sample((cells(dims),), init=((2,), {})) for name, dims in ADAPTIVE_MODULES.items()}
    | {
        "avg_pool3d": lambda: Sample((cells(3),), OVERLAPPING),
        "AvgPool3d": lambda: Sample((cells(3),), init=((), OVERLAPPING)),
        "lp_pool3d": lambda: Sample((positive(cells(3)), 2, 2, 1)),
        "LPPool3d": lambda: Sample((positive(cells(3)),), init=((2, 2, 1), {})),
    }
)
# In one dimension a cell is in more than two windows only where the result is longer than the input.
RESULTS = {1: 2500, 2: 6, 3: 6}
TYPICAL = (
    {
        name: lambda dtype, device, dims=dims: Sample((usual(dims, dtype, device), RESULTS[dims]))
        for name, dims in ADAPTIVE.items()
    }
    | {
        name: lambda dtype, device, dims=dims: Sample((usual(dims, dtype, device),), init=((RESULTS[dims],), {}))
        for name, dims in ADAPTIVE_MODULES.items()
    }
    | {
        "avg_pool3d": lambda dtype, device: Sample((usual(3, dtype, device),), OVERLAPPING),
        "AvgPool3d": lambda dtype, device: Sample((usual(3, dtype, device),), init=((), OVERLAPPING)),
        "lp_pool3d": lambda dtype, device: Sample((usual(3, dtype, device), 2, 3, 2)),
        "LPPool3d": lambda dtype, device: Sample((usual(3, dtype, device),), init=((2, 3, 2), {})),
    }
)
SCALED = (
    {name: lambda n, dims=dims: Sample((growing(n, dims), 6)) for name, dims in ADAPTIVE.items()}
    | {
        name: lambda n, dims=dims: Sample((growing(n, dims),), init=((6,), {}))
        for name, dims in ADAPTIVE_MODULES.items()
    }
    | {
        "avg_pool3d": lambda n: Sample((growing(n, 3),), OVERLAPPING),
        "AvgPool3d": lambda n: Sample((growing(n, 3),), init=((), OVERLAPPING)),
        "lp_pool3d": lambda n: Sample((growing(n, 3), 2, 3, 2)),
        "LPPool3d": lambda n: Sample((growing(n, 3),), init=((2, 3, 2), {})),
    }
)
