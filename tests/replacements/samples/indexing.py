"""Samples for ops that read and write at indices that may repeat."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st

from tests.replacements.samples import Sample, leaf
from tests.replacements.samples.values import Draw, dimension, floats, named, sizes, smooth, usual

CPU = torch.device("cpu")
REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


def _index_like(draw: Draw, shape: list[int], dim: int, count: int) -> torch.Tensor:
    """Indices for gather and scatter: beside `dim` at most as many as there are cells."""
    drawn = [draw(st.integers(1, size)) for size in shape]
    drawn[dim] = draw(st.integers(0, 7))
    return torch.randint(count, drawn)


def _gathered(draw: Draw, dtype: torch.dtype) -> Sample:
    shape = sizes(draw, draw(st.integers(1, 3)))
    dim = dimension(draw, len(shape))
    return Sample((floats(draw, dtype, shape), dim, _index_like(draw, shape, dim, shape[dim])))


def _taken_along(draw: Draw, dtype: torch.dtype) -> Sample:
    shape = sizes(draw, 3)
    input = floats(draw, dtype, shape)
    if draw(st.booleans()):
        return Sample((input, torch.randint(input.numel(), (2, 3))))
    dim = dimension(draw, 3)
    index = [draw(st.sampled_from([1, size])) for size in shape]
    index[dim] = draw(st.integers(0, 6))
    return Sample((input, torch.randint(shape[dim], index), dim))


def _scattered(draw: Draw, dtype: torch.dtype, away_from_zero: bool = False) -> tuple[Any, ...]:
    shape = sizes(draw, draw(st.integers(1, 3)))
    dim = dimension(draw, len(shape))
    index = _index_like(draw, shape, dim, shape[dim])
    source = list(index.shape)
    return (floats(draw, dtype, shape, away_from_zero), dim, index, floats(draw, dtype, source, away_from_zero))


def _scatter(draw: Draw, dtype: torch.dtype) -> Sample:
    args = _scattered(draw, dtype)
    kind = draw(st.sampled_from(["src", "number", "add", "multiply"]))
    if kind == "src":
        return Sample(args)
    if kind == "number":
        return Sample((*args[:3], 2.5))
    plain = (args[0].detach(), args[1], args[2], args[3].detach())
    return Sample(plain, {"reduce": kind})  # torch has no gradient for these


def _scatter_reduced(draw: Draw, dtype: torch.dtype) -> Sample:
    args = _scattered(draw, dtype, away_from_zero=True)
    return Sample((*args, draw(st.sampled_from(REDUCTIONS))), {"include_self": draw(st.booleans())})


def _rows(draw: Draw, dtype: torch.dtype, away_from_zero: bool = False) -> tuple[Any, ...]:
    shape = sizes(draw, draw(st.integers(1, 3)))
    dim = dimension(draw, len(shape))
    index = torch.randint(shape[dim], (draw(st.integers(0, 7)),))
    source = list(shape)
    source[dim] = index.numel()
    return (floats(draw, dtype, shape, away_from_zero), dim, index, floats(draw, dtype, source, away_from_zero))


def _index_added(draw: Draw, dtype: torch.dtype) -> Sample:
    return Sample(_rows(draw, dtype), draw(st.sampled_from([{}, {"alpha": 2}])))


def _index_reduced(draw: Draw, dtype: torch.dtype) -> Sample:
    args = _rows(draw, dtype, away_from_zero=True)
    return Sample((*args, draw(st.sampled_from(REDUCTIONS[1:]))), {"include_self": draw(st.booleans())})


def _repeated(draw: Draw, dtype: torch.dtype) -> Sample:
    shape = sizes(draw, 2)
    input = floats(draw, dtype, shape)
    kind = draw(st.sampled_from(["number", "one", "each", "flat"]))
    dim = dimension(draw, 2)
    if kind == "flat":
        return Sample((input, torch.randint(4, (input.numel(),))))
    repeats = {"number": 3, "one": torch.tensor([2]), "each": torch.randint(4, (shape[dim],))}[kind]
    return Sample((input, repeats, dim))


def _put_at(draw: Draw, dtype: torch.dtype) -> Sample:
    shape = sizes(draw, 3)
    input = floats(draw, dtype, shape)
    accumulate = draw(st.booleans())
    places = draw(st.sampled_from(["one", "two", "three", "mask", "mask and one", "broadcast"]))
    count = draw(st.integers(0, 7))
    first, second, third = (torch.randint(-size, size, (count,)) for size in shape)
    mask = torch.rand(shape[:2]) < 0.5
    inside = int(mask.sum())
    indices, values = {
        "one": ((first,), [count, *shape[1:]]),
        "two": ((first, second), [count, shape[2]]),
        "three": ((first, second, third), [count]),
        "mask": ((mask,), [inside, shape[2]]),
        "mask and one": ((mask, torch.randint(shape[2], (inside,))), [inside]),
        "broadcast": ((first[:, None], torch.randint(shape[1], (3,))), [count, 3, 1]),
    }[places]
    return Sample((input, indices, floats(draw, dtype, values), accumulate))


def _key(draw: Draw, shape: list[int]) -> tuple[Any, ...]:
    """A tensor or two among slices, numbers and None; lists and masks too."""
    count = draw(st.integers(0, 5))
    first, second, third = (torch.randint(-size, size, (count,)) for size in shape)
    mask = torch.rand(shape[1:]) < 0.5
    keys = [
        (first,),
        (slice(None), second),
        (first, ..., third),
        (first[:, None], None, second[:3]),
        (0, second, third),
    ]
    keys += [(first, 0, third), (slice(1, None), [0, 0]), (slice(None), mask), (torch.rand(shape) < 0.5,), (..., third)]
    return tuple(draw(st.sampled_from(keys)))


def _item(draw: Draw, dtype: torch.dtype) -> Sample:
    shape = sizes(draw, 3)
    return Sample((floats(draw, dtype, shape), _key(draw, shape)))


def _set_item(draw: Draw, dtype: torch.dtype) -> Sample:
    input, key = _item(draw, dtype).args
    return Sample((input, key, leaf(torch.randn(input.detach()[key].shape).to(dtype))))


def _put(draw: Draw, dtype: torch.dtype) -> Sample:
    input = floats(draw, dtype, sizes(draw, 2))
    index = torch.randint(-input.numel(), input.numel(), sizes(draw, 2, least=0))
    source = leaf(floats(draw, dtype, list(index.shape)).detach().contiguous())  # torch stores in the order of memory
    return Sample((input, index, source, draw(st.booleans())))


def _taken(draw: Draw, dtype: torch.dtype) -> Sample:
    input = floats(draw, dtype, sizes(draw, 2))
    return Sample((input, torch.randint(-input.numel(), input.numel(), sizes(draw, 2, least=0))))


def _counted(draw: Draw, dtype: torch.dtype) -> Sample:
    count = draw(st.integers(0, 40))
    return Sample((torch.randint(7, (count,)), torch.randn(count).to(dtype), draw(st.integers(0, 9))))


def _histogram(draw: Draw, dtype: torch.dtype) -> Sample:
    values = floats(draw, dtype, sizes(draw, 2)).detach()
    return Sample((values, draw(st.integers(1, 12)), *draw(st.sampled_from([(0, 0), (-1, 1), (0, 3.5), (2, 2)]))))


def _without_dimensions(dtype: torch.dtype) -> Sample:
    return Sample((leaf(torch.tensor(2.0, dtype=dtype)), 0, torch.tensor([0, 0]), leaf(torch.ones(2, dtype=dtype))))


def _scalar_rows(dtype: torch.dtype) -> Sample:
    return Sample((leaf(torch.tensor(2.0, dtype=dtype)), 0, torch.tensor(0), leaf(torch.tensor(3.0, dtype=dtype))))


def _infinite(dtype: torch.dtype) -> Sample:
    values = torch.tensor([torch.inf, -torch.inf, torch.nan, -0.0, 0.0, torch.finfo(dtype).max], dtype=dtype)
    return Sample((values, 0, torch.tensor([0, 1, 2, 3, 4, 5]), values))


def _in_integers(dtype: torch.dtype) -> Sample:
    return Sample((torch.arange(5), 0, torch.tensor([0, 3, 3, 1]), torch.tensor([4, 2, 7, 5])))


def _too_long(dtype: torch.dtype) -> Sample:
    return Sample((torch.zeros(2, 3, dtype=dtype), 0, torch.zeros(3, 4, dtype=torch.int64), torch.ones(3, 3).to(dtype)))


def _reducing(make: Any, reduce: str) -> Any:
    return lambda dtype: Sample((*make(dtype).args, reduce))


_EDGES = (_infinite, _in_integers, _too_long)
_ROW_EDGES = (_scalar_rows, _infinite, _in_integers, _too_long)


def _both(name: str, value: Any) -> dict[str, Any]:
    return {name: value, name + "_": value}


DRAWN: dict[str, Any] = (
    {"gather": _gathered, "take_along_dim": _taken_along, "take": _taken}
    | {"index_select": lambda draw, dtype: Sample(_rows(draw, dtype)[:3]), "repeat_interleave": _repeated}
    | _both("scatter_add", lambda draw, dtype: Sample(_scattered(draw, dtype)))
    | _both("scatter", _scatter)
    | _both("scatter_reduce", _scatter_reduced)
    | _both("index_add", _index_added)
    | _both("index_copy", lambda draw, dtype: Sample(_rows(draw, dtype)))
    | _both("index_reduce", _index_reduced)
    | _both("index_put", _put_at)
    | _both("put", _put)
    | {"bincount": _counted, "histc": _histogram, "getitem": _item, "setitem_": _set_item}
)

EXTREME: dict[str, Any] = (
    _both("scatter_add", (_without_dimensions, *_EDGES))
    | _both("scatter", (_without_dimensions, *_EDGES))
    | _both("index_add", _ROW_EDGES)
    | _both("index_copy", _ROW_EDGES)
    | _both("scatter_reduce", tuple(_reducing(make, each) for make in _EDGES for each in REDUCTIONS))
    | _both("index_reduce", tuple(_reducing(make, each) for make in _EDGES for each in REDUCTIONS[1:]))
)


def _smooth_scatter() -> Sample:
    return Sample((smooth(4, 3), 0, torch.tensor([[0, 2, 1], [3, 0, 2]]), smooth(2, 3)))


def _smooth_sum() -> Sample:
    return Sample((smooth(3, 2), 0, torch.tensor([[0, 2], [2, 2], [1, 0]]), smooth(3, 2)))


def _smooth_rows() -> Sample:
    return Sample((smooth(3, 2), 0, torch.tensor([2, 0]), smooth(2, 2)))


def _smooth_row_sums() -> Sample:
    return Sample((smooth(3, 2), 0, torch.tensor([2, 0, 2, 2]), smooth(4, 2)))


SMOOTH: dict[str, Any] = (
    {"gather": lambda: Sample((smooth(3, 2), 0, torch.tensor([[0, 1], [0, 1], [2, 1]])))}
    | {"take_along_dim": lambda: Sample((smooth(3, 2), torch.tensor([[0], [2], [0], [0]]), 0))}
    | {"take": lambda: Sample((smooth(3, 2), torch.tensor([4, 0, 4, 4])))}
    | {"index_select": lambda: Sample((smooth(3, 2), 0, torch.tensor([2, 0, 2, 2])))}
    | {"repeat_interleave": lambda: Sample((smooth(3, 2), torch.tensor([2, 0, 3]), 0))}
    | _both("scatter_add", _smooth_sum)
    | _both("scatter", _smooth_scatter)
    | _both("scatter_reduce", lambda: Sample((*_smooth_sum().args, "prod")))
    | _both("index_add", _smooth_row_sums)
    | _both("index_copy", _smooth_rows)
    | _both("index_reduce", lambda: Sample((*_smooth_row_sums().args, "prod")))
    | _both("index_put", lambda: Sample((smooth(3, 2), (torch.tensor([2, 0]),), smooth(2, 2))))
    | _both("put", lambda: Sample((smooth(3, 2), torch.tensor([4, 1]), smooth(2))))
    | {"bincount": lambda: Sample((torch.tensor([1, 2, 1]), torch.tensor([0.5, 1.0, 2.0])))}
    | {"histc": lambda: Sample((smooth(4).detach(), 3))}
    | {"getitem": lambda: Sample((smooth(3, 4), (slice(None), torch.tensor([2, 0, 2]))))}
    | {"setitem_": lambda: Sample((smooth(3, 4), (slice(None), torch.tensor([2, 0])), smooth(3, 2)))}
)


def _usual_scatter(dtype: torch.dtype, device: torch.device) -> tuple[Any, ...]:
    index = named(device, 500, 2000, 64)
    return (usual(dtype, device, 500, 64), 0, index, usual(dtype, device, 2000, 64))


def _usual_rows(dtype: torch.dtype, device: torch.device) -> tuple[Any, ...]:
    return (usual(dtype, device, 1000, 64), 0, named(device, 1000, 4000), usual(dtype, device, 4000, 64))


def _usual_put(dtype: torch.dtype, device: torch.device) -> Sample:
    cells = usual(dtype, device, 50000)
    return Sample((cells, named(device, 50000, 100000), usual(dtype, device, 100000)))


TYPICAL: dict[str, Any] = (
    {"gather": lambda dtype, device: Sample(_usual_scatter(dtype, device)[:3])}
    | {"take_along_dim": lambda d, device: Sample((usual(d, device, 500, 64), named(device, 500, 2000, 64), 0))}
    | {"take": lambda dtype, device: Sample(_usual_put(dtype, device).args[:2])}
    | {"index_select": lambda dtype, device: Sample(_usual_rows(dtype, device)[:3])}
    | {"repeat_interleave": lambda d, device: Sample((usual(d, device, 1000, 64), torch.arange(1000) % 7, 0))}
    | _both("scatter_add", lambda dtype, device: Sample(_usual_scatter(dtype, device)))
    | _both("scatter", lambda dtype, device: Sample(_usual_scatter(dtype, device)))
    | _both("scatter_reduce", lambda dtype, device: Sample((*_usual_scatter(dtype, device), "prod")))
    | _both("index_add", lambda dtype, device: Sample(_usual_rows(dtype, device)))
    | _both("index_copy", lambda dtype, device: Sample(_usual_rows(dtype, device)))
    | _both("index_reduce", lambda dtype, device: Sample((*_usual_rows(dtype, device), "mean")))
    | _both(
        "index_put",
        lambda d, device: Sample(
            (usual(d, device, 1000, 64), (named(device, 1000, 4000),), usual(d, device, 4000, 64))
        ),
    )
    | _both("put", _usual_put)
    | {"bincount": lambda dtype, device: Sample((torch.arange(100000) % 999, torch.arange(100000)))}
    | {"histc": lambda dtype, device: Sample((usual(dtype, device, 100000).detach(), 64, -2, 2))}
    | {"getitem": lambda d, device: Sample((usual(d, device, 1000, 64), named(device, 1000, 4000)))}
    | {
        "setitem_": lambda d, device: Sample(
            (usual(d, device, 1000, 64), named(device, 1000, 4000), usual(d, device, 4000, 64))
        )
    }
)


def _scaled_scatter(n: int) -> tuple[Any, ...]:
    return (smooth(n), 0, named(CPU, n, 2 * n), smooth(2 * n))


SCALED: dict[str, Any] = (
    {"gather": lambda n: Sample(_scaled_scatter(n)[:3])}
    | {"take_along_dim": lambda n: Sample((smooth(n), named(CPU, n, 2 * n)))}
    | {"take": lambda n: Sample((smooth(n), named(CPU, n, 2 * n)))}
    | {"index_select": lambda n: Sample(_scaled_scatter(n)[:3])}
    | {"repeat_interleave": lambda n: Sample((smooth(n), torch.arange(n) % 4, 0))}
    | _both("scatter_add", lambda n: Sample(_scaled_scatter(n)))
    | _both("scatter", lambda n: Sample(_scaled_scatter(n)))
    | _both("scatter_reduce", lambda n: Sample((*_scaled_scatter(n), "prod")))
    | _both("index_add", lambda n: Sample(_scaled_scatter(n)))
    | _both("index_copy", lambda n: Sample(_scaled_scatter(n)))
    | _both("index_reduce", lambda n: Sample((*_scaled_scatter(n), "prod")))
    | _both("index_put", lambda n: Sample((smooth(n), (named(CPU, n, 2 * n),), smooth(2 * n))))
    | _both("put", lambda n: Sample((smooth(n), named(CPU, n, 2 * n), smooth(2 * n))))
    | {"bincount": lambda n: Sample((torch.arange(n) % 9, torch.ones(n)))}
    | {"histc": lambda n: Sample((smooth(n).detach(), 9))}
    | {"getitem": lambda n: Sample((smooth(n), named(CPU, n, 2 * n)))}
    | {"setitem_": lambda n: Sample((smooth(n), named(CPU, n, 2 * n), smooth(2 * n)))}
)
