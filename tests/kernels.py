"""Triton kernels for tests, each with its own way to memory, and ops of `opscan_tests` that launch them.

Imported only where triton is; nothing here runs on a device.
"""

# ruff: noqa: N803
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch.library import triton_op, wrap_triton
from triton.language import atomic_add as plus


@triton.jit
def add_atomically(x_ptr, index_ptr, out_ptr, n, BLOCK: tl.constexpr, ATOMIC: tl.constexpr = True):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    cells = out_ptr + tl.load(index_ptr + offsets, mask=mask)
    value = tl.load(x_ptr + offsets, mask=mask)
    if ATOMIC:
        tl.atomic_add(cells, value, mask=mask, sem="relaxed")
    else:
        tl.store(cells, value, mask=mask)


@triton.jit
def _put(ptr, value):
    plus(ptr, value)


@triton.jit
def _passed_on(base, offset, value):
    _put(base + offset, value)


@triton.jit
def add_through_helpers(x_ptr, index_ptr, out_ptr, n):
    at = tl.program_id(0)
    _passed_on(out_ptr, tl.load(index_ptr + at), tl.load(x_ptr + at))


@triton.jit
def count(x_ptr, index_ptr, out_ptr, n):
    at = tl.program_id(0)
    tl.atomic_add(out_ptr + tl.load(index_ptr + at), 1)


@triton.jit
def take_places(x_ptr, index_ptr, out_ptr, n):
    at = tl.program_id(0)
    place = tl.atomic_add(index_ptr, 1)
    tl.store(out_ptr + place, tl.load(x_ptr + at))


@triton.jit
def largest(x_ptr, index_ptr, out_ptr, n):
    at = tl.program_id(0)
    tl.atomic_max(out_ptr + tl.load(index_ptr + at), tl.load(x_ptr + at))


@triton.jit
def last_one_wins(x_ptr, index_ptr, out_ptr, n):
    at = tl.program_id(0)
    tl.atomic_xchg(out_ptr + tl.load(index_ptr + at), tl.load(x_ptr + at))


@triton.jit
def add_under_a_lock(x_ptr, index_ptr, out_ptr, n):
    at = tl.program_id(0)
    value = tl.load(x_ptr + at)
    while tl.atomic_cas(index_ptr, 0, 1) == 1:
        pass
    value += tl.load(out_ptr)
    tl.store(out_ptr, value)
    tl.atomic_xchg(index_ptr, 0)


@triton.jit
def add_by_method_and_bits(x_ptr, index_ptr, out_ptr, n):
    at = tl.program_id(0)
    cells = (out_ptr + at).to(tl.pointer_type(tl.int32), bitcast=True)
    cells.atomic_cas(0, 1)


@triton.jit
def add_in_a_loop(x_ptr, index_ptr, out_ptr, n):
    other = index_ptr
    cells = x_ptr
    for _ in range(n):
        tl.atomic_add(cells, 1)
        cells = other
        other = out_ptr


@triton.jit
def add_where_it_leads(x_ptr, index_ptr, out_ptr, n):
    cells = index_ptr if n > 4 else out_ptr
    if index_ptr is None:
        return
    tl.atomic_add(cells, 1)


@triton.jit
def add_from_an_address(x_ptr, index_ptr, out_ptr, n):
    cells = tl.load(index_ptr).to(tl.pointer_type(tl.float32))
    tl.atomic_add(cells, tl.load(x_ptr))


@triton.jit
def copy_rows(x_ptr, index_ptr, out_ptr, n):
    at = tl.program_id(0)
    tl.store(out_ptr + at, tl.load(x_ptr + at))


def tuned(name, *values):
    configs = [triton.Config({name: value}) for value in values]
    return triton.autotune(configs, key=["n"])


@tuned("BLOCK", 64, 128)
@triton.jit
def tuned_sum(x_ptr, index_ptr, out_ptr, n, BLOCK: tl.constexpr):
    x = tl.load(x_ptr + tl.arange(0, BLOCK))
    tl.store(out_ptr, tl.sum(x))


@tuned("BLOCK", 64, 128)
@triton.jit
def tuned_copy(x_ptr, index_ptr, out_ptr, n, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    tl.store(out_ptr + at, tl.load(x_ptr + at))


@tuned("BLOCK", 64)
@triton.jit
def settled_sum(x_ptr, index_ptr, out_ptr, n, BLOCK: tl.constexpr):
    x = tl.load(x_ptr + tl.arange(0, BLOCK))
    tl.store(out_ptr, tl.sum(x))


@tuned("SPLIT", 1, 2)
@triton.heuristics({"EVEN": lambda args: args["n"] % 2 == 0, "MANY": lambda args: args["SPLIT"] > 1})
@triton.jit
def add_when_split(x_ptr, index_ptr, out_ptr, n, SPLIT: tl.constexpr, EVEN: tl.constexpr, MANY: tl.constexpr):
    at = tl.program_id(0)
    if SPLIT > 1 and EVEN:
        tl.atomic_add(out_ptr + at, tl.load(x_ptr + at))
    else:
        tl.store(out_ptr + at, tl.load(x_ptr + at))


def launch(kernel, x, index, out, **constants):
    kernel[(1,)](x, index, out, x.numel(), **constants)
    return out


def _register(name, kernel, **constants):
    @triton_op(f"opscan_tests::{name}", mutates_args={})
    def op(x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        out = torch.zeros_like(x)
        wrap_triton(kernel)[(1,)](x, index, out, x.numel(), **constants)
        return out


_register("add_atomically", add_atomically, BLOCK=64)
_register("copied", add_atomically, BLOCK=64, ATOMIC=False)
_register("added_under_a_lock", add_under_a_lock)
_register("last_one_wins", last_one_wins)
_register("largest", largest)
_register("take_places", take_places)
_register("tuned_sum", tuned_sum)
_register("tuned_copy", tuned_copy)
