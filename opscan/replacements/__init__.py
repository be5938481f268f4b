"""Deterministic drop-in replacements: the original's name and signature, and the same bits in every run.

They repeat in default mode as well as in strict mode, on CUDA and on the CPU, forward and backward. What each gives
back, compared with the original, stands in `rules/*.dropins.toml` and in docs/replacements.md.
"""

from opscan.replacements.counting import (
    bincount as bincount,
)
from opscan.replacements.counting import (
    histc as histc,
)
from opscan.replacements.embedding import (
    Embedding as Embedding,
)
from opscan.replacements.embedding import (
    EmbeddingBag as EmbeddingBag,
)
from opscan.replacements.embedding import (
    embedding as embedding,
)
from opscan.replacements.embedding import (
    embedding_bag as embedding_bag,
)
from opscan.replacements.gathering import (
    gather as gather,
)
from opscan.replacements.gathering import (
    scatter_add as scatter_add,
)
from opscan.replacements.gathering import (
    scatter_add_ as scatter_add_,
)
from opscan.replacements.gathering import (
    take_along_dim as take_along_dim,
)
from opscan.replacements.indexing import (
    index_add as index_add,
)
from opscan.replacements.indexing import (
    index_add_ as index_add_,
)
from opscan.replacements.indexing import (
    index_copy as index_copy,
)
from opscan.replacements.indexing import (
    index_copy_ as index_copy_,
)
from opscan.replacements.indexing import (
    index_select as index_select,
)
from opscan.replacements.indexing import (
    repeat_interleave as repeat_interleave,
)
from opscan.replacements.max_pooling import (
    AdaptiveMaxPool1d as AdaptiveMaxPool1d,
)
from opscan.replacements.max_pooling import (
    AdaptiveMaxPool2d as AdaptiveMaxPool2d,
)
from opscan.replacements.max_pooling import (
    AdaptiveMaxPool3d as AdaptiveMaxPool3d,
)
from opscan.replacements.max_pooling import (
    FractionalMaxPool2d as FractionalMaxPool2d,
)
from opscan.replacements.max_pooling import (
    FractionalMaxPool3d as FractionalMaxPool3d,
)
from opscan.replacements.max_pooling import (
    MaxPool3d as MaxPool3d,
)
from opscan.replacements.max_pooling import (
    adaptive_max_pool1d as adaptive_max_pool1d,
)
from opscan.replacements.max_pooling import (
    adaptive_max_pool2d as adaptive_max_pool2d,
)
from opscan.replacements.max_pooling import (
    adaptive_max_pool3d as adaptive_max_pool3d,
)
from opscan.replacements.max_pooling import (
    fractional_max_pool2d as fractional_max_pool2d,
)
from opscan.replacements.max_pooling import (
    fractional_max_pool3d as fractional_max_pool3d,
)
from opscan.replacements.max_pooling import (
    max_pool3d as max_pool3d,
)
from opscan.replacements.putting import (
    index_put as index_put,
)
from opscan.replacements.putting import (
    index_put_ as index_put_,
)
from opscan.replacements.putting import (
    put as put,
)
from opscan.replacements.putting import (
    put_ as put_,
)
from opscan.replacements.putting import (
    take as take,
)
from opscan.replacements.reducing import (
    index_reduce as index_reduce,
)
from opscan.replacements.reducing import (
    index_reduce_ as index_reduce_,
)
from opscan.replacements.reducing import (
    scatter_reduce as scatter_reduce,
)
from opscan.replacements.reducing import (
    scatter_reduce_ as scatter_reduce_,
)
from opscan.replacements.scans import (
    cumprod as cumprod,
)
from opscan.replacements.scans import (
    cumprod_ as cumprod_,
)
from opscan.replacements.scans import (
    cumsum as cumsum,
)
from opscan.replacements.scans import (
    cumsum_ as cumsum_,
)
from opscan.replacements.scans import (
    logcumsumexp as logcumsumexp,
)
from opscan.replacements.scattering import (
    scatter as scatter,
)
from opscan.replacements.scattering import (
    scatter_ as scatter_,
)
from opscan.replacements.selection import (
    cummax as cummax,
)
from opscan.replacements.selection import (
    cummin as cummin,
)
from opscan.replacements.selection import (
    kthvalue as kthvalue,
)
from opscan.replacements.selection import (
    median as median,
)
from opscan.replacements.selection import (
    nanmedian as nanmedian,
)
from opscan.replacements.selection import (
    topk as topk,
)
from opscan.replacements.unpooling import (
    MaxUnpool1d as MaxUnpool1d,
)
from opscan.replacements.unpooling import (
    MaxUnpool2d as MaxUnpool2d,
)
from opscan.replacements.unpooling import (
    MaxUnpool3d as MaxUnpool3d,
)
from opscan.replacements.unpooling import (
    max_unpool1d as max_unpool1d,
)
from opscan.replacements.unpooling import (
    max_unpool2d as max_unpool2d,
)
from opscan.replacements.unpooling import (
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
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
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
    "fractional_max_pool3d",
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
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "median",
    "nanmedian",
    "put",
    "put_",
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
