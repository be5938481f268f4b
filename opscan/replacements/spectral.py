"""The short-time Fourier transform: its padding and its overlapping frames get gradients added up in one order."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from opscan.replacements.linear import mapped
from opscan.replacements.padding import pad

_original: Any = torch.stft


def stft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Tensor:
    """`torch.stft`: each frame goes through it as a signal of its own, so that no frames overlap in it.

    `align_to_window` is for a torch whose stft has it (2.13; not 2.6). Source: stft in torch/functional.py, and in
    aten/src/ATen/native/SpectralOps.cpp (frames by as_strided, whose backward is index_add_), torch 2.13.
    """
    one = partial(
        _original,
        n_fft=n_fft,
        win_length=win_length,
        window=window,
        normalized=normalized,
        onesided=onesided,
        return_complex=return_complex,
    )
    hop = n_fft // 4 if hop_length is None else hop_length
    signal = input
    if center and input.dim() in (1, 2) and n_fft > 0:
        flat = input.reshape([1] * (3 - input.dim()) + list(input.shape))
        padded = pad(flat, [n_fft // 2, n_fft // 2], pad_mode)
        signal = padded.reshape(padded.shape[-input.dim() :])
    elif align_to_window and win_length is not None:
        signal = F.pad(input, [(n_fft - win_length) // 2] * 2)
    if signal.dim() not in (1, 2) or hop <= 0 or not 0 < n_fft <= signal.shape[-1] or (center and align_to_window):
        aligned = {} if align_to_window is None else {"align_to_window": align_to_window}
        plain: Tensor = one(input, hop_length=hop_length, center=center, pad_mode=pad_mode, **aligned)  # raises
        return plain
    frames = mapped(
        signal,
        partial(_framed, n_fft=n_fft, hop=hop),
        partial(_overlapped, hop=hop, length=signal.shape[-1]),
    )
    found = one(frames.flatten(0, -2), hop_length=n_fft, center=False).squeeze(2)  # (frames, N) or (frames, N, 2)
    result: Tensor = found.unflatten(0, frames.shape[:-1]).transpose(signal.dim() - 1, signal.dim())
    return result


if "align_to_window" not in inspect.signature(torch.stft).parameters:
    stft.__signature__ = inspect.signature(torch.stft)  # type: ignore[attr-defined]


def _framed(signal: Tensor, n_fft: int, hop: int) -> Tensor:
    return signal.unfold(-1, n_fft, hop).contiguous()


def _overlapped(frames: Tensor, hop: int, length: int) -> Tensor:
    """The transpose of `_framed`: frames (..., T, n_fft) added up where they overlap, (..., length)."""
    *front, count, n_fft = frames.shape
    steps = -(-n_fft // hop)
    blocks = frames.new_zeros([*front, count + steps - 1, hop])
    for step in range(steps):
        part = frames[..., step * hop : (step + 1) * hop]
        blocks[..., step : step + count, : part.shape[-1]] += part
    total = blocks.flatten(-2)[..., :length]
    return F.pad(total, [0, length - total.shape[-1]])
