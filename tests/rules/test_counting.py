"""Counting against brute force: torch's own ops on the CPU, made to show how often each cell is reached."""

from __future__ import annotations

import itertools
import re

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from opscan.cases import Case, read_cases
from opscan.rules.counting import (
    COUNTING_FUNCTIONS,
    MANY,
    adaptive_windows,
    cubic_addends,
    fractional_windows,
    integer_dtype,
    linear_addends,
    pool3d_windows,
    reflection_addends,
    replication_addends,
)
from opscan.rules.load import builtin_rules_dir

many_examples = settings(max_examples=150, deadline=None)


def gradients_per_cell(shape: list[int], padding: list[int], mode: str) -> int:
    x = torch.zeros(1, 1, *shape, dtype=torch.float64, requires_grad=True)
    F.pad(x, padding, mode=mode).sum().backward()
    assert x.grad is not None
    return int(x.grad.max())


@st.composite
def padded(draw: st.DrawFn, *, wide: bool, cropped: bool) -> tuple[list[int], list[int]]:
    """Up to three sizes and their paddings, the last dimension first; `wide` paddings may exceed the size."""
    shape = draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
    padding: list[int] = []
    for size in reversed(shape):
        limit = 5 if wide else size - 1
        lowest = -((size - 1) // 2) if cropped else 0
        padding += [draw(st.integers(lowest, limit)), draw(st.integers(lowest, limit))]
    return shape, padding


@given(padded(wide=False, cropped=False))
@many_examples
def test_reflection_is_counted_exactly(case: tuple[list[int], list[int]]) -> None:
    shape, padding = case
    assert reflection_addends((1, 1, *shape), padding) == gradients_per_cell(shape, padding, "reflect")


@given(padded(wide=True, cropped=False))
@many_examples
def test_replication_is_counted_exactly(case: tuple[list[int], list[int]]) -> None:
    shape, padding = case
    assert replication_addends((1, 1, *shape), padding) == gradients_per_cell(shape, padding, "replicate")


@given(padded(wide=False, cropped=True), st.sampled_from(["reflect", "replicate"]))
@many_examples
def test_padding_that_crops_is_never_counted_too_low(case: tuple[list[int], list[int]], mode: str) -> None:
    shape, padding = case
    count = {"reflect": reflection_addends, "replicate": replication_addends}[mode]
    assert count((1, 1, *shape), padding) >= gradients_per_cell(shape, padding, mode)


three = st.lists(st.integers(1, 4), min_size=3, max_size=3)


@given(three, three, three, st.lists(st.integers(1, 12), min_size=3, max_size=3), st.booleans(), st.data())
@many_examples
def test_no_window_of_a_pool_is_missed(
    kernel: list[int], stride: list[int], dilation: list[int], sizes: list[int], ceil_mode: bool, data: st.DataObject
) -> None:
    padding = [data.draw(st.integers(0, k // 2)) for k in kernel]
    assume(all(n + 2 * p > d * (k - 1) for n, p, k, d in zip(sizes, padding, kernel, dilation, strict=True)))
    output = F.max_pool3d(
        torch.zeros(1, 1, *sizes), kernel, stride, padding, dilation=dilation, ceil_mode=ceil_mode
    ).shape
    reached = F.conv_transpose3d(torch.ones(output), torch.ones(1, 1, *kernel), stride=stride, dilation=dilation)
    inside = reached[(..., *(slice(p, p + n) for p, n in zip(padding, sizes, strict=True)))]
    truth = int(inside.max()) if inside.numel() else 0
    assert truth <= pool3d_windows(kernel, stride, dilation, output) <= pool3d_windows(kernel, stride, dilation)


@given(three, three)
@many_examples
def test_windows_of_a_pool_are_counted_exactly_in_the_middle(kernel: list[int], stride: list[int]) -> None:
    reached = F.conv_transpose3d(torch.ones(1, 1, 8, 8, 8), torch.ones(1, 1, *kernel), stride=stride)
    assert int(reached.max()) == pool3d_windows(kernel, stride)


@pytest.mark.parametrize(
    ("arguments", "windows"),
    [
        (([2], []), 1),
        (([2, 2, 2], []), 1),
        (([3], [2]), 8),
        (([3, 1, 1], [2, 1, 1]), 2),
        (([3, 3, 3], [1, 1, 1], [1], (2, 4, 1, 2, 1)), 2),
        (([2, 2, 2], [2, 2, 2], [2, 2, 2]), 8),
        (([2, 2, 2], [3, 3, 3], [2, 2, 2]), 1),
    ],
)
def test_windows_of_a_pool(arguments: tuple[list[int], ...], windows: int) -> None:
    assert pool3d_windows(*arguments) == windows


sizes_in_and_out = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 60)), min_size=1, max_size=2)


@given(sizes_in_and_out)
@many_examples
def test_adaptive_windows_are_counted_exactly(sizes: list[tuple[int, int]]) -> None:
    truth = 1
    for n, m in sizes:
        reached = F.adaptive_avg_pool1d(torch.eye(n, dtype=torch.float64)[None], m)[0] > 0  # cell, window
        truth *= int(reached.sum(1).max())
    shape, output = zip(*sizes, strict=True)
    assert adaptive_windows((2, 3, *shape), (2, 3, *output)) == truth


def test_adaptive_windows_are_never_too_few_where_float32_rounds() -> None:
    assert adaptive_windows([4096], [4096]) == 3
    assert adaptive_windows([2048], [2048]) == 1


@given(st.integers(4, 40), st.integers(1, 6), st.data(), st.floats(0, 1, exclude_max=True, width=32))
@many_examples
def test_no_region_of_a_fractional_pool_is_missed(n: int, kernel: int, data: st.DataObject, sample: float) -> None:
    assume(kernel <= n)
    m = data.draw(st.integers(1, n - kernel + 1))
    rising = torch.arange(n, dtype=torch.float32).expand(1, 1, 2, n)
    samples = torch.full((1, 1, 2), sample)
    _, last = F.fractional_max_pool2d(rising, (1, kernel), (2, m), _random_samples=samples, return_indices=True)
    reached = torch.zeros(n)
    for end in (last[0, 0, 0] % n).tolist():
        reached[end - kernel + 1 : end + 1] += 1
    assert int(reached.max()) <= fractional_windows((1, 1, 2, n), [2, m], [1, kernel])


def most_weights(n: int, m: int, cubic: bool, align_corners: bool, scale: float | None, dtype: torch.dtype) -> int:
    """How many output cells a cell has a weight in, at most; two weights of one output cell come as one."""
    cells = torch.eye(n, dtype=dtype)[None]
    size = None if scale is not None else m
    if cubic:
        size2, scale2 = (None, (scale, 1.0)) if size is None else ((size, 1), None)
        weights = F.interpolate(
            cells[..., None], size2, scale2, "bicubic", align_corners, recompute_scale_factor=False if scale2 else None
        )
    else:
        weights = F.interpolate(cells, size, scale, "linear", align_corners)
    return int((weights.reshape(n, -1) != 0).sum(1).max())


interpolations = st.tuples(
    st.integers(1, 40),
    st.integers(1, 40),
    st.booleans(),
    st.booleans(),
    st.sampled_from([torch.float32, torch.float64]),
)


@given(interpolations)
@many_examples
def test_no_weight_of_an_interpolation_to_a_size_is_missed(case: tuple[int, int, bool, bool, torch.dtype]) -> None:
    n, m, cubic, align_corners, dtype = case
    counted = (cubic_addends if cubic else linear_addends)([n], [m], align_corners, [None])
    truth = most_weights(n, m, cubic, align_corners, None, dtype)
    assert min(truth, MANY) <= counted


@given(interpolations, st.floats(0.05, 3))
@many_examples
def test_no_weight_of_an_interpolation_by_a_factor_is_missed(
    case: tuple[int, int, bool, bool, torch.dtype], scale: float
) -> None:
    n, _, cubic, align_corners, dtype = case
    m = int(n * scale)
    assume(m >= 1 and m != n)  # equal sizes are copied on CUDA, whatever the factor
    counted = (cubic_addends if cubic else linear_addends)([n], [m], align_corners, [scale])
    truth = most_weights(n, m, cubic, align_corners, scale, dtype)
    assert min(truth, MANY) <= counted


@given(st.integers(2, 400), st.integers(1, 200))
@many_examples
def test_halving_or_more_reaches_every_cell_at_most_once(n: int, m: int) -> None:
    assume(n >= 2 * m)
    assert linear_addends([n], [m], False, [None]) == 1


@pytest.mark.parametrize(
    ("sizes", "addends"),
    [
        (([8, 8], [4, 4], False, [None, None]), (1, MANY)),
        (([12, 12], [4, 4], False, [None, None]), (1, 1)),
        (([16, 16], [4, 4], False, [None, None]), (1, 1)),
        (([6], [4], False, [None]), (2, MANY)),
        (([9], [5], True, [None]), (1, 1)),
        (([8], [8], True, [None]), (1, 1)),
        (([4, 8], [4, 4], False, [None, None]), (1, MANY)),
        (([4], [8], False, [2.0]), (MANY, MANY)),
        (([2], [1], False, [None]), (1, 2)),  # four taps clamped to two cells
        (([10], [5], False, [0.5]), (1, 2)),
        (([100000], [9000], False, [None]), (MANY, MANY)),
    ],
)
def test_addends_of_an_interpolation(
    sizes: tuple[list[int], list[int], bool, list[float | None]], addends: tuple[int, int]
) -> None:
    assert (min(linear_addends(*sizes), MANY), min(cubic_addends(*sizes), MANY)) == addends


def test_dimensions_multiply() -> None:
    for n, m, other in itertools.product((6, 9, 12), (3, 4, 5), (3, 4)):
        both = linear_addends([n, 12], [m, other], False, [None, None])
        one, two = linear_addends([n], [m], False, [None]), linear_addends([12], [other], False, [None])
        assert both >= one * two


@pytest.mark.parametrize(
    ("dtype", "exact"), [(torch.int32, True), (torch.bool, True), (torch.float16, False), (torch.complex64, False)]
)
def test_which_dtypes_are_summed_exactly(dtype: torch.dtype, exact: bool) -> None:
    assert integer_dtype(dtype) is exact


def test_every_function_says_what_it_counts_and_where_that_comes_from() -> None:
    for name, function in COUNTING_FUNCTIONS.items():
        assert function.__doc__, name
        assert name == "integer_dtype" or "Source: " in function.__doc__, name


ONE_CALL = re.compile(
    r"(F\.|nn\.|torch\.ops\.aten\.|torch\._C\._nn\.)"
    r"(pad|Repl|Refl|repl|refl|interp|upsample|Upsample|avg_pool|AvgPool|max_pool|MaxPool|_?adaptive|Adaptive|fract)"
)
OTHER_REASON = {
    "stride 1 without padding: no atomics run",
    "channels_last takes a kernel without atomics",
    "float64 may lose the layout on the way",
}
"""Cases whose bits do not follow from the count alone."""

COUNTED = [
    case
    for case in read_cases(builtin_rules_dir())
    if case.bits in ("vary", "cannot vary")
    and case.source in ("padding.cases.toml", "pooling.cases.toml", "interpolation.cases.toml")
    and ONE_CALL.match(case.run)
    and case.name not in OTHER_REASON
]


def gradients_of(case: Case) -> int:
    """Run a case on the CPU, for one plane, and count the output elements whose gradient reaches a cell, at most."""
    shape = [int(size) for size in case.inputs["x"].split("x")]
    planes = 1 if case.name == "without a batch" else 2
    torch.manual_seed(0)
    x = torch.rand([1] * planes + shape[planes:], dtype=torch.float64, requires_grad=True)
    reached = torch.zeros(x.shape)
    for element in eval(case.run, {"torch": torch, "nn": nn, "F": F, "x": x}).flatten():
        (gradient,) = torch.autograd.grad(element, x, retain_graph=True)
        reached += gradient != 0
    return int(reached.max())


@pytest.mark.parametrize("case", COUNTED, ids=lambda case: f"{case.rule}-{case.name}")
def test_what_the_rows_claim_is_what_torch_does(case: Case) -> None:
    gradients = gradients_of(case)
    if case.bits == "cannot vary":
        assert gradients <= 2
    elif "max" not in case.run.lower():  # the largest of random numbers rarely win all their windows
        assert gradients > 2


def test_the_claims_checked_are_many() -> None:
    assert len([case for case in COUNTED if case.bits == "cannot vary"]) >= 30
    assert len([case for case in COUNTED if case.bits == "vary" and "max" not in case.run.lower()]) >= 25
