"""Deterministic drop-in replacements: the original's name and signature, and the same bits in every run.

They repeat in default mode as well as in strict mode, on CUDA and on the CPU, forward and backward. What each gives
back, compared with the original, stands in `rules/*.dropins.toml` and in docs/replacements.md.
"""

from opscan.replacements.counting import (
    bincount as bincount,
    histc as histc,
)
from opscan.replacements.drawing import (
    multinomial as multinomial,
)
from opscan.replacements.embedding import (
    Embedding as Embedding,
    EmbeddingBag as EmbeddingBag,
    embedding as embedding,
    embedding_bag as embedding_bag,
)
from opscan.replacements.gathering import (
    gather as gather,
    scatter_add as scatter_add,
    scatter_add_ as scatter_add_,
    take_along_dim as take_along_dim,
)
from opscan.replacements.indexing import (
    index_add as index_add,
    index_add_ as index_add_,
    index_copy as index_copy,
    index_copy_ as index_copy_,
    index_select as index_select,
    repeat_interleave as repeat_interleave,
)
from opscan.replacements.max_pooling import (
    AdaptiveMaxPool1d as AdaptiveMaxPool1d,
    AdaptiveMaxPool2d as AdaptiveMaxPool2d,
    AdaptiveMaxPool3d as AdaptiveMaxPool3d,
    FractionalMaxPool2d as FractionalMaxPool2d,
    FractionalMaxPool3d as FractionalMaxPool3d,
    MaxPool3d as MaxPool3d,
    adaptive_max_pool1d as adaptive_max_pool1d,
    adaptive_max_pool2d as adaptive_max_pool2d,
    adaptive_max_pool3d as adaptive_max_pool3d,
    fractional_max_pool2d as fractional_max_pool2d,
    fractional_max_pool3d as fractional_max_pool3d,
    max_pool3d as max_pool3d,
)
from opscan.replacements.max_pooling_with_indices import (
    adaptive_max_pool1d_with_indices as adaptive_max_pool1d_with_indices,
    adaptive_max_pool2d_with_indices as adaptive_max_pool2d_with_indices,
    adaptive_max_pool3d_with_indices as adaptive_max_pool3d_with_indices,
    fractional_max_pool2d_with_indices as fractional_max_pool2d_with_indices,
    fractional_max_pool3d_with_indices as fractional_max_pool3d_with_indices,
    max_pool3d_with_indices as max_pool3d_with_indices,
)
from opscan.replacements.putting import (
    index_put as index_put,
    index_put_ as index_put_,
    put as put,
    put_ as put_,
    take as take,
)
from opscan.replacements.quantiles import (
    nanquantile as nanquantile,
    quantile as quantile,
)
from opscan.replacements.reducing import (
    index_reduce as index_reduce,
    index_reduce_ as index_reduce_,
    scatter_reduce as scatter_reduce,
    scatter_reduce_ as scatter_reduce_,
)
from opscan.replacements.scans import (
    cumprod as cumprod,
    cumprod_ as cumprod_,
    cumsum as cumsum,
    cumsum_ as cumsum_,
    logcumsumexp as logcumsumexp,
)
from opscan.replacements.scattering import (
    scatter as scatter,
    scatter_ as scatter_,
)
from opscan.replacements.selection import (
    cummax as cummax,
    cummin as cummin,
    kthvalue as kthvalue,
    median as median,
    nanmedian as nanmedian,
    topk as topk,
)
from opscan.replacements.unpooling import (
    MaxUnpool1d as MaxUnpool1d,
    MaxUnpool2d as MaxUnpool2d,
    MaxUnpool3d as MaxUnpool3d,
    max_unpool1d as max_unpool1d,
    max_unpool2d as max_unpool2d,
    max_unpool3d as max_unpool3d,
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
    "take",
    "take_along_dim",
    "topk",
]
