"""Comparing results: equal to the last bit, told apart by place, and how far apart."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from opscan.observe import bits
from opscan.observe.bits import max_ulps, same_bits

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def test_equal_bits_are_equal_to_the_nan_and_the_sign_of_zero() -> None:
    strange = torch.tensor([math.nan, math.inf, -0.0, 1e-45])
    assert same_bits([strange], [strange.clone()])
    assert not same_bits([torch.tensor(0.0)], [torch.tensor(-0.0)])
    assert max_ulps([torch.tensor(0.0)], [torch.tensor(-0.0)]) == 0


@pytest.mark.parametrize("dtype", [*FLOATS, torch.complex64, torch.bool, torch.int8, torch.int64, torch.uint8])
def test_one_other_bit_is_seen_in_every_dtype(dtype: torch.dtype) -> None:
    one = torch.ones(7, dtype=dtype)
    other = one.clone()
    other[3] = 0
    assert same_bits([one], [one.clone()])
    assert not same_bits([one], [other])


@pytest.mark.parametrize("change", [lambda x: x.to(torch.float64), lambda x: x[:-1], lambda x: x.reshape(2, -1)])
def test_another_dtype_or_size_is_another_result(change: object) -> None:
    x = torch.ones(6)
    assert not same_bits([x], [change(x)])


def test_layouts_do_not_matter_and_values_do() -> None:
    x = torch.arange(6.0).reshape(2, 3)
    assert same_bits([x.t()], [x.t().contiguous()])
    assert same_bits([x.to_sparse()], [x.to_sparse()])
    assert not same_bits([x.to_sparse()], [(x + 1).to_sparse()])
    assert same_bits([torch.eye(3).to_sparse_csr()], [torch.eye(3).to_sparse_csr()])
    z = x.to(torch.complex64) * (1 + 1j)
    assert same_bits([z.conj()], [z.conj().resolve_conj()])


def test_zeros_without_memory_are_zeros() -> None:
    assert same_bits([torch._efficientzerotensor(4)], [torch.zeros(4)])


def test_the_distance_is_seen_past_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bits, "CHUNK", 7)
    assert max_ulps([torch.arange(100.0)], [torch.arange(100.0) * 2]) == 1 << 23


@pytest.mark.parametrize("dtype", FLOATS)
@given(start=st.floats(-1e4, 1e4), steps=st.integers(0, 50))
def test_neighbours_are_one_unit_apart(dtype: torch.dtype, start: float, steps: int) -> None:
    one = torch.tensor([start], dtype=dtype)
    ordered = bits._ordered(bits.bits_of(one))
    other = ordered + steps
    back = torch.where(other < 0, torch.iinfo(bits.bits_of(one).dtype).min - other, other)
    moved = back.to(bits.bits_of(one).dtype).view(dtype)
    assert max_ulps([one], [moved]) in ((steps,) if steps else (None, 0))


def test_distances_never_overflow_and_integers_have_none() -> None:
    far = max_ulps([torch.tensor(-1e308, dtype=torch.float64)], [torch.tensor(1e308, dtype=torch.float64)])
    assert far == 2**62
    assert max_ulps([torch.tensor(1)], [torch.tensor(2)]) is None
