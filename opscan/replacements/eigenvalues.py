"""Eigenvalues of a batch of complex64 matrices: one matrix at a time."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Eigh(NamedTuple):
    """What `torch.linalg.eigh` returns, by its names."""

    eigenvalues: Tensor
    eigenvectors: Tensor


def eigh(A: Tensor, UPLO: str = "L") -> Eigh:  # noqa: N803
    """`torch.linalg.eigh` without `out`: A (..., n, n) gives eigenvalues (..., n) and eigenvectors (..., n, n)."""
    if not _by_one(A):
        return Eigh(*torch.linalg.eigh(A, UPLO))
    found = [torch.linalg.eigh(each, UPLO) for each in A.flatten(0, -3).unbind()]
    values, vectors = (torch.stack(each) for each in zip(*found, strict=True))
    return Eigh(values.view(A.shape[:-1]), vectors.view(A.shape))


def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:  # noqa: N803
    """`torch.linalg.eigvalsh` without `out`: A (..., n, n) gives eigenvalues (..., n)."""
    if not _by_one(A):
        whole: Tensor = torch.linalg.eigvalsh(A, UPLO)
        return whole
    found = [torch.linalg.eigvalsh(each, UPLO) for each in A.flatten(0, -3).unbind()]
    return torch.stack(found).view(A.shape[:-1])


def _by_one(matrices: Tensor) -> bool:
    return matrices.dtype == torch.complex64 and matrices.dim() > 2 and matrices.shape[:-2].numel() > 0
