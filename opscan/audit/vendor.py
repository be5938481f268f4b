"""Functions of vendor libraries whose results can depend on order, timing or a setting, and why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VendorCall:
    """A family of functions: a pattern for whole names, and what the library's manual says of them."""

    pattern: re.Pattern[str]
    why: str


VENDOR_CALLS = tuple(
    VendorCall(re.compile(pattern), why)
    for pattern, why in (
        (
            r"cudnnConvolution(Forward|BackwardData|BackwardFilter|BiasActivationForward)",
            "cuDNN, reproducibility: BACKWARD_FILTER_ALGO_0 and _3 and BACKWARD_DATA_ALGO_0 add with atomics",
        ),
        (
            r"cudnnBackendExecute",
            "cuDNN graph API: runs the engine a heuristic or a benchmark chose; "
            "CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC marks those that vary",
        ),
        (
            r"cudnnRNN(Forward|Backward)\w*",
            "cuDNN release notes: RNN calls may vary unless cuBLAS has a workspace per stream",
        ),
        (r"cudnnCTCLoss(_v\d+)?", "cuDNN: CUDNN_CTC_LOSS_ALGO_NON_DETERMINISTIC is one of two algorithms"),
        (r"cudnnSpatialTfSamplerBackward", "cuDNN, reproducibility: adds with atomics"),
        (r"cudnnPoolingBackward", "cuDNN, reproducibility: CUDNN_POOLING_MAX adds with atomics"),
        (
            r"cusparse(SpMM|SpMV|SpMMOp)",
            "cuSPARSE: results may differ between runs, by format, algorithm and transposition",
        ),
        (r"cusparse[SDCZ](bsr|csr)m[mv]\w*", "cuSPARSE, older products: the manual promises nothing on repeated runs"),
        (
            r"cusparseSpGEMM(reuse)?_compute",
            "cuSPARSE: CUSPARSE_SPGEMM_CSR_ALG_NONDETERMINISTIC is one of its algorithms",
        ),
        (r"cusparse(SDDMM|SpSV_solve|SpSM_solve)", "cuSPARSE: each may choose among algorithms"),
        (r"cusparseLtMatmul", "cuSPARSELt: split-K is one of the algorithms it may choose"),
        (
            r"cublasLtMatmul|cublas([SDCZH]gemm|Gemm|[SDCZ]gemv|[SDCZ](sy|he)mv)(Strided)?(Batched)?(Ex)?(_v2)?",
            "cuBLAS, results reproducibility: several streams need a workspace each; symv and hemv can use atomics",
        ),
        (
            r"cusolverDn(CheevjBatched|XsyevBatched)",
            "pytorch#192483 (open): eigenvalues of batches of complex64 matrices were seen to vary",
        ),
        (r"nccl(AllReduce|Reduce|ReduceScatter)", "NCCL: the order of the sums follows algorithm and topology"),
    )
)


def vendor_calls(imported: Iterable[str]) -> Iterator[str]:
    """Those of the imported functions that a pattern names."""
    for name in imported:
        if any(call.pattern.fullmatch(name) for call in VENDOR_CALLS):
            yield name
