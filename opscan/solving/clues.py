"""What a failed try says about the next one.

The error's traceback shows the layer that refused the input itself: the forms of that layer are tried next.
A message with two sizes, the one that came and the one that was wanted, shows how far off the size was, and a message
of the model's own may name the size it wants.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from traceback import walk_tb
from types import FrameType

import torch
from torch import nn

from opscan.solving.forms import BATCH, Form
from opscan.solving.layers import layer_forms

_NEAR = 0.15
Mismatch = tuple[tuple[int, int], ...]

_ROUND_TO = (32, 16, 8, 4, 2, 1)
_LARGEST = 8192


def refused_by(error: BaseException, tensors: Sequence[object]) -> tuple[int, tuple[Form, ...]] | None:
    """Which of the tensors a layer refused as it was given, and the forms that layer takes."""
    for frame, _ in reversed(list(walk_tb(error.__traceback__))):
        layer = frame.f_locals.get("self")
        forms = layer_forms(layer) if isinstance(layer, nn.Module) else ()
        position = _received(frame, tensors) if forms else None
        if position is not None:
            return position, forms
    return None


def _received(frame: FrameType, tensors: Sequence[object]) -> int | None:
    """The position of the tensor the frame holds: that very one, else one like it (a copy, or a scaled one)."""
    held = [value for value in frame.f_locals.values() if isinstance(value, torch.Tensor)]
    same = [position for position, ours in enumerate(tensors) if any(value is ours for value in held)]
    kinds = {(value.shape, value.dtype) for value in held}
    ours = [(value.shape, value.dtype) for value in tensors if isinstance(value, torch.Tensor)]
    alike = [position for position, kind in enumerate(ours) if kind in kinds]
    return next(iter(same + alike), None)


def nearer_sizes(mismatch: Mismatch, size: int, count: int, common: Sequence[int]) -> list[int]:
    """Sizes for an axis that occurs `count` times in the shape, judging from the sizes that came and were wanted.

    Common sizes near the estimate come first, then rounder ones: pooling lets several fit.
    """
    ratios = [wanted / came for came, wanted in mismatch if came and wanted and came != wanted]
    estimates = [size * ratio ** (1 / count) for ratio in ratios]
    nearer = [near for estimate in estimates for near in _around(estimate, common)]
    return [near for near in dict.fromkeys(nearer) if near <= _LARGEST]


def named_sizes(error: BaseException, size: int) -> list[int]:
    """The other sizes in a message that was written by hand and speaks of this one: "224 does not match 384"."""
    if not isinstance(error, (AssertionError, ValueError)):
        return []
    numbers = list(dict.fromkeys(map(int, re.findall(r"\d+", str(error)))))
    return [number for number in numbers if 1 < number != size] if size in numbers else []


def _around(estimate: float, common: Sequence[int]) -> list[int]:
    near = sorted(
        (size for size in common if abs(size - estimate) <= _NEAR * size), key=lambda size: abs(size - estimate)
    )
    return [*near, *(max(step, round(estimate / step) * step) for step in _ROUND_TO)]


def dimensions_wanted(error: BaseException) -> int:
    """How many dimensions the line that failed takes its tensor to have; 0 where the message does not say."""
    for pattern in _DIMENSIONS:
        if match := re.search(pattern, str(error)):
            return int(match[1]) + ("values to unpack" not in match[0] and "batched" not in match[0])
    return 0


_DIMENSIONS = (
    r"values to unpack \(expected (\d+)",
    r"Dimension out of range \(expected to be in range of \[-\d+, \d+\], but got (\d+)\)",
    r"too many indices for tensor of dimension (\d+)",
    r"or (\d)D \(batched\) input to conv",  # torch 2.13 aten/src/ATen/native/Convolution.cpp
)


def mismatch_in(error: BaseException) -> Mismatch:
    """The sizes that came and were wanted in a shape error; both ways round where the message does not tell."""
    for pattern, read in _MESSAGES:
        if match := re.search(pattern, str(error)):
            return read(match)
    return ()


def _either_way(match: re.Match[str]) -> Mismatch:
    one, other = int(match[1]), int(match[2])
    return (one, other), (other, one)


def _view(match: re.Match[str]) -> Mismatch:
    """`x.view(-1, 2048)` on a batch of two wants 4096 elements, or any number of them per -1."""
    sizes = [int(size) for size in match[1].split(",")]
    wanted = math.prod(size for size in sizes if size > 0)
    return ((int(match[2]), wanted * (BATCH if -1 in sizes else 1)),)


def _broadcast(match: re.Match[str]) -> Mismatch:
    shape = [int(size) for size in match[3].split(",")]
    position = int(match[2])
    there = shape[position] if -len(shape) <= position < len(shape) else 0
    return (there, int(match[1])), (int(match[1]), there)


def _split(match: re.Match[str]) -> Mismatch:
    return ((int(match[1]), sum(map(int, match[2].split(",")))),)


_MESSAGES: tuple[tuple[str, Callable[[re.Match[str]], Mismatch]], ...] = (
    # torch 2.13 torch/_meta_registrations.py (meta_mm) and aten/src/ATen/native/LinearAlgebra.cpp (addmm)
    (r"reduction dim, but got \[\d+, (\d+)\] X \[(\d+), \d+\]", lambda m: ((int(m[1]), int(m[2])),)),
    (r"cannot be multiplied \(\d+x(\d+) and (\d+)x\d+\)", lambda m: ((int(m[1]), int(m[2])),)),
    # torch 2.13 aten/src/ATen/InferSize.h, aten/src/ATen/ExpandUtils.cpp, torch/_refs/__init__.py
    (r"shape '\[([-\d, ]+)\]' is invalid for input of size (\d+)", _view),
    (r"size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\)", _either_way),
    (r"sum exactly to (\d+) .* split_sizes=\[([\d, ]+)\]", _split),
    (r"batch of (\d+) came out as (\d+)", lambda m: ((int(m[2]), int(m[1])),)),  # opscan's own, see solve
    (r"dimension of length (\d+) at (-?\d+)!.*broadcastable to \[([\d, ]+)\]", _broadcast),
)
