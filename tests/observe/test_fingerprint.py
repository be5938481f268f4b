"""Fingerprints see every bit, and where it stands; equal values have equal ones, in any layout."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from opscan.observe.bits import same_bits
from opscan.observe.fingerprint import ROW, fingerprint

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.bool, torch.int8)
SIZES = {"one element": 1, "a word and a half": 3, "a row": 2 * ROW, "rows and a rest": 5 * ROW + 3, "chunks": 1 << 22}


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_other_bit_is_seen_in_every_dtype(dtype: torch.dtype) -> None:
    one = torch.ones(7, dtype=dtype)
    other = one.clone()
    other[3] = 0
    assert fingerprint(one) == fingerprint(one.clone())
    assert fingerprint(one) != fingerprint(other)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_difference_anywhere_is_seen(size: int) -> None:
    one = torch.randn(size, generator=torch.Generator().manual_seed(size))
    assert fingerprint(one) == fingerprint(one.clone())
    assert fingerprint(one) != fingerprint(-one)
    for place in {0, size // 2, size - 1}:
        other = one.clone()
        other[place] = torch.nextafter(one[place], torch.tensor(9.0))
        assert fingerprint(one) != fingerprint(other)


@pytest.mark.parametrize("size", [2 * ROW, 6 * ROW, 1 << 22])
def test_rows_and_chunks_that_change_places_are_seen(size: int) -> None:
    one = torch.randn(size)
    assert fingerprint(one) != fingerprint(one.roll(size // 2))
    assert fingerprint(one) != fingerprint(one.flip(0))


def test_signs_that_change_places_are_seen() -> None:
    """A sign is the highest bit of a word: sums of products with odd weights alone would lose it."""
    signs = torch.ones(512)
    signs[::3] = -1
    rolled = [int(fingerprint(signs.roll(by))) for by in range(512)]
    assert len(set(rolled)) == len({tuple(signs.roll(by).tolist()) for by in range(512)})


@given(st.lists(st.floats(width=32), min_size=2, max_size=40))
def test_elements_that_change_places_are_seen(values: list[float]) -> None:
    one = torch.tensor(values)
    other = one.clone()
    other[0], other[-1] = one[-1].clone(), one[0].clone()
    assert (fingerprint(one) == fingerprint(other)) == same_bits([one], [other])


@pytest.mark.parametrize("start", range(4))
def test_where_a_view_begins_does_not_matter(start: int) -> None:
    x = torch.randn(64)
    assert fingerprint(x[start : start + 8]) == fingerprint(x[start : start + 8].clone())
    assert fingerprint(x.view(8, 8).t()) == fingerprint(x.view(8, 8).t().contiguous())


def test_the_fingerprint_is_the_same_on_every_machine() -> None:
    assert int(fingerprint(torch.arange(100.0))) == GOLDEN


GOLDEN = -5907114254229569536
