"""Deterministic drop-in replacements: the original's name and signature, and the same bits in every run.

They repeat in default mode as well as in strict mode, on CUDA and on the CPU, forward and backward. What each gives
back, compared with the original, stands in `rules/*.dropins.toml` and in docs/replacements.md.
"""

from opscan.replacements.counting import (
    bincount,
    histc,
)
from opscan.replacements.drawing import (
    multinomial,
)
from opscan.replacements.embedding import (
    Embedding,
    EmbeddingBag,
    embedding,
    embedding_bag,
)
from opscan.replacements.gathering import (
    gather,
    scatter_add,
    scatter_add_,
    take_along_dim,
)
from opscan.replacements.indexing import (
    index_add,
    index_add_,
    index_copy,
    index_copy_,
    index_select,
    repeat_interleave,
)
from opscan.replacements.items import (
    getitem,
    setitem_,
)
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
from opscan.replacements.putting import (
    index_put,
    index_put_,
    put,
    put_,
    take,
)
from opscan.replacements.quantiles import (
    nanquantile,
    quantile,
)
from opscan.replacements.reducing import (
    index_reduce,
    index_reduce_,
    scatter_reduce,
    scatter_reduce_,
)
from opscan.replacements.scans import (
    cumprod,
    cumprod_,
    cumsum,
    cumsum_,
    logcumsumexp,
)
from opscan.replacements.scattering import (
    scatter,
    scatter_,
)
from opscan.replacements.selection import (
    cummax,
    cummin,
    kthvalue,
    median,
    nanmedian,
    topk,
)
from opscan.replacements.unpooling import (
    MaxUnpool1d,
    MaxUnpool2d,
    MaxUnpool3d,
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
)

__all__ = [
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "Embedding",
    "EmbeddingBag",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_with_indices",
    "bincount",
    "cummax",
    "cummin",
    "cumprod",
    "cumprod_",
    "cumsum",
    "cumsum_",
    "embedding",
    "embedding_bag",
    "fractional_max_pool2d",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
    "gather",
    "getitem",
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
    "kthvalue",
    "logcumsumexp",
    "max_pool3d",
    "max_pool3d_with_indices",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "median",
    "multinomial",
    "nanmedian",
    "nanquantile",
    "put",
    "put_",
    "quantile",
    "repeat_interleave",
    "scatter",
    "scatter_",
    "scatter_add",
    "scatter_add_",
    "scatter_reduce",
    "scatter_reduce_",
    "setitem_",
    "take",
    "take_along_dim",
    "topk",
]
