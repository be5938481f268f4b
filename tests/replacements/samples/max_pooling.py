"""Samples for max pools and their inverses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from hypothesis import strategies as st

from tests.replacements.samples import Sample, leaf
from tests.replacements.samples.values import Draw, floats, sizes, smooth, usual

_ADAPTIVE = {1: ("adaptive_max_pool1d", "AdaptiveMaxPool1d"), 2: ("adaptive_max_pool2d", "AdaptiveMaxPool2d")}
_ADAPTIVE |= {3: ("adaptive_max_pool3d", "AdaptiveMaxPool3d")}
_FRACTIONAL = {2: ("fractional_max_pool2d", "FractionalMaxPool2d"), 3: ("fractional_max_pool3d", "FractionalMaxPool3d")}
_UNPOOL = {1: ("max_unpool1d", "MaxUnpool1d"), 2: ("max_unpool2d", "MaxUnpool2d"), 3: ("max_unpool3d", "MaxUnpool3d")}


def _image(draw: Draw, dtype: torch.dtype, spatial: int) -> torch.Tensor:
    """With or without a batch dimension; channels_last at times."""
    shape = sizes(draw, draw(st.integers(1, 2)), most=3) + sizes(draw, spatial, least=6, most=9)
    input = floats(draw, dtype, shape)
    layout = {4: torch.channels_last, 5: torch.channels_last_3d}.get(input.dim())
    if layout is not None and draw(st.booleans()):
        return leaf(input.detach().contiguous(memory_format=layout))
    return input


def _max_pooled(draw: Draw, dtype: torch.dtype) -> Sample:
    input = _image(draw, dtype, 3)
    kernel = draw(st.sampled_from([2, 3, (1, 2, 3)]))
    stride = draw(st.sampled_from([None, 1, 2]))
    options = {"padding": draw(st.sampled_from([0, (0, 1, 1)])) if kernel != 1 else 0}
    options |= {"dilation": draw(st.sampled_from([1, 2])), "ceil_mode": draw(st.booleans())}
    return Sample((input, kernel, stride), options)


def _as_module(function: Callable[[Draw, torch.dtype], Sample]) -> Callable[[Draw, torch.dtype], Sample]:
    """The same call, with all but the tensor for the constructor."""

    def drawn(draw: Draw, dtype: torch.dtype) -> Sample:
        sample = function(draw, dtype)
        return Sample(sample.args[:1], init=(sample.args[1:], dict(sample.kwargs)))

    return drawn


def _with_indices(function: Callable[[Draw, torch.dtype], Sample]) -> Callable[[Draw, torch.dtype], Sample]:
    def drawn(draw: Draw, dtype: torch.dtype) -> Sample:
        sample = function(draw, dtype)
        return Sample(sample.args, {**sample.kwargs, "return_indices": draw(st.booleans())})

    return drawn


def _adapted(spatial: int) -> Callable[[Draw, torch.dtype], Sample]:
    def drawn(draw: Draw, dtype: torch.dtype) -> Sample:
        input = _image(draw, dtype, spatial)
        sizes_out = draw(st.sampled_from([1, 4, 5, tuple(sizes(draw, spatial, most=12))]))
        return Sample((input, sizes_out[0] if spatial == 1 and isinstance(sizes_out, tuple) else sizes_out))

    return drawn


def _fractional(spatial: int) -> Callable[[Draw, torch.dtype], Sample]:
    def drawn(draw: Draw, dtype: torch.dtype) -> Sample:
        size = draw(st.sampled_from([{"output_size": 4}, {"output_ratio": 0.6}, {"output_size": (3, 4, 5)[:spatial]}]))
        return Sample((_image(draw, dtype, spatial), draw(st.sampled_from([2, 3]))), size)

    return drawn


def _unpooled(spatial: int) -> Callable[[Draw, torch.dtype], Sample]:
    def drawn(draw: Draw, dtype: torch.dtype) -> Sample:
        stride = draw(st.sampled_from([1, 2, 3]))
        return _unpooling(_image(draw, torch.float32, spatial), spatial, 3, stride, dtype)

    return drawn


def _unpooling(input: torch.Tensor, spatial: int, kernel: int, stride: int, dtype: torch.dtype) -> Sample:
    """What a max pool of the input returned, and the input's size: indices repeat where windows overlap."""
    values, indices = getattr(F, f"max_pool{spatial}d")(
        input.detach().contiguous(), kernel, stride, return_indices=True
    )
    return Sample((leaf(values.to(dtype)), indices, kernel, stride), {"output_size": tuple(input.shape[-spatial:])})


def _unpool_module(spatial: int) -> Callable[[Draw, torch.dtype], Sample]:
    def drawn(draw: Draw, dtype: torch.dtype) -> Sample:
        sample = _unpooled(spatial)(draw, dtype)
        return Sample(sample.args[:2], sample.kwargs, init=(sample.args[2:], {}))

    return drawn


def _function(names: tuple[str, str], make: Any) -> dict[str, Any]:
    """A table's entries for a function, its sibling that always returns indices, and the module."""
    function, module = names
    indices = _with_indices(make)
    return {function: make, f"{function}_with_indices": indices, module: _as_module(indices)}


DRAWN: dict[str, Any] = _function(("max_pool3d", "MaxPool3d"), _max_pooled)
for _d, _names in _ADAPTIVE.items():
    DRAWN |= _function(_names, _adapted(_d))
for _d, _names in _FRACTIONAL.items():
    DRAWN |= _function(_names, _fractional(_d))
for _d, _names in _UNPOOL.items():
    DRAWN |= {_names[0]: _unpooled(_d), _names[1]: _unpool_module(_d)}


def _calls(names: tuple[str, str], args: tuple[Any, ...], make: Any) -> dict[str, Any]:
    """Entries of a table whose functions make one input: `make(sample)` puts it before `args`."""
    function, module = names
    return {
        function: lambda *at: Sample((make(*at), *args)),
        f"{function}_with_indices": lambda *at: Sample((make(*at), *args)),
        module: lambda *at: Sample((make(*at),), init=(args, {})),
    }


def _unpool_calls(names: tuple[str, str], spatial: int, make: Any) -> dict[str, Any]:
    function, module = names

    def called(*at: Any) -> Sample:
        input = make(*at)
        return _unpooling(input, spatial, 2, 2, input.dtype)

    def built(*at: Any) -> Sample:
        sample = called(*at)
        return Sample(sample.args[:2], sample.kwargs, init=(sample.args[2:], {}))

    return {function: called, module: built}


def _table(small: dict[int, Any], usual_size: int) -> dict[str, Any]:
    """All entries; `small` makes an input with so many spatial dimensions."""
    found = _calls(("max_pool3d", "MaxPool3d"), (3, 2), small[3])
    for d, names in _ADAPTIVE.items():
        found |= _calls(names, (usual_size,), small[d])
    for d, names in _FRACTIONAL.items():
        found |= _calls(names, (2, usual_size), small[d])
    for d, names in _UNPOOL.items():
        found |= _unpool_calls(names, d, small[d])
    return found


SMOOTH: dict[str, Any] = _table(
    {1: lambda: smooth(1, 2, 7), 2: lambda: smooth(1, 2, 6, 7), 3: lambda: smooth(1, 1, 5, 5, 5)}, 3
)
TYPICAL: dict[str, Any] = _table(
    {
        1: lambda dtype, device: usual(dtype, device, 8, 64, 1000),
        2: lambda dtype, device: usual(dtype, device, 4, 32, 60, 60),
        3: lambda dtype, device: usual(dtype, device, 2, 16, 23, 23, 23),
    },
    9,
)
SCALED: dict[str, Any] = _table(
    {1: lambda n: smooth(n, 2, 7), 2: lambda n: smooth(n, 2, 6, 7), 3: lambda n: smooth(n, 1, 5, 5, 5)}, 3
)
