"""No matrix wants a gradient: that of complex eigenvectors exists only for what does not hang on their phase."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from tests.replacements.samples import Sample

_COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}


def _matrices(*shape: int, dtype: torch.dtype = torch.complex64, device: Any = "cpu") -> Tensor:
    matrices = torch.randn(*shape, shape[-1], dtype=dtype, device=device)
    return matrices + matrices.mH


def _drawn(draw: Any, dtype: torch.dtype) -> Sample:
    batch = draw(st.sampled_from([(3,), (2, 2), (1,), (0,), ()]))
    matrices = _matrices(*batch, draw(st.integers(1, 4)), dtype=torch.float32).to(_COMPLEX.get(dtype, dtype))
    return Sample((matrices,), {"UPLO": draw(st.sampled_from(["L", "U"]))})


def _wrong(dtype: torch.dtype) -> Sample:
    return Sample((torch.ones(2, 3, 4, dtype=_COMPLEX.get(dtype, dtype)),))


_NAMES = ("eigh", "eigvalsh")
DRAWN = dict.fromkeys(_NAMES, _drawn)
EXTREME = dict.fromkeys(_NAMES, (_wrong,))
SMOOTH = dict.fromkeys(_NAMES, lambda: Sample((_matrices(2, 3, dtype=torch.complex128),)))
TYPICAL = dict.fromkeys(_NAMES, lambda dtype, device: Sample((_matrices(32, 16, device=device),)))
SCALED = dict.fromkeys(_NAMES, lambda n: Sample((_matrices(n, 3),)))
