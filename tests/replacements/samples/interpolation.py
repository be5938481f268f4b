from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import strategies as st

from tests.replacements.samples import Sample, leaf
from tests.replacements.samples.padding import cells, drawn_input, growing, usual

Draw = Callable[..., Any]
DIMS = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}


def resizing(draw: Draw, sizes: list[int]) -> dict[str, Any]:
    """`size` or `scale_factor`, as one number or one for each dimension."""
    if draw(st.booleans()):
        results = tuple(draw(st.integers(1, 14)) for _ in sizes)
        return {"size": draw(st.sampled_from([results[0], results]))}
    factors = [factor for factor in (0.5, 1.0, 1.3, 2, 2.7) if all(int(size * factor) for size in sizes)]
    each = tuple(draw(st.sampled_from(factors)) for _ in sizes)
    return {"scale_factor": draw(st.sampled_from([each[0], each]))}


def all_sizes_stay(options: dict[str, Any], sizes: list[int]) -> bool:
    """A factor that changes no size: there PyTorch's own gradient is not that of its values."""
    factor = options.get("scale_factor", 1.0)
    each = factor if isinstance(factor, tuple) else (factor,) * len(sizes)
    return any(one != 1 and int(size * one) == size for one, size in zip(each, sizes, strict=True))


def interpolate_drawn(draw: Draw, dtype: torch.dtype) -> Sample:
    mode = draw(st.sampled_from([*DIMS, "bilinear", "bicubic", "area", "nearest", "nearest-exact"]))
    dims = DIMS.get(mode) or draw(st.integers(1, 3))
    sizes = [draw(st.integers(1, 9)) for _ in range(dims)]
    options = resizing(draw, sizes) | {"mode": mode}
    if mode in DIMS:
        options["align_corners"] = draw(st.sampled_from([None, False, True]))
    if "scale_factor" in options and (draw(st.booleans()) or all_sizes_stay(options, sizes)):
        options["recompute_scale_factor"] = True
    if mode in ("bilinear", "bicubic"):
        options["antialias"] = draw(st.booleans())
    return Sample((drawn_input(draw, dtype, sizes, True),), options)


def upsample_drawn(draw: Draw, dtype: torch.dtype) -> Sample:
    mode = draw(st.sampled_from([*DIMS, "nearest"]))
    sizes = [draw(st.integers(1, 9)) for _ in range(DIMS.get(mode, 2))]
    options = {"size": tuple(draw(st.integers(1, 14)) for _ in sizes)}
    if draw(st.booleans()):
        options = {"scale_factor": 2}
    if mode in DIMS:
        options["align_corners"] = draw(st.booleans())
    return Sample((drawn_input(draw, dtype, sizes, True),), options | {"mode": mode})


def upsample_bilinear_drawn(draw: Draw, dtype: torch.dtype) -> Sample:
    sizes = [draw(st.integers(1, 9)) for _ in range(2)]
    options = draw(st.sampled_from([{"size": (5, 12)}, {"size": 7}, {"scale_factor": 3}]))
    return Sample((drawn_input(draw, dtype, sizes, True),), options)


def module(drawn: Callable[[Draw, torch.dtype], Sample]) -> Callable[[Draw, torch.dtype], Sample]:
    def made(draw: Draw, dtype: torch.dtype) -> Sample:
        sample = drawn(draw, dtype)
        return Sample(sample.args, init=((), sample.kwargs))

    return made


DRAWN = {
    "interpolate": interpolate_drawn,
    "Upsample": module(upsample_drawn),
    "UpsamplingBilinear2d": module(upsample_bilinear_drawn),
}


def picture(dtype: torch.dtype) -> torch.Tensor:
    return leaf(torch.randn(2, 3, 4, 5, dtype=dtype))


REFUSED: tuple[dict[str, Any], ...] = (
    {"mode": "bilinear"},
    {"mode": "bilinear", "size": 3, "scale_factor": 2},
    {"mode": "bilinear", "size": (3, 3, 3)},
    {"mode": "bilinear", "scale_factor": (2.0,)},
    {"mode": "bilinear", "size": 3, "recompute_scale_factor": True},
    {"mode": "bilinear", "size": (2.5, 3.5)},
    {"mode": "bilinear", "size": (0, 3)},
    {"mode": "bilinear", "scale_factor": 0.1},
    {"mode": "linear", "size": 3},
    {"mode": "trilinear", "size": 3},
    {"mode": "area", "size": 3, "align_corners": True},
    {"mode": "area", "size": 3, "antialias": True},
    {"mode": "nearest", "size": 3, "antialias": True},
    {"mode": "lanczos", "size": 3},
    {"mode": "area"},
)
EXTREME = {
    "interpolate": (
        *(lambda dtype, each=each: Sample((picture(dtype),), each) for each in REFUSED),
        lambda dtype: Sample((leaf(torch.randn(0, 3, 4, 5, dtype=dtype)),), {"size": 7, "mode": "bilinear"}),
        lambda dtype: Sample((leaf(torch.randn(2, 3, 1, 1, dtype=dtype)),), {"size": (1, 9), "mode": "bicubic"}),
        lambda dtype: Sample((leaf(torch.randn(2, 3, 70, 1, dtype=dtype)),), {"size": (3, 9), "mode": "bilinear"}),
        lambda dtype: Sample(
            (leaf(torch.randn(1, 1, 9, 70, dtype=dtype)),), {"size": (3, 9), "mode": "bicubic", "antialias": True}
        ),
        lambda dtype: Sample((picture(dtype),), {"scale_factor": 32, "mode": "bilinear"}),
        lambda dtype: Sample(
            (leaf(torch.tensor([[[float("inf"), 1, float("nan"), 2]]], dtype=dtype)),), {"size": 9, "mode": "linear"}
        ),
    ),
}
DOUBLED = {"scale_factor": 2, "mode": "bilinear"}
SMOOTH = {
    "interpolate": lambda: Sample((cells(2),), {"size": (7, 3), "mode": "bicubic"}),
    "Upsample": lambda: Sample((cells(1),), init=((), {"size": 7, "mode": "linear"})),
    "UpsamplingBilinear2d": lambda: Sample((cells(2),), init=((), {"size": 3})),
}
TYPICAL = {
    "interpolate": lambda dtype, device: Sample((usual(2, dtype, device),), DOUBLED),
    "Upsample": lambda dtype, device: Sample(
        (usual(3, dtype, device),), init=((), {"scale_factor": 2, "mode": "trilinear"})
    ),
    "UpsamplingBilinear2d": lambda dtype, device: Sample((usual(2, dtype, device),), init=((), {"scale_factor": 2})),
}
SCALED = {
    "interpolate": lambda n: Sample((growing(n, 2),), DOUBLED),
    "Upsample": lambda n: Sample((growing(n, 2),), init=((), DOUBLED)),
    "UpsamplingBilinear2d": lambda n: Sample((growing(n, 2),), init=((), {"scale_factor": 2})),
}
