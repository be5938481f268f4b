from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import strategies as st

from tests.replacements.samples import Sample, leaf

Draw = Callable[..., Any]
ALIGNS = torch.stft.__doc__ is not None and "align_to_window" in torch.stft.__code__.co_varnames


def signal(dtype: torch.dtype, *sizes: int) -> torch.Tensor:
    return leaf(torch.randn(sizes, dtype=dtype))


def drawn(draw: Draw, dtype: torch.dtype) -> Sample:
    n_fft = draw(st.integers(2, 12))
    length = draw(st.integers(n_fft, 60))
    width = draw(st.sampled_from([None, n_fft, max(n_fft - 2, n_fft % 2 or 2)]))
    center = draw(st.booleans())
    options = {
        "hop_length": draw(st.sampled_from([None, 1, 3, n_fft, n_fft + 2])) if n_fft >= 4 else 1,
        "win_length": width,
        "window": draw(st.sampled_from([None, leaf(torch.rand(width or n_fft, dtype=dtype))])),
        "center": center,
        "pad_mode": draw(st.sampled_from(["reflect", "replicate", "constant"])),
        "normalized": draw(st.booleans()),
        "onesided": draw(st.sampled_from([None, True, False])),
        "return_complex": draw(st.booleans()),
    }
    if ALIGNS and not center:
        options["align_to_window"] = draw(st.sampled_from([None, False, True]))
    batch = draw(st.sampled_from([(), (1,), (3,)]))
    return Sample((signal(dtype, *batch, length), n_fft), options)


DRAWN = {"stft": drawn}
EXTREME = {
    "stft": (
        lambda dtype: Sample((signal(dtype, 30), 8)),  # return_complex is missing: refused
        lambda dtype: Sample((signal(dtype, 30), 0), {"return_complex": True}),
        lambda dtype: Sample((signal(dtype, 30), 31), {"return_complex": True, "center": False}),
        lambda dtype: Sample((signal(dtype, 30), 70), {"return_complex": True}),
        lambda dtype: Sample((signal(dtype, 30), 8, 0), {"return_complex": True}),
        lambda dtype: Sample((signal(dtype, 2, 2, 30), 8), {"return_complex": True}),
        lambda dtype: Sample((signal(dtype, 30), 8, 2, 9), {"return_complex": True}),
        lambda dtype: Sample((signal(dtype, 30), 8, 2, 8, torch.ones(7, dtype=dtype)), {"return_complex": True}),
        lambda dtype: Sample((signal(dtype, 8), 8), {"return_complex": True, "center": False}),
        lambda dtype: Sample((signal(dtype, 0, 30), 8), {"return_complex": True}),
        lambda dtype: (
            Sample(
                (signal(dtype, 30).detach() + 1j, 8),
            )
            if dtype == torch.float64
            else drawn_plain(dtype)
        ),
    ),
}


def drawn_plain(dtype: torch.dtype) -> Sample:
    return Sample((signal(dtype, 30), 8), {"return_complex": True})


def usual(dtype: torch.dtype, device: torch.device) -> Sample:
    x = torch.randn(8, 16000, dtype=dtype, device=device).requires_grad_()
    window = torch.hann_window(400, dtype=dtype, device=device)
    return Sample((x, 400, 160), {"window": window, "return_complex": True})


SMOOTH = {"stft": lambda: Sample((signal(torch.float64, 2, 11), 4, 2), {"return_complex": False})}
TYPICAL = {"stft": usual}
SCALED = {"stft": lambda n: Sample((signal(torch.float32, 2, 8 * n), 64, 16), {"return_complex": True})}
