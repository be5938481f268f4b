"""Deterministic drop-in replacements: the original's name and signature, and the same bits in every run.

They repeat in default mode as well as in strict mode, on CUDA and on the CPU, forward and backward. What each gives
back, compared with the original, stands in `rules/*.dropins.toml` and in docs/replacements.md.
"""

from opscan.replacements.attention import scaled_dot_product_attention
from opscan.replacements.ctc import CTCLoss, ctc_loss
from opscan.replacements.eigenvalues import eigh, eigvalsh
from opscan.replacements.grid_sampling import grid_sample
from opscan.replacements.losses import CrossEntropyLoss, NLLLoss, NLLLoss2d, cross_entropy, nll_loss
from opscan.replacements.multihead_attention import MultiheadAttention, multi_head_attention_forward
from opscan.replacements.sparse import addmm, bmm, mm, mv

__all__ = [
    "CTCLoss",
    "CrossEntropyLoss",
    "MultiheadAttention",
    "NLLLoss",
    "NLLLoss2d",
    "addmm",
    "bmm",
    "cross_entropy",
    "ctc_loss",
    "eigh",
    "eigvalsh",
    "grid_sample",
    "mm",
    "multi_head_attention_forward",
    "mv",
    "nll_loss",
    "scaled_dot_product_attention",
]
