"""Samples for ops that read and write rows, cells and items at indices that may repeat."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st

from tests.replacements.samples import Sample, leaf
from tests.replacements.samples.values import Draw, dimension, floats, named, sizes, smooth, usual

CPU = torch.device("cpu")
REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


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
    input, *others = _rows(draw, dtype, away_from_zero=True)
    reduce, include_self = draw(st.sampled_from(REDUCTIONS[1:])), draw(st.booleans())
    if reduce == "prod" and not include_self:
        input = input.detach()  # torch's second derivative for it is not quite zero
    return Sample((input, *others, reduce), {"include_self": include_self})


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


def _scalar_rows(dtype: torch.dtype) -> Sample:
    return Sample((leaf(torch.tensor(2.0, dtype=dtype)), 0, torch.tensor(0), leaf(torch.tensor(3.0, dtype=dtype))))


def _infinite(dtype: torch.dtype) -> Sample:
    values = torch.tensor([torch.inf, -torch.inf, torch.nan, -0.0, 0.0, torch.finfo(dtype).max], dtype=dtype)
    return Sample((values, 0, torch.tensor([0, 1, 2, 3, 4, 5]), values))


def _in_integers(dtype: torch.dtype) -> Sample:
    return Sample((torch.arange(5), 0, torch.tensor([0, 3, 3, 1]), torch.tensor([4, 2, 7, 5])))


def _too_long(dtype: torch.dtype) -> Sample:
    return Sample((torch.zeros(2, 3, dtype=dtype), 0, torch.zeros(3, 4, dtype=torch.int64), torch.ones(3, 3).to(dtype)))


def reducing(make: Any, reduce: str) -> Any:
    """The sample of `make` with a reduction."""
    return lambda dtype: Sample((*make(dtype).args, reduce))


def both(name: str, value: Any) -> dict[str, Any]:
    """For a function and its sibling that works in place."""
    return {name: value, name + "_": value}


def _smooth_rows() -> Sample:
    return Sample((smooth(3, 2), 0, torch.tensor([2, 0]), smooth(2, 2)))


def _smooth_row_sums() -> Sample:
    return Sample((smooth(3, 2), 0, torch.tensor([2, 0, 2, 2]), smooth(4, 2)))


def _usual_rows(dtype: torch.dtype, device: torch.device) -> tuple[Any, ...]:
    return (usual(dtype, device, 1000, 64), 0, named(device, 1000, 4000), usual(dtype, device, 4000, 64))


def _usual_put(dtype: torch.dtype, device: torch.device) -> Sample:
    cells = usual(dtype, device, 50000)
    return Sample((cells, named(device, 50000, 100000), usual(dtype, device, 100000)))


def scaled(n: int) -> tuple[Any, ...]:
    """Cells, a dimension, indices and values: n cells and twice as many values."""
    return (smooth(n), 0, named(CPU, n, 2 * n), smooth(2 * n))


EDGES = (_infinite, _in_integers, _too_long)
_ROW_EDGES = (_scalar_rows, _infinite, _in_integers, _too_long)

DRAWN: dict[str, Any] = (
    {"take": _taken}
    | {"index_select": lambda draw, dtype: Sample(_rows(draw, dtype)[:3])}
    | {"repeat_interleave": _repeated}
    | both("index_add", _index_added)
    | both("index_copy", lambda draw, dtype: Sample(_rows(draw, dtype)))
    | both("index_reduce", _index_reduced)
    | both("index_put", _put_at)
    | both("put", _put)
    | {"bincount": _counted}
    | {"histc": _histogram}
    | {"getitem": _item}
    | {"setitem_": _set_item}
)

EXTREME: dict[str, Any] = (
    both("index_add", _ROW_EDGES)
    | both("index_copy", _ROW_EDGES)
    | both("index_reduce", tuple(reducing(make, each) for make in EDGES for each in REDUCTIONS[1:]))
)

SMOOTH: dict[str, Any] = (
    {"take": lambda: Sample((smooth(3, 2), torch.tensor([4, 0, 4, 4])))}
    | {"index_select": lambda: Sample((smooth(3, 2), 0, torch.tensor([2, 0, 2, 2])))}
    | {"repeat_interleave": lambda: Sample((smooth(3, 2), torch.tensor([2, 0, 3]), 0))}
    | both("index_add", _smooth_row_sums)
    | both("index_copy", _smooth_rows)
    | both("index_reduce", lambda: Sample((*_smooth_row_sums().args, "prod")))
    | both("index_put", lambda: Sample((smooth(3, 2), (torch.tensor([2, 0]),), smooth(2, 2))))
    | both("put", lambda: Sample((smooth(3, 2), torch.tensor([4, 1]), smooth(2))))
    | {"bincount": lambda: Sample((torch.tensor([1, 2, 1]), torch.tensor([0.5, 1.0, 2.0])))}
    | {"histc": lambda: Sample((smooth(4).detach(), 3))}
    | {"getitem": lambda: Sample((smooth(3, 4), (slice(None), torch.tensor([2, 0, 2]))))}
    | {"setitem_": lambda: Sample((smooth(3, 4), (slice(None), torch.tensor([2, 0])), smooth(3, 2)))}
)

TYPICAL: dict[str, Any] = (
    {"take": lambda dtype, device: Sample(_usual_put(dtype, device).args[:2])}
    | {"index_select": lambda dtype, device: Sample(_usual_rows(dtype, device)[:3])}
    | {"repeat_interleave": lambda d, device: Sample((usual(d, device, 1000, 64), torch.arange(1000) % 7, 0))}
    | both("index_add", lambda dtype, device: Sample(_usual_rows(dtype, device)))
    | both("index_copy", lambda dtype, device: Sample(_usual_rows(dtype, device)))
    | both("index_reduce", lambda dtype, device: Sample((*_usual_rows(dtype, device), "mean")))
    | both(
        "index_put",
        lambda d, device: Sample(
            (usual(d, device, 1000, 64), (named(device, 1000, 4000),), usual(d, device, 4000, 64))
        ),
    )
    | both("put", _usual_put)
    | {"bincount": lambda dtype, device: Sample((torch.arange(100000) % 999, torch.arange(100000)))}
    | {"histc": lambda dtype, device: Sample((usual(dtype, device, 100000).detach(), 64, -2, 2))}
    | {"getitem": lambda d, device: Sample((usual(d, device, 1000, 64), named(device, 1000, 4000)))}
    | {
        "setitem_": lambda d, device: Sample(
            (usual(d, device, 1000, 64), named(device, 1000, 4000), usual(d, device, 4000, 64))
        )
    }
)

SCALED: dict[str, Any] = (
    {"take": lambda n: Sample((smooth(n), named(CPU, n, 2 * n)))}
    | {"index_select": lambda n: Sample(scaled(n)[:3])}
    | {"repeat_interleave": lambda n: Sample((smooth(n), torch.arange(n) % 4, 0))}
    | both("index_add", lambda n: Sample(scaled(n)))
    | both("index_copy", lambda n: Sample(scaled(n)))
    | both("index_reduce", lambda n: Sample((*scaled(n), "prod")))
    | both("index_put", lambda n: Sample((smooth(n), (named(CPU, n, 2 * n),), smooth(2 * n))))
    | both("put", lambda n: Sample((smooth(n), named(CPU, n, 2 * n), smooth(2 * n))))
    | {"bincount": lambda n: Sample((torch.arange(n) % 9, torch.ones(n)))}
    | {"histc": lambda n: Sample((smooth(n).detach(), 9))}
    | {"getitem": lambda n: Sample((smooth(n), named(CPU, n, 2 * n)))}
    | {"setitem_": lambda n: Sample((smooth(n), named(CPU, n, 2 * n), smooth(2 * n)))}
)
