"""Counting for conditions: how many values meet in one cell.

Floating point addition is commutative, not associative: two additions onto zero give the same bits in either
order, three need not. The functions tell the two apart: each but the last returns the most additions that any one
cell can get, exactly or on the safe side, never too few.

They are called from conditions of rule rows, with the arguments of an op: sizes, strides, paddings, scales.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

# Note [Which sums have one result]
# Two additions onto zero do: addition is commutative. So does one addition among any number of exact zeros, which
# change nothing. Two among zeros need not: float32 atomics flush a subnormal result to a zero of its sign (PTX ISA,
# atom.add.f32 on global memory), and whether another zero is added before or after that decides the sign that stays.

MANY = 3
"""More than two: counting stops here, because two additions onto zero is what has only one result."""

_LONGEST_COUNTED = 1 << 12
"""Output cells per dimension up to which interpolation is counted; a longer one is taken for MANY."""


def _in_all(per_dimension: Iterable[int]) -> int:
    """Additions onto a cell when each dimension contributes on its own: the product of the largest counts."""
    return math.prod(per_dimension)


def reflection_addends(shape: Sequence[int], padding: Sequence[int]) -> int:
    """Most gradients that reflection padding sends to one cell.

    `shape` ends with the padded dimensions, `padding` starts with the last one, as F.pad takes it. A cell is
    itself copied once, once more if it is mirrored on the left, and once more if it is mirrored on the right.
    Source: reflect_index in aten/src/ATen/native/cuda/ReflectionPad.cu (torch 2.15).
    """
    return _in_all(_reflected(size, before, after) for size, before, after in _padded(shape, padding))


def _reflected(size: int, before: int, after: int) -> int:
    left, right = range(1, min(before, size - 1) + 1), range(max(0, size - 1 - after), size - 1)
    both = left and right and max(left[0], right[0]) <= min(left[-1], right[-1])
    return 3 if both else 2 if left or right else 1


def replication_addends(shape: Sequence[int], padding: Sequence[int]) -> int:
    """Most gradients that replication padding sends to one cell: the cells at the edge, once per copy.

    `shape` ends with the padded dimensions, `padding` starts with the last one, as F.pad takes it.
    Source: replication_pad_backward_kernel in aten/src/ATen/native/cuda/ReplicationPadding.cu (torch 2.15).
    """
    return _in_all(_replicated(size, before, after) for size, before, after in _padded(shape, padding))


def _replicated(size: int, before: int, after: int) -> int:
    before, after = max(0, before), max(0, after)
    return 1 + (before + after if size == 1 else max(before, after))


def _padded(shape: Sequence[int], padding: Sequence[int]) -> list[tuple[int, int, int]]:
    """Size, padding before and padding after, for each padded dimension."""
    return [(shape[-1 - i // 2], padding[i], padding[i + 1]) for i in range(0, len(padding), 2)]


def pool3d_windows(
    kernel_size: Sequence[int], stride: Sequence[int], dilation: Sequence[int] = (1,), output: Sequence[int] = ()
) -> int:
    """Most windows of a 3-D pool that reach one cell, over all paddings and both rounding modes.

    `output`, where it is given, ends with the output's three sizes: there are no more windows than that. An
    empty stride is the kernel size, and one number stands for three, as in the pools' own arguments.
    Source: windows start at index * stride - padding and step by the dilation,
    aten/src/ATen/native/cuda/AveragePool3d.cu and DilatedMaxPool3d.cu (torch 2.15).
    """
    kernel, step, spread = _three(kernel_size), _three(stride or kernel_size), _three(dilation)
    reaching = [-(-k // (s // math.gcd(s, d))) for k, s, d in zip(kernel, step, spread, strict=True)]
    if output:
        reaching = [min(pair) for pair in zip(reaching, output[-3:], strict=True)]
    return _in_all(reaching)


def _three(sizes: Sequence[int]) -> Sequence[int]:
    return tuple(sizes) * 3 if len(sizes) == 1 else sizes


def adaptive_windows(shape: Sequence[int], output: Sequence[int]) -> int:
    """Most windows of an adaptive pool that reach one cell.

    `shape` and `output` are whole shapes of the same length: a dimension that keeps its size counts for one.
    Window i of m over n cells runs from floor(i * n / m) to ceil((i + 1) * n / m), so cell c is in the windows
    from floor(c * m / n) to ceil((c + 1) * m / n).
    Source: start_index and end_index in aten/src/ATen/native/AdaptivePooling.h (torch 2.15).
    """
    return _in_all(_adapted(n, m) for n, m in zip(shape, output, strict=True))


def _adapted(n: int, m: int) -> int:
    count = -(-(m + n - math.gcd(m, n)) // n)
    # Early releases divide in float32: a border may then be off by one cell.
    return count if n * m < 1 << 23 else count + 2 * -(-m // n)


def fractional_windows(shape: Sequence[int], output_size: Sequence[int], kernel_size: Sequence[int]) -> int:
    """Most regions of a fractional max pool that reach one cell, whatever the random samples.

    `shape` ends with the pooled dimensions. Region i starts at floor((i + sample) * a) - floor(sample * a), with
    a = (n - kernel) / (output - 1), in float32. Where a is a whole number rounding can bring two regions one cell
    closer than a; elsewhere they are at least floor(a) apart.
    Source: get_interval in aten/src/ATen/native/cuda/FractionalMaxPool2d.cu (torch 2.15).
    """
    sizes = shape[-len(output_size) :]
    return _in_all(_spread(*each) for each in zip(sizes, output_size, kernel_size, strict=True))


def _spread(n: int, m: int, kernel: int) -> int:
    if m == 1:
        return 1
    apart = -(-(n - kernel) // (m - 1)) - 1
    if n * m >= 1 << 20:
        apart -= 1
    return min(m, -(-kernel // apart) if apart > 0 else m)


def linear_addends(
    input_size: Sequence[int], output_size: Sequence[int], align_corners: bool, scales: Sequence[float | None]
) -> int:
    """Most additions that the backward of linear, bilinear or trilinear interpolation makes to one cell.

    `input_size` ends with the interpolated dimensions; `scales` are the scale factors, None where the sizes decide.
    Additions whose weight is exactly zero are left out where only one other is left: see Note [Which sums have one
    result].
    Source: area_pixel_compute_source_index in aten/src/ATen/native/cuda/UpSample.cuh (torch 2.15).
    """
    return _interpolated(input_size, output_size, align_corners, scales, _linear_touches)


def cubic_addends(
    input_size: Sequence[int], output_size: Sequence[int], align_corners: bool, scales: Sequence[float | None]
) -> int:
    """Most additions that the backward of bicubic interpolation makes to one cell; as `linear_addends`.

    Source: upsample_bicubic2d_backward_out_frame in aten/src/ATen/native/cuda/UpSampleBicubic2d.cu (torch 2.15).
    """
    return _interpolated(input_size, output_size, align_corners, scales, _cubic_touches)


class _Touches(NamedTuple):
    """The cells one output cell adds to, once per addition, and those whose weight may be other than zero."""

    all: tuple[int, ...]
    weighted: tuple[int, ...]


def _linear_touches(source: float, size: int) -> _Touches:
    first = min(int(max(source, 0.0)), size - 1)
    second = min(first + 1, size - 1)
    return _Touches((first, second), (first,) if max(source, 0.0) == first else (first, second))


def _cubic_touches(source: float, size: int) -> _Touches:
    first = math.floor(source)
    near = tuple(min(max(first + step, 0), size - 1) for step in (-1, 0, 1, 2))
    return _Touches(near, (near[1],) if source == first else near)


class _Counts(NamedTuple):
    """Most additions onto one cell, and most of those whose weight may be other than zero."""

    all: int
    weighted: int


def _interpolated(
    input_size: Sequence[int],
    output_size: Sequence[int],
    align_corners: bool,
    scales: Sequence[float | None],
    touches: Callable[[float, int], _Touches],
) -> int:
    sizes = input_size[-len(output_size) :]
    if list(sizes) == list(output_size):
        return 1  # every kernel copies then
    counts = [
        _count_along(n, m, bool(align_corners), scale, touches)
        for n, m, scale in zip(sizes, output_size, scales, strict=True)
    ]
    weighted = _in_all(each.weighted for each in counts)
    return weighted if weighted <= 1 else _in_all(each.all for each in counts)


@lru_cache(maxsize=256)
def _count_along(
    n: int, m: int, align_corners: bool, scale: float | None, touches: Callable[[float, int], _Touches]
) -> _Counts:
    if m > _LONGEST_COUNTED:
        return _Counts(MANY, MANY)
    every: Counter[int] = Counter()
    weighted: Counter[int] = Counter()
    most = _Counts(1, 1)
    for index in range(m):
        ways = {touches(source, n) for source in _sources(n, m, align_corners, scale, index)}
        most = _Counts(
            max(most.all, _add(every, [way.all for way in ways])),
            max(most.weighted, _add(weighted, [way.weighted for way in ways])),
        )
        if most.weighted >= MANY:
            break
    return most


def _add(counts: Counter[int], ways: list[tuple[int, ...]]) -> int:
    """Count every cell as often as the way that has it most often; the largest count among them."""
    united = Counter(ways[0])
    for way in ways[1:]:
        united |= Counter(way)
    counts.update(united)
    return max(counts[cell] for cell in united)


def _sources(n: int, m: int, align_corners: bool, scale: float | None, index: int) -> list[float]:
    """Where output cell `index` reads from, in every arithmetic a kernel may use.

    float32 with a fused multiply-add, float32 without, and float64, which is bracketed if it is not exact.
    """
    if align_corners:
        exact, place, offset = ((n - 1) / (m - 1) if m > 1 else 0.0), float(index), 0.0
    else:
        exact, place, offset = (1.0 / scale if scale is not None and scale > 0 else n / m), index + 0.5, 0.5
    single = _float32(exact)
    fused, apart = _float32(single * place - offset), _float32(_float32(single * place) - offset)
    if single == exact:
        return [fused, apart, single * place - offset]
    blur = 1e-12 * (n + 1)
    double = exact * place - offset
    return [fused, apart, double - blur, double + blur]


def _float32(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])


def integer_dtype(dtype: Any) -> bool:
    """Whether a dtype argument (not a tensor) asks for integers or booleans, whose sums are exact."""
    return not (dtype.is_floating_point or dtype.is_complex)


COUNTING_FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        reflection_addends,
        replication_addends,
        pool3d_windows,
        adaptive_windows,
        fractional_windows,
        linear_addends,
        cubic_addends,
        integer_dtype,
    )
}
"""Name in a condition -> function of plain values (sizes, strides, paddings)."""
