from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import strategies as st

from tests.replacements.samples import Sample, leaf

Draw = Callable[..., Any]


def drawn_input(draw: Draw, dtype: torch.dtype, sizes: list[int], batched: bool | None = None) -> torch.Tensor:
    """(N, C, sizes...) or (C, sizes...), as it is, permuted, in slices, expanded or channels_last."""
    if batched is None:
        batched = draw(st.booleans())
    front = [draw(st.integers(0, 3)), draw(st.integers(1, 40))] if batched else [draw(st.integers(1, 40))]
    shape = [*front, *sizes]
    layout = draw(st.sampled_from(["plain", "permuted", "sliced", "expanded", "channels_last"]))
    if layout == "permuted":
        x = torch.randn(shape[::-1], dtype=dtype).permute(*reversed(range(len(shape))))
    elif layout == "sliced":
        x = torch.randn([*shape[:-1], 2 * shape[-1]], dtype=dtype)[..., ::2]
    elif layout == "expanded":
        x = torch.randn([1, *shape[1:]], dtype=dtype).expand(shape)
        return leaf(x) if shape[0] else leaf(torch.randn(shape, dtype=dtype))
    else:
        x = torch.randn(shape, dtype=dtype)
        if layout == "channels_last" and len(shape) in (4, 5):
            x = x.to(memory_format=torch.channels_last if len(shape) == 4 else torch.channels_last_3d)
    return leaf(x)


def drawn_amounts(draw: Draw, sizes: list[int], mode: str) -> list[int]:
    """Left and right of each dimension, the last one first; some cut off."""
    found = []
    for size in reversed(sizes):
        most = size - 1 if mode == "reflect" else 2 * size
        before = draw(st.integers(-(size // 2), most))
        after = draw(st.integers(-((size - 1) // 2), most))
        found += [before, after]
    return found


def pad_drawn(draw: Draw, dtype: torch.dtype) -> Sample:
    dims = draw(st.integers(1, 3))
    mode = draw(st.sampled_from(["replicate", "reflect", "replicate", "reflect", "circular", "constant"]))
    sizes = [draw(st.integers(1 if mode != "circular" else 3, 7)) for _ in range(dims)]
    amounts = [1] * (2 * dims) if mode == "circular" else drawn_amounts(draw, sizes, mode)
    return Sample((drawn_input(draw, dtype, sizes), amounts, mode))


def module_drawn(mode: str, dims: int) -> Callable[[Draw, torch.dtype], Sample]:
    def drawn(draw: Draw, dtype: torch.dtype) -> Sample:
        sizes = [draw(st.integers(1, 7)) for _ in range(dims)]
        amounts = draw(st.sampled_from([0, min(sizes) - 1, tuple(drawn_amounts(draw, sizes, mode))]))
        return Sample((drawn_input(draw, dtype, sizes),), init=((amounts,), {}))

    return drawn


def conv_drawn(dims: int) -> Callable[[Draw, torch.dtype], Sample]:
    def drawn(draw: Draw, dtype: torch.dtype) -> Sample:
        sizes = [draw(st.integers(4, 7)) for _ in range(dims)]
        x = leaf(torch.randn([draw(st.integers(1, 2)), 4, *sizes], dtype=dtype))
        padding = draw(st.sampled_from([0, 1, 2, tuple(range(1, dims + 1))[::-1] if dims < 3 else (1, 2, 1), "same"]))
        options = {
            "padding": padding,
            "padding_mode": draw(st.sampled_from(["replicate", "reflect", "zeros", "circular"])),
            "groups": draw(st.sampled_from([1, 2])),
            "stride": 1 if padding == "same" else draw(st.sampled_from([1, 2])),
            "bias": draw(st.booleans()),
        }
        return Sample((x,), init=((4, 6, draw(st.sampled_from([1, 2, 3]))), options))

    return drawn


def cells(dims: int, channels: int = 1) -> torch.Tensor:
    """Few: second derivatives are found numerically."""
    return leaf(torch.randn([2 if dims < 3 else 1, channels, *[4, 3, 3][-dims:]], dtype=torch.float64))


def usual(dims: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Batches of features, some 10^6 elements."""
    shape = {1: [16, 64, 1000], 2: [8, 64, 56, 56], 3: [2, 32, 16, 28, 28]}[dims]
    return torch.randn(shape, dtype=dtype, device=device).requires_grad_()


def growing(n: int, dims: int, channels: int = 3) -> torch.Tensor:
    return leaf(torch.randn([1, channels, n, *[8] * (dims - 1)]))


MODES = {"Replication": "replicate", "Reflection": "reflect"}
MODULES = {f"{word}Pad{dims}d": (mode, dims) for word, mode in MODES.items() for dims in (1, 2, 3)}
CONVOLUTIONS = {f"Conv{dims}d": dims for dims in (1, 2, 3)}


def conv_init(padding_mode: str = "replicate") -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (2, 2, 3), {"padding": 1, "padding_mode": padding_mode}


def wide_conv_init(channels: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (channels, 8, 3), {"padding": 2, "padding_mode": "replicate"}


DRAWN = (
    {"pad": pad_drawn}
    | {name: module_drawn(mode, dims) for name, (mode, dims) in MODULES.items()}
    | {name: conv_drawn(dims) for name, dims in CONVOLUTIONS.items()}
)
EXTREME = {
    "pad": (
        lambda dtype: Sample((leaf(torch.randn(0, 2, 3, dtype=dtype)), (1, 2), "replicate")),
        lambda dtype: Sample((leaf(torch.randn(2, 1, dtype=dtype)), (5, 70), "replicate")),
        lambda dtype: Sample((leaf(torch.randn(2, 4, dtype=dtype)), (-5, 3), "replicate")),
        lambda dtype: Sample((leaf(torch.randn(2, 4, dtype=dtype)), (3, -5), "replicate")),
        lambda dtype: Sample((leaf(torch.randn(2, 4, dtype=dtype)), (-5, 3), "reflect")),
        lambda dtype: Sample((leaf(torch.randn(2, 4, dtype=dtype)), (3, -5), "reflect")),
        lambda dtype: Sample((leaf(torch.randn(2, 4, dtype=dtype)), (3, 3), "reflect")),
        lambda dtype: Sample((leaf(torch.randn(2, 4, dtype=dtype)), (4, 0), "reflect")),  # too much: refused
        lambda dtype: Sample((leaf(torch.randn(2, 4, dtype=dtype)), (-2, -2), "replicate")),  # nothing left: refused
        lambda dtype: Sample((leaf(torch.randn(2, 4, dtype=dtype)), (1, 1), "replicate", 3.0)),
        lambda dtype: Sample((leaf(torch.randn(4, dtype=dtype)), (1, 1), "replicate")),
        lambda dtype: Sample((leaf(torch.randn(4, 4, dtype=dtype)), (1,), "reflect")),
        lambda dtype: Sample((leaf(torch.randn(4, 4, dtype=dtype)), (1, 1), "mirror")),
        lambda dtype: Sample(
            (leaf(torch.tensor([[float("inf"), 1, float("nan"), 2]], dtype=dtype)), (2, 2), "reflect")
        ),
    ),
    "ReplicationPad2d": (lambda dtype: Sample((leaf(torch.randn(3, dtype=dtype)),), init=((1,), {})),),
}
SMOOTH = (
    {"pad": lambda: Sample((cells(2), (1, 2, -1, 1), "reflect"))}
    | {
        name: lambda mode=mode, dims=dims: Sample((cells(dims),), init=(((2, 1) * dims,), {}))
        for name, (mode, dims) in MODULES.items()
    }
    | {name: lambda dims=dims: Sample((cells(dims, 2),), init=conv_init()) for name, dims in CONVOLUTIONS.items()}
)
# So far in that both mirrored stretches meet: where they do not, no bits can vary in one dimension.
AMOUNTS = {"ReflectionPad1d": 500}
TYPICAL = (
    {"pad": lambda dtype, device: Sample((usual(2, dtype, device), (2, 2, 2, 2), "replicate"))}
    | {
        name: lambda dtype, device, name=name, dims=dims: Sample(
            (usual(dims, dtype, device),), init=((AMOUNTS.get(name, 2),), {})
        )
        for name, (_, dims) in MODULES.items()
    }
    | {
        name: lambda dtype, device, dims=dims: Sample(
            (usual(dims, dtype, device),), init=wide_conv_init(32 if dims == 3 else 64)
        )
        for name, dims in CONVOLUTIONS.items()
    }
)
SCALED = (
    {"pad": lambda n: Sample((growing(n, 2), (2, 2, 2, 2), "replicate"))}
    | {name: lambda n, dims=dims: Sample((growing(n, dims),), init=((2,), {})) for name, (_, dims) in MODULES.items()}
    | {
        name: lambda n, dims=dims: Sample((growing(n, dims, 2),), init=conv_init())
        for name, dims in CONVOLUTIONS.items()
    }
)
