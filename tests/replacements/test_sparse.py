"""What the proof does not see of sparse products: gradients of the sparse matrix, layouts, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from opscan.replacements import addmm, bmm, eigh, eigvalsh, mm, mv
from tests.replacements.samples import leaf


def _matrix(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64) * (torch.rand(shape) < 0.5)


@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr, torch.sparse_csc])
def test_the_gradient_of_the_sparse_matrix_is_that_of_the_dense_one_where_it_holds_values(layout: Any) -> None:
    plain, dense = _matrix(4, 5), leaf(torch.randn(5, 3, dtype=torch.float64))
    sparse = leaf(plain.to_sparse(layout=layout))
    upstream = torch.randn(4, 3, dtype=torch.float64)
    mine = torch.autograd.grad(mm(sparse, dense), (sparse, dense), upstream)
    theirs = torch.autograd.grad(leaf(plain) @ dense, dense, upstream)[0]
    assert mine[0].layout == layout
    assert torch.allclose(mine[0].to_dense(), (upstream @ dense.T) * (plain != 0))
    assert torch.allclose(mine[1], theirs)


@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr, torch.sparse_csc])
def test_the_second_matrix_may_be_the_sparse_one(layout: Any) -> None:
    plain, dense = _matrix(4, 5), torch.randn(3, 4, dtype=torch.float64)
    assert torch.allclose(mm(dense, plain.to_sparse(layout=layout)), dense @ plain)


def test_a_batch_with_a_gradient_for_its_values() -> None:
    plain, dense = _matrix(2, 3, 4), leaf(torch.randn(2, 4, 2, dtype=torch.float64))
    values = leaf(plain.to_sparse().values())

    def product(values: Tensor, dense: Tensor) -> Tensor:
        return bmm(torch.sparse_coo_tensor(plain.to_sparse().indices(), values, plain.shape), dense)

    assert torch.autograd.gradcheck(product, (values, dense))
    assert torch.autograd.gradgradcheck(product, (values, dense))


def test_what_is_not_offered_is_refused() -> None:
    sparse, dense = _matrix(4, 4).to_sparse(), torch.ones(4, 4, dtype=torch.float64)
    with pytest.raises(NotImplementedError, match="not two"):
        mm(sparse, sparse)
    with pytest.raises(NotImplementedError, match="sparse_bsr"):
        mm(dense.to_sparse_bsr((2, 2)), dense)
    for call in (
        lambda: mm(sparse, dense[:3]),
        lambda: mm(sparse, dense.float()),
        lambda: mv(sparse, dense),
        lambda: bmm(torch.stack([sparse, sparse]), dense[None]),
        lambda: addmm(dense, sparse, dense[0]),
    ):
        with pytest.raises(RuntimeError):
            call()


def test_eigenvalues_of_a_batch_are_those_of_its_matrices_by_name_too() -> None:
    matrices = torch.randn(2, 3, 4, 4, dtype=torch.complex64)
    matrices = leaf(matrices + matrices.mH)
    found, theirs = eigh(matrices), torch.linalg.eigh(matrices)
    assert torch.equal(found.eigenvalues, theirs.eigenvalues)
    assert torch.equal(found.eigenvectors, theirs.eigenvectors)
    upstream = torch.randn(2, 3, 4)
    pairs = (eigvalsh(matrices), torch.linalg.eigvalsh(matrices))
    one, other = (torch.autograd.grad(each, matrices, upstream)[0] for each in pairs)
    assert torch.allclose(one, other, atol=1e-5)
