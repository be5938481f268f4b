"""A form is a family of inputs: a shape in which the sizes nobody knows are letters.

`2x3xSxS` is a batch of two square RGB images. A letter stands for an axis, and takes its sizes from AXES:
S for pixels, L for samples of a signal, D for voxels or frames, T for steps of a sequence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest

from opscan.target.inputs import InputSpec

BATCH = 2
_COMMON = {
    "S": "224 32 28 64 96 128 256 299 48 16 512 14 20 24 40 56 80 84 100 105 112 160 192 227 240 320 336 384 400 416 "
    "448 480 518 572 600 640 800 1024 8 4 7 1 2",
    "L": "128 1024 16 32 64 256 100 512 1000 2048 3000 4096 8192 16000 8 4 1 187 784",
    "D": "16 32 64 8 128 112 48 96 24 4 1",
    "T": "16 8 32 10 1 4 5 12 20 24 28 50 64 100 128 197 256 512 77 30 3 2",
}
AXES = {axis: tuple(map(int, sizes.split())) for axis, sizes in _COMMON.items()}
"""The common sizes of each axis, in the order they are tried."""

SMALLEST_IMAGE = 14
"""A failed try does not suggest a smaller one: what then runs is a feature map of one pixel."""

_FURTHEST = {"S": 512, "L": 512, "D": 64, "T": 512}  # every size up to here is tried at last


@dataclass(frozen=True, slots=True)
class Form:
    """A shape whose letters are axes, and the dtype, bound, value and values that InputSpec has.

    A value may be an axis too: the lengths of sequences are the size of T.
    """

    dims: tuple[int | str, ...]
    dtype: str = "float32"
    bound: int | None = None
    value: int | str | None = None
    values: tuple[tuple[int, int], ...] = ()

    def at(self, sizes: Mapping[str, int], batch: int = BATCH) -> InputSpec:
        """The input with each axis at its size, for a batch of another size than BATCH."""
        place = 1 if isinstance(next(iter(self.dims), 0), str) else 0
        square = self.dims == (BATCH, BATCH)  # an adjacency matrix
        dims = [batch if dim == BATCH and (square or n == place) else dim for n, dim in enumerate(self.dims)]
        shape = tuple(sizes[dim] if isinstance(dim, str) else dim for dim in dims)
        value = sizes[self.value] if isinstance(self.value, str) else self.value
        return InputSpec(shape, self.dtype, self.bound, value=value, values=self.values)

    @property
    def width(self) -> int:
        """The number of features, where that is written out and the form is of floats; otherwise 0."""
        last = self.dims[-1] if len(self.dims) > 1 and self.dtype == "float32" else 0
        return last if isinstance(last, int) else 0


def form(shape: str, dtype: str = "float32", bound: int | None = None, value: int | str | None = None) -> Form:
    """A Form from text: `2x3xSxS`, or `scalar`."""
    dims = [] if shape == "scalar" else shape.split("x")
    return Form(tuple(dim if dim in AXES else int(dim) for dim in dims), dtype, bound, value)


def axes_of(forms: Iterable[Form]) -> tuple[str, ...]:
    """The axes that occur in the forms, in order."""
    return tuple(dict.fromkeys(dim for form in forms for dim in (*form.dims, form.value) if isinstance(dim, str)))


def sizes_of(forms: Iterable[Form], known: Mapping[str, int] | None = None) -> Iterator[dict[str, int]]:
    """The sizes to try for these forms together: all axes step on together, then each one alone, then uncommon sizes.

    An axis is one size wherever it occurs, so `(x: 2xTx64, mask: 2xT)` stay in step. Its `known` size comes first.
    """
    axes = axes_of(forms)
    first = {axis: (known or {}).get(axis, AXES[axis][0]) for axis in axes}
    common = [(first[axis], *(size for size in AXES[axis] if size != first[axis])) for axis in axes]
    yield first
    for row in zip_longest(*(sizes[1:] for sizes in common)):
        yield {axis: size or first[axis] for axis, size in zip(axes, row, strict=True)}
    if len(axes) > 1:
        yield from ({**first, axis: size} for axis in axes for size in AXES[axis] if size != first[axis])
    for size in range(1, min((_FURTHEST[axis] for axis in axes), default=0) + 1):
        yield dict.fromkeys(axes, size)
