"""Fingerprints: 64 bits that tell tensors apart by their bits and where those stand, computed on their device."""

from __future__ import annotations

from functools import cache, lru_cache

import torch

from opscan.observe.bits import bits_of

# Note [The fingerprint]
# The bytes are read as 32-bit words x_i, and the fingerprint is the sum of x_i * w_i in 64-bit integers that wrap
# around, with one random 64-bit weight per place: multilinear hashing, whose sums of two different inputs agree with a
# probability of at most 2**-33 within a row, and near it beyond (Lemire and Kaser, "Strongly universal string hashing
# is fast", 2014). Integer sums wrap to the same value in any order and on any device. The weights are those of a fixed
# seed, so that files of two machines compare.
# Two words are read as one int64: low * w + high * (v + 2**32 * w) is (both) * w + (high) * v.

ROW = 1 << 14
"""Words of 64 bits that are weighed at once: the weights of one row stay in the cache."""

_CHUNK = 1 << 20
"""Words of 64 bits for which memory is taken at once."""

_PLAIN = frozenset((torch.float32, torch.float64, torch.int64, torch.int32, torch.bfloat16, torch.float16))
_SEED = 20140501


@cache
def _weights(device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Weights for both words of a pair and for rows; the last are odd, so that they lose no bit."""
    generator = torch.Generator().manual_seed(_SEED)
    made = [torch.randint(-(2**63), 2**63 - 1, (ROW,), generator=generator, dtype=torch.int64) for _ in range(3)]
    return made[0].to(device), made[1].to(device), (made[2] | 1).to(device)


def fingerprint(tensor: torch.Tensor) -> torch.Tensor:
    """The fingerprint of a tensor's values as an int64 without dimensions, on the tensor's device.

    Every bit enters: two tensors of one size that differ in any have the same fingerprint with a probability of about
    2**-33 over the choice of the weights, see Note [The fingerprint]. Sizes, strides and dtype do not enter: a view has
    the fingerprint of its copy. The memory taken is bounded for tensors that are contiguous.
    """
    tensor = tensor.detach()
    if _is_plain(tensor):
        words, rest = tensor.view(-1).view(torch.int64), None
        if words.numel() <= _CHUNK:
            return _weighed(words)
    else:
        words, rest = _words(tensor)
    total = None
    for number, start in enumerate(range(0, words.numel(), _CHUNK)):
        part = _weighed(words[start : start + _CHUNK])
        part = part if number == 0 else part * (2 * number + 1)
        total = part if total is None else total + part
    if rest is not None:
        total = _weighed(rest) if total is None else total * 3 + _weighed(rest)
    return torch.zeros((), dtype=torch.int64, device=tensor.device) if total is None else total


def _is_plain(tensor: torch.Tensor) -> bool:
    """Whether the memory of a tensor is, as it is, a number of int64 words."""
    return (
        tensor.dtype in _PLAIN
        and tensor.is_contiguous()
        and not tensor.is_neg()
        and not tensor.numel() * tensor.element_size() & 7
        and not tensor.storage_offset() * tensor.element_size() & 7
        and tensor.dim() > 0
        and not tensor._is_zerotensor()
    )


def _words(tensor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The values as int64 words, and what is left at the end filled up with zeros to one word."""
    flat = bits_of(tensor).view(torch.uint8)
    whole = flat.numel() & ~7
    head, tail = flat[:whole], flat[whole:]
    if head.storage_offset() & 7:
        head = head.clone()
    if not tail.numel():
        return head.view(torch.int64), None
    filled = torch.zeros(8, dtype=torch.uint8, device=flat.device)
    filled[: tail.numel()] = tail
    return head.view(torch.int64), filled.view(torch.int64)


@lru_cache(1024)
def _first_weights(device: torch.device, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    low, high, _ = _weights(device)
    return low[:count], high[:count]


def _weighed(words: torch.Tensor) -> torch.Tensor:
    count = words.numel()
    if count <= ROW:
        low, high = _first_weights(words.device, count)
        return _dot(words, low) + _dot(words >> 32, high)
    low, high, rows = _weights(words.device)
    whole = count // ROW
    table = words[: whole * ROW].view(whole, ROW)
    sums = _matrix_dot(table, low) + _matrix_dot(table >> 32, high)
    total = _dot(sums, rows[:whole])
    return total if whole * ROW == count else total * 5 + _weighed(words[whole * ROW :])


def _dot(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    # CUDA has no dot of integers: "addmv_impl_cuda" not implemented for 'Long'.
    return torch.dot(one, other) if one.device.type == "cpu" else (one * other).sum()


def _matrix_dot(table: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return torch.mv(table, weights) if table.device.type == "cpu" else (table * weights).sum(1)
