"""Products with a sparse matrix: rows are selected, scaled and added in the order in which the matrix holds them."""

from __future__ import annotations

import torch
from torch import Tensor

from opscan.replacements.cells import rows_at, sum_at


def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """`torch.mm` and `torch.sparse.mm`: (n, m) by (m, k), of which one may be sparse COO, CSR or CSC.

    Dense matrices are passed on. Raises RuntimeError for sizes that do not fit, NotImplementedError for two sparse
    matrices and for other layouts. The gradient of a sparse matrix has its indices and layout.
    """
    if _dense(input) and _dense(mat2):
        return torch.mm(input, mat2)
    if not _dense(mat2):
        if not _dense(input):
            raise NotImplementedError("mm of opscan.replacements takes one sparse matrix, not two")
        return mm(mat2.t(), input.t()).t()
    _fit("mm", input, mat2, 2)
    rows, columns, values = _entries(input)
    return _added(rows, columns, values, mat2, input.size(0))


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """`torch.addmm` and `torch.sparse.addmm`: beta * input + alpha * `mm` (mat1, mat2). Errors as for `mm`."""
    if _dense(mat1) and _dense(mat2):
        return torch.addmm(input, mat1, mat2, beta=beta, alpha=alpha)
    everywhere = torch.ones((), dtype=torch.bool, device=input.device)
    addend = input.masked_fill(everywhere, 0) if beta == 0 else input * beta  # of what is infinite or NaN, 0 is left
    return addend + mm(mat1, mat2) * alpha


def mv(input: Tensor, vec: Tensor) -> Tensor:
    """`torch.mv`: (n, m) by (m,). Errors as for `mm`."""
    if _dense(input):
        return torch.mv(input, vec)
    _fit("mv", input, vec, 1)
    return mm(input, vec[:, None])[:, 0]


def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """`torch.bmm`: (b, n, m), dense or sparse COO, by dense (b, m, k). Errors as for `mm`."""
    if _dense(input):
        return torch.bmm(input, mat2)
    _fit("bmm", input, mat2, 3)
    batch, size, inner = input.shape
    sparse = input.coalesce()
    each, row, column = sparse.indices().unbind()
    found = _added(each * size + row, each * inner + column, sparse.values(), mat2.flatten(0, 1), batch * size)
    return found.view(batch, size, mat2.size(2))


def _dense(matrix: Tensor) -> bool:
    return matrix.layout == torch.strided


def _fit(name: str, sparse: Tensor, dense: Tensor, dimensions: int) -> None:
    shapes = f"{tuple(sparse.shape)} and {tuple(dense.shape)}"
    if dense.dim() != dimensions or sparse.dim() != max(dimensions, 2) or not _dense(dense):
        raise RuntimeError(f"{name}: got a sparse and a dense tensor of shapes {shapes}")
    inner, batch = (0, 0) if dimensions < 3 else (1, 1)
    if sparse.size(-1) != dense.size(inner) or sparse.shape[:batch] != dense.shape[:batch]:
        raise RuntimeError(f"{name}: shapes {shapes} cannot be multiplied")
    if sparse.dtype != dense.dtype:
        raise RuntimeError(f"{name}: expected the same dtype, got {sparse.dtype} and {dense.dtype}")


def _entries(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, columns and values of what a matrix holds."""
    if matrix.layout == torch.sparse_coo:
        matrix = matrix.coalesce()
        rows, columns = matrix.indices().unbind()
    elif matrix.layout == torch.sparse_csr:
        rows, columns = _spelled_out(matrix.crow_indices(), matrix.values()), matrix.col_indices()
    elif matrix.layout == torch.sparse_csc:
        rows, columns = matrix.row_indices(), _spelled_out(matrix.ccol_indices(), matrix.values())
    else:
        raise NotImplementedError(f"mm of opscan.replacements takes sparse COO, CSR and CSC, not {matrix.layout}")
    return rows, columns, matrix.values()


def _spelled_out(starts: Tensor, values: Tensor) -> Tensor:
    """The row of each value, from where each row starts."""
    rows = torch.arange(starts.numel() - 1, device=starts.device)
    return rows.repeat_interleave(starts.diff(), output_size=values.size(0))


def _added(rows: Tensor, columns: Tensor, values: Tensor, dense: Tensor, size: int) -> Tensor:
    """The sums (size, k) of the rows of `dense` (m, k) at `columns`, scaled; half precision is added in float32."""
    wide = torch.float32 if dense.dtype in (torch.float16, torch.bfloat16) else dense.dtype
    scaled = values[:, None].to(wide) * rows_at(dense.to(wide), columns.long())
    return sum_at(scaled.new_zeros(size, dense.size(1)), rows.long(), scaled).to(dense.dtype)
