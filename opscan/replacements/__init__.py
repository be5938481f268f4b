"""Deterministic drop-in replacements: the original's name and signature, and the same bits in every run.

They repeat in default mode as well as in strict mode, on CUDA and on the CPU, forward and backward. What each gives
back, compared with the original, stands in `rules/*.dropins.toml` and in docs/replacements.md.
"""

from __future__ import annotations

from opscan.replacements.attention import scaled_dot_product_attention
from opscan.replacements.average_pooling import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AvgPool3d,
    LPPool3d,
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    avg_pool3d,
    lp_pool3d,
)
from opscan.replacements.convolution import Conv1d, Conv2d, Conv3d
from opscan.replacements.counting import bincount, histc
from opscan.replacements.ctc import CTCLoss, ctc_loss
from opscan.replacements.drawing import multinomial
from opscan.replacements.eigenvalues import eigh, eigvalsh
from opscan.replacements.embedding import Embedding, EmbeddingBag, embedding, embedding_bag
from opscan.replacements.gathering import gather, scatter_add, scatter_add_, take_along_dim
from opscan.replacements.grid_sampling import grid_sample
from opscan.replacements.indexing import index_add, index_add_, index_copy, index_copy_, index_select, repeat_interleave
from opscan.replacements.interpolation import Upsample, UpsamplingBilinear2d, interpolate
from opscan.replacements.items import getitem, setitem_
from opscan.replacements.losses import CrossEntropyLoss, NLLLoss, NLLLoss2d, cross_entropy, nll_loss
from opscan.replacements.max_pooling import (
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AdaptiveMaxPool3d,
    FractionalMaxPool2d,
    FractionalMaxPool3d,
    MaxPool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    fractional_max_pool2d,
    fractional_max_pool3d,
    max_pool3d,
)
from opscan.replacements.max_pooling_with_indices import (
    adaptive_max_pool1d_with_indices,
    adaptive_max_pool2d_with_indices,
    adaptive_max_pool3d_with_indices,
    fractional_max_pool2d_with_indices,
    fractional_max_pool3d_with_indices,
    max_pool3d_with_indices,
)
from opscan.replacements.multihead_attention import MultiheadAttention, multi_head_attention_forward
from opscan.replacements.padding import (
    ReflectionPad1d,
    ReflectionPad2d,
    ReflectionPad3d,
    ReplicationPad1d,
    ReplicationPad2d,
    ReplicationPad3d,
    pad,
)
from opscan.replacements.putting import index_put, index_put_, put, put_, take
from opscan.replacements.quantiles import nanquantile, quantile
from opscan.replacements.reducing import index_reduce, index_reduce_, scatter_reduce, scatter_reduce_
from opscan.replacements.scans import cumprod, cumprod_, cumsum, cumsum_, logcumsumexp
from opscan.replacements.scattering import scatter, scatter_
from opscan.replacements.selection import cummax, cummin, kthvalue, median, nanmedian, topk
from opscan.replacements.sparse import addmm, bmm, mm, mv
from opscan.replacements.spectral import stft
from opscan.replacements.substituting import Substituting
from opscan.replacements.unpooling import (
    MaxUnpool1d,
    MaxUnpool2d,
    MaxUnpool3d,
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
)

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool3d",
    "CTCLoss",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "CrossEntropyLoss",
    "Embedding",
    "EmbeddingBag",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "LPPool3d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
    "MultiheadAttention",
    "NLLLoss",
    "NLLLoss2d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "Substituting",
    "Upsample",
    "UpsamplingBilinear2d",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_with_indices",
    "addmm",
    "avg_pool3d",
    "bincount",
    "bmm",
    "cross_entropy",
    "ctc_loss",
    "cummax",
    "cummin",
    "cumprod",
    "cumprod_",
    "cumsum",
    "cumsum_",
    "eigh",
    "eigvalsh",
    "embedding",
    "embedding_bag",
    "fractional_max_pool2d",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
    "gather",
    "getitem",
    "grid_sample",
    "histc",
    "index_add",
    "index_add_",
    "index_copy",
    "index_copy_",
    "index_put",
    "index_put_",
    "index_reduce",
    "index_reduce_",
    "index_select",
    "interpolate",
    "kthvalue",
    "logcumsumexp",
    "lp_pool3d",
    "max_pool3d",
    "max_pool3d_with_indices",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "median",
    "mm",
    "multi_head_attention_forward",
    "multinomial",
    "mv",
    "nanmedian",
    "nanquantile",
    "nll_loss",
    "pad",
    "put",
    "put_",
    "quantile",
    "repeat_interleave",
    "scaled_dot_product_attention",
    "scatter",
    "scatter_",
    "scatter_add",
    "scatter_add_",
    "scatter_reduce",
    "scatter_reduce_",
    "setitem_",
    "stft",
    "take",
    "take_along_dim",
    "topk",
]
